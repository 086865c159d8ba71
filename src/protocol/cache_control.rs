//! The `Cache-Control` field of requests and responses (RFC 9111 5.2).

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName};

use super::age::{MAX_SECONDS, saturate};
use super::list;

/// The directives of all `Cache-Control` lines of a message. Those it does not know are ignored
/// (RFC 9111 5.2.3).
///
/// All times are in seconds, at most 2^31 (RFC 9111 1.2.2). Where RFC 9111 4.2.1 leaves a choice,
/// the result is the most restrictive one:
///
/// - A directive that must have a time and has none, or not a number, counts as 0, as if stale
///   (`min-fresh`: as 2^31).
/// - Of a time that is given twice the smallest counts (`min-fresh`: the largest). It is never
///   more than the first, which the RFC would allow, and does not depend on the order of lines
///   that several layers wrote.
/// - A directive that restricts is believed whatever argument it has; one that permits (`public`,
///   `must-understand`, `immutable`, `only-if-cached`) only if it has none, as it is defined.
/// - A quoted argument that does not end within its line is malformed, and hides nothing that
///   follows its first comma.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "as many independent directives as the RFC has")]
#[non_exhaustive]
pub struct CacheControl {
    /// `no-store` (5.2.1.5, 5.2.2.5).
    pub no_store: bool,
    /// `no-cache` (5.2.1.4, 5.2.2.4).
    pub no_cache: Option<Extent>,
    /// `private` (5.2.2.7).
    pub private: Option<Extent>,
    /// `public` (5.2.2.9).
    pub public: bool,
    /// `max-age` (5.2.1.1, 5.2.2.1).
    pub max_age: Option<u32>,
    /// `s-maxage` (5.2.2.10).
    pub s_maxage: Option<u32>,
    /// `must-revalidate` (5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (5.2.2.8).
    pub proxy_revalidate: bool,
    /// `must-understand` (5.2.2.3).
    pub must_understand: bool,
    /// `no-transform` (5.2.1.6, 5.2.2.6).
    pub no_transform: bool,
    /// `stale-while-revalidate` (RFC 5861 3).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error` (RFC 5861 4).
    pub stale_if_error: Option<u32>,
    /// `immutable` (RFC 8246 2).
    pub immutable: bool,
    /// `max-stale` of a request (5.2.1.2). Without an argument, which accepts any age: 2^31.
    pub max_stale: Option<u32>,
    /// `min-fresh` of a request (5.2.1.3).
    pub min_fresh: Option<u32>,
    /// `only-if-cached` of a request (5.2.1.7).
    pub only_if_cached: bool,
}

/// What of a response `no-cache` or `private` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Extent {
    /// The whole response.
    Whole,
    /// These fields alone. Never empty.
    Fields(Vec<HeaderName>),
}

impl CacheControl {
    /// Parses all `Cache-Control` lines among `headers`, as if they were one (RFC 9110 5.3).
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        if headers.contains_key(CACHE_CONTROL) {
            for line in headers.get_all(CACHE_CONTROL) {
                let mut rest = line.as_bytes();
                while !rest.is_empty() {
                    let directive;
                    (directive, rest) = next_directive(rest);
                    found.add(&directive);
                }
            }
        }
        found
    }

    /// For how many seconds a shared cache may take the response for fresh: `s-maxage`, or without
    /// it `max-age` (RFC 9111 4.2.1).
    #[must_use]
    pub fn shared_max_age(&self) -> Option<u32> {
        self.s_maxage.or(self.max_age)
    }

    fn add(&mut self, directive: &Directive<'_>) {
        // Longer than any name that is known.
        let mut lower = [0; 24];
        let Some(name) = lower.get_mut(..directive.name.len()) else { return };
        name.copy_from_slice(directive.name);
        name.make_ascii_lowercase();
        let argument = directive.argument;
        let bare = argument == Argument::None;
        match &*name {
            b"no-store" => self.no_store = true,
            b"no-cache" => widen(&mut self.no_cache, argument),
            b"private" => widen(&mut self.private, argument),
            b"public" => self.public |= bare,
            b"max-age" => least(&mut self.max_age, seconds(argument).unwrap_or(0)),
            b"s-maxage" => least(&mut self.s_maxage, seconds(argument).unwrap_or(0)),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand |= bare,
            b"no-transform" => self.no_transform = true,
            b"stale-while-revalidate" => {
                least(&mut self.stale_while_revalidate, seconds(argument).unwrap_or(0));
            }
            b"stale-if-error" => least(&mut self.stale_if_error, seconds(argument).unwrap_or(0)),
            b"immutable" => self.immutable |= bare,
            b"max-stale" if bare => least(&mut self.max_stale, MAX_SECONDS),
            b"max-stale" => least(&mut self.max_stale, seconds(argument).unwrap_or(0)),
            b"min-fresh" => {
                let fresh = seconds(argument).unwrap_or(MAX_SECONDS);
                self.min_fresh = self.min_fresh.max(Some(fresh));
            }
            b"only-if-cached" => self.only_if_cached |= bare,
            _ => {}
        }
    }
}

