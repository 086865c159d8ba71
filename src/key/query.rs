//! Query strings, each in one spelling.

use std::fmt;

use super::encode::normalize_query_part;

/// How much of a query is looked at; a request with more is not cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueryLimits {
    /// The most pairs, those that are not kept included.
    pub pairs: usize,
    /// The most bytes, as the query came.
    pub bytes: usize,
}

impl QueryLimits {
    /// At most so many pairs, and so many bytes as the query came.
    #[must_use]
    pub const fn new(pairs: usize, bytes: usize) -> Self {
        Self { pairs, bytes }
    }

    /// Whether `raw` is within the limits.
    ///
    /// # Errors
    /// [`QueryError::TooLong`] or [`QueryError::TooMany`].
    pub fn check(self, raw: &str) -> Result<(), QueryError> {
        if raw.len() > self.bytes {
            return Err(QueryError::TooLong);
        }
        if raw.split('&').take(self.pairs.saturating_add(1)).count() > self.pairs {
            return Err(QueryError::TooMany);
        }
        Ok(())
    }
}

impl Default for QueryLimits {
    /// 64 pairs and 4096 bytes.
    fn default() -> Self {
        Self::new(64, 4096)
    }
}

/// Which parameters become part of a key.
#[derive(Clone, Copy, Debug)]
pub enum Keep<'a> {
    /// Every one.
    All,
    /// Those with these names, each as [`encode`](super::encode()) writes it.
    Named(&'a [String]),
    /// Every one but those with these names, each as [`encode`](super::encode()) writes it. A `+` in a
    /// name is read as forms are: as a space.
    Except(&'a [String]),
}

impl Keep<'_> {
    fn keeps(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|named| same_name(named, name)),
            Self::Except(names) => !names.iter().any(|named| same_form_name(named, name)),
        }
    }
}

/// Appends the canonical spelling of a query (without its `?`) to `out`.
///
/// - Pairs are separated by `&`, name and value by the first `=`; both are decoded and encoded
///   again. `a` and `a=` stay distinct, and so do `+`, `%20` and `%2B`, since handlers differ in
///   what a `+` means.
/// - Pairs are sorted by their normalised names; repeats of a name keep their order.
/// - Empty pairs, as in `a=1&&b=2`, vanish, as they do for whatever parses forms.
/// - Of a parameter to keep, every spelling is kept in which some handler reads its name: for
///   `user%20name` also `user+name`.
///
/// # Errors
/// [`QueryError`]; `out` is then as it was and the request is not cached.
pub fn normalize_query(
    raw: &str,
    keep: Keep<'_>,
    limits: QueryLimits,
    out: &mut String,
) -> Result<(), QueryError> {
    limits.check(raw)?;
    let start = out.len();
    let done = append_pairs(raw, keep, start, out);
    match done {
        Ok(sorted) => {
            if !sorted {
                sort_pairs(start, out);
            }
            Ok(())
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

/// Appends what the parameter `name` is worth in a key template: the normalised values of its
/// repeats, joined by `,`.
///
/// | query | text |
/// |---|---|
/// | absent | nothing |
/// | `a=x` | `x` |
/// | `a=` | `=` |
/// | `a` | `==` |
/// | `a=x&a=&a=y%2Cz` | `x,=,y%2Cz` |
///
/// No two lists of values share a text: a value that is not empty holds none of `=` and `,`.
///
/// `name` is written as [`encode`](super::encode()) writes it. The text holds encoded characters
/// and `+`, `,`, `=`. Ask [`QueryLimits::check`] first, since a long query makes a long text.
///
/// # Errors
/// [`QueryError`]; `out` is then as it was and the request is not cached.
pub fn template_value(raw_query: &str, name: &str, out: &mut String) -> Result<(), QueryError> {
    let start = out.len();
    let done = append_values(raw_query, name, start, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

/// Why a query has no part in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// More pairs than [`QueryLimits::pairs`].
    TooMany,
    /// More bytes than [`QueryLimits::bytes`].
    TooLong,
    /// A `%` is not followed by two hexadecimal digits.
    MalformedEscape,
    /// A bare `+` in the name of a parameter that a key template uses: some handlers read it as a
    /// space, others as a plus sign, so they differ in whether this is the parameter.
    AmbiguousName,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "the query has too many parameters: send fewer or raise the limit",
            Self::TooLong => "the query is too long: shorten it or raise the limit",
            Self::MalformedEscape => {
                "the query has a `%` without two hexadecimal digits: write `%25` for the sign itself"
            }
            Self::AmbiguousName => {
                "a parameter's name holds a bare `+`: write `%20` for a space or `%2B` for a plus"
            }
        })
    }
}

impl std::error::Error for QueryError {}

/// The pairs of a query that a key keeps, as they came and in the order in which they came.
///
/// # Errors
/// [`QueryError::MalformedEscape`] if a name has one.
pub fn kept_pairs<'a>(raw: &'a str, keep: Keep<'_>) -> Result<Vec<&'a str>, QueryError> {
    let mut kept = Vec::new();
    let mut normal = String::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        normal.clear();
        part(pair.split_once('=').map_or(pair, |(name, _)| name), &mut normal)?;
        if keep.keeps(&normal) {
            kept.push(pair);
        }
    }
    Ok(kept)
}

