//! Which request fields select a stored response, and the key that they make (RFC 9111 4.1).

use std::fmt::Write;

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, HeaderMap, HeaderName, VARY,
};

use super::list;

mod preference;

/// What a response varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Vary {
    /// Nothing: it answers every request of its key.
    None,
    /// Something that no request shows: it answers no other request.
    Star,
    /// These request fields: sorted, each once, never empty.
    Fields(Vec<HeaderName>),
}

/// What a response with these fields varies by (RFC 9110 12.5.5). A member that is no field name
/// counts as a star.
#[must_use]
pub fn selecting(headers: &HeaderMap) -> Vary {
    let names = list::members(headers, &VARY).map(|member| match member {
        b"*" => None,
        name => HeaderName::from_bytes(name).ok(),
    });
    let Some(mut names) = names.collect::<Option<Vec<_>>>() else { return Vary::Star };
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    if names.is_empty() { Vary::None } else { Vary::Fields(names) }
}

/// Which fields are compared by what they mean, so that more requests share a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normalise {
    /// `Accept-Encoding` counts as the set of codings among `br`, `deflate`, `gzip`, `identity` and
    /// `zstd` that it accepts, whatever their order and weights. Only for handlers that choose by
    /// an order of their own.
    pub accept_encoding: bool,
    /// `Accept-Language` counts as its primary languages in the order of their weights. Only for
    /// handlers that do not tell regions apart.
    pub accept_language: bool,
}

/// What the request says in these fields, as text that is another one for everything that may get
/// another response.
///
/// An absent field, an empty one and every value are told apart; the lines of a field count as one
/// (RFC 9110 5.3). White space counts not at the ends, and in `Accept`, `Accept-Charset`,
/// `Accept-Encoding` and `Accept-Language` not round commas and semicolons either, as
/// RFC 9111 4.1 allows; in other fields it may mean something. With `normalise` a malformed field
/// counts as it is. Visible ASCII but `%` and `;` stands for itself, all else is percent-encoded.
///
/// The names are part of the text, so their order matters: that of [`selecting`].
#[must_use]
pub fn secondary_key(
    fields: &[HeaderName],
    request_headers: &HeaderMap,
    normalise: Normalise,
) -> String {
    let mut key = String::new();
    for (index, name) in fields.iter().enumerate() {
        if index > 0 {
            key.push(';');
        }
        // No field name holds an equals sign or a semicolon.
        key.push_str(name.as_str());
        if !request_headers.contains_key(name) {
            continue;
        }
        key.push('=');
        let value = value(name, request_headers);
        let meaning = match *name {
            ACCEPT_ENCODING if normalise.accept_encoding => preference::codings(&value),
            ACCEPT_LANGUAGE if normalise.accept_language => preference::languages(&value),
            _ => None,
        };
        escape(meaning.as_deref().unwrap_or(&value), &mut key);
    }
    key
}

/// All lines of the field as one.
fn value(name: &HeaderName, headers: &HeaderMap) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, line) in headers.get_all(name).into_iter().enumerate() {
        if index > 0 {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(list::trim(line.as_bytes()));
    }
    if matches!(*name, ACCEPT | ACCEPT_CHARSET | ACCEPT_ENCODING | ACCEPT_LANGUAGE) {
        return without_optional_space(&joined);
    }
    joined
}

/// Without the white space round commas and semicolons that are not in quotes (RFC 9110 5.6.3).
fn without_optional_space(text: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(text.len());
    let (mut quoted, mut escaped, mut after_separator) = (false, false, false);
    // Where the white space begins that the last byte kept, if it is such, belongs to.
    let mut blank = None;
    for byte in text {
        if quoted {
            kept.push(*byte);
            quoted = *byte != b'"' || escaped;
            escaped = *byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b' ' | b'\t' if after_separator => {}
            b' ' | b'\t' => {
                blank.get_or_insert(kept.len());
                kept.push(*byte);
            }
            b',' | b';' => {
                if let Some(start) = blank.take() {
                    kept.truncate(start);
                }
                kept.push(*byte);
                after_separator = true;
            }
            _ => {
                blank = None;
                after_separator = false;
                kept.push(*byte);
                quoted = *byte == b'"';
            }
        }
    }
    kept
}

fn escape(text: &[u8], key: &mut String) {
    for byte in text {
        match byte {
            b'%' | b';' => {}
            0x21..=0x7e => {
                key.push(char::from(*byte));
                continue;
            }
            _ => {}
        }
        // A `String` takes everything.
        let _ = write!(key, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests;