struct Directive<'a> {
    name: &'a [u8],
    argument: Argument<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Argument<'a> {
    None,
    /// A token, or what stands between the quotes, with its escapes: nothing that is looked for
    /// in an argument needs one.
    Text(&'a [u8]),
    Malformed,
}

/// The first directive of `line`, which may be an empty one, and what follows its comma.
fn next_directive(line: &[u8]) -> (Directive<'_>, &[u8]) {
    let name_end = line.iter().position(|b| matches!(b, b'=' | b',')).unwrap_or(line.len());
    let (before, rest) = line.split_at(name_end);
    let name = list::trim(before);
    let Some(value) = rest.strip_prefix(b"=") else {
        return (Directive { name, argument: Argument::None }, rest.get(1..).unwrap_or_default());
    };
    // RFC 9111 5.2: there is no white space round the equals sign.
    let spaced = before.ends_with(b" ") || before.ends_with(b"\t");
    let quoted = value.strip_prefix(b"\"").and_then(until_quote);
    let (text, rest) = quoted.map_or((None, value), |(text, rest)| (Some(text), rest));
    let end = rest.iter().position(|b| *b == b',').unwrap_or(rest.len());
    let argument = match text {
        _ if spaced => Argument::Malformed,
        Some(text) if list::trim(&rest[..end]).is_empty() => Argument::Text(text),
        None if is_token(trim_end(&rest[..end])) => Argument::Text(trim_end(&rest[..end])),
        _ => Argument::Malformed,
    };
    (Directive { name, argument }, rest.get(end + 1..).unwrap_or_default())
}

/// What stands before the quote that ends a quoted string, and after it (RFC 9110 5.6.4).
fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| !matches!(b, b' ' | b'\t')).map_or(0, |last| last + 1);
    &text[..end]
}

/// RFC 9110 5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_tchar = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    !text.is_empty() && text.iter().all(is_tchar)
}

/// RFC 9111 1.2.2, as a token or, as 5.2 asks of recipients, quoted.
fn seconds(argument: Argument<'_>) -> Option<u32> {
    match argument {
        Argument::Text(text) => list::digits(text).map(saturate),
        Argument::None | Argument::Malformed => None,
    }
}

fn least(field: &mut Option<u32>, value: u32) {
    *field = Some(field.map_or(value, |earlier| earlier.min(value)));
}

/// What is not a list of field names is about the whole response (RFC 9111 5.2.2.4, 5.2.2.7).
fn widen(field: &mut Option<Extent>, argument: Argument<'_>) {
    let names = match argument {
        Argument::Text(text) => text
            .split(|b| *b == b',')
            .map(list::trim)
            .filter(|name| !name.is_empty())
            .map(|name| HeaderName::from_bytes(name).ok())
            .collect::<Option<Vec<_>>>()
            .filter(|names| !names.is_empty()),
        Argument::None | Argument::Malformed => None,
    };
    match (&mut *field, names) {
        (Some(Extent::Fields(earlier)), Some(names)) => earlier.extend(names),
        (None, Some(names)) => *field = Some(Extent::Fields(names)),
        (Some(Extent::Whole), _) | (_, None) => *field = Some(Extent::Whole),
    }
}

#[cfg(test)]
mod tests;