/// Whether the pairs came out sorted.
fn append_pairs(
    raw: &str,
    keep: Keep<'_>,
    start: usize,
    out: &mut String,
) -> Result<bool, QueryError> {
    let mut sorted = true;
    let mut previous = start..start;
    for (name, value) in pairs(raw) {
        let before = out.len();
        if before > start {
            out.push('&');
        }
        let name_start = out.len();
        part(name, out)?;
        let this = name_start..out.len();
        let kept = keep.keeps(&out[this.clone()]);
        if let Some(value) = value {
            out.push('=');
            // A value that is not kept is read too: a handler may refuse what it can't decode.
            part(value, out)?;
        }
        if kept {
            sorted &= out[previous] <= out[this.clone()];
            previous = this;
        } else {
            out.truncate(before);
        }
    }
    Ok(sorted)
}

fn sort_pairs(start: usize, out: &mut String) {
    let written = out.split_off(start);
    let mut pairs: Vec<&str> = written.split('&').collect();
    pairs.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(name, _)| name));
    for (index, pair) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.push('&');
        }
        out.push_str(pair);
    }
}

fn append_values(raw: &str, name: &str, start: usize, out: &mut String) -> Result<(), QueryError> {
    for (this, value) in pairs(raw) {
        let before = out.len();
        part(this, out)?;
        let same = same_name(name, &out[before..]);
        out.truncate(before);
        if !same {
            continue;
        }
        if this.contains('+') {
            return Err(QueryError::AmbiguousName);
        }
        if before > start {
            out.push(',');
        }
        match value {
            None => out.push_str("=="),
            Some("") => out.push('='),
            Some(value) => part(value, out)?,
        }
    }
    Ok(())
}

/// The pairs of a query that are not empty.
fn pairs(raw: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| match pair.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (pair, None),
    })
}

fn part(raw: &str, out: &mut String) -> Result<(), QueryError> {
    normalize_query_part(raw, out).map_err(|_| QueryError::MalformedEscape)
}

/// Whether some handler reads the normalised name `sent` as `named`, in which a `+` may stand for
/// a space or for itself.
fn same_name(named: &str, sent: &str) -> bool {
    let mut named = named.as_bytes();
    for &byte in sent.as_bytes() {
        let rest = match byte {
            b'+' => named.strip_prefix(b"%20").or_else(|| named.strip_prefix(b"%2B")),
            _ => named.strip_prefix(&[byte]),
        };
        let Some(rest) = rest else { return false };
        named = rest;
    }
    named.is_empty()
}

/// Whether a form's reader takes the normalised name `sent` for `named`.
fn same_form_name(named: &str, sent: &str) -> bool {
    let mut named = named.as_bytes();
    for &byte in sent.as_bytes() {
        let read: &[u8] = if byte == b'+' { b"%20" } else { &[byte] };
        let Some(rest) = named.strip_prefix(read) else { return false };
        named = rest;
    }
    named.is_empty()
}

#[cfg(test)]
mod tests;
