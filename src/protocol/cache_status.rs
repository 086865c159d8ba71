//! The `Cache-Status` field (RFC 9211): what the cache did for one request.

use std::sync::atomic::{AtomicU64, Ordering};

use http::header::CACHE_STATUS;
use http::{HeaderMap, HeaderValue};

/// One member of the list: what one cache did.
///
/// It has no `key`: keys are not for clients to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// The name of the cache (RFC 9211 2).
    pub cache: &'a str,
    /// Where the response came from.
    pub outcome: Outcome,
    /// Why, in a word or a sentence (RFC 9211 2.8).
    pub detail: Option<&'a str>,
}

/// Where a response came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// From the cache (RFC 9211 2.1).
    Hit {
        /// The seconds for which it is fresh still, less than 0 if it is stale (RFC 9211 2.4).
        ttl: Option<i64>,
    },
    /// From the handler (RFC 9211 2.2).
    Forwarded(Forwarded),
    /// From neither: the cache answers that it has none to give.
    Neither,
}

/// How a request was passed on to the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// Why it was (RFC 9211 2.2).
    pub reason: Fwd,
    /// The status that the handler answered, if the client got another one (RFC 9211 2.3).
    pub status: Option<u16>,
    /// The seconds for which the response is fresh (RFC 9211 2.4).
    pub ttl: Option<i64>,
    /// Whether the response was stored (RFC 9211 2.5).
    pub stored: bool,
    /// Whether the request shared the run of another one (RFC 9211 2.6).
    pub collapsed: bool,
}

impl Forwarded {
    /// Passed on for this reason, and no more to say.
    #[must_use]
    pub fn new(reason: Fwd) -> Self {
        Self { reason, status: None, ttl: None, stored: false, collapsed: false }
    }
}

/// Why a request was passed on (RFC 9211 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fwd {
    /// The cache was told not to handle it.
    Bypass,
    /// Its method is not answered from a cache.
    Method,
    /// Nothing is stored for its URI.
    UriMiss,
    /// Something is stored for its URI, but not for its fields.
    VaryMiss,
    /// Nothing is stored, be it for the URI or for the fields.
    Miss,
    /// A fresh response was there, but the request did not want it.
    Request,
    /// The stored response was stale.
    Stale,
    /// The stored response did not have all the parts asked for.
    Partial,
}

impl Fwd {
    /// The token of RFC 9211 2.2.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl CacheStatus<'_> {
    /// The field value, in one allocation.
    ///
    /// What a structured string can't hold (RFC 9651 3.3.3: other than printable ASCII) becomes
    /// `?`, byte by byte.
    #[must_use]
    pub fn to_value(&self) -> HeaderValue {
        let mut length = 0;
        self.write(&mut |part| length += part.len());
        let mut text = Vec::with_capacity(length);
        self.write(&mut |part| text.extend_from_slice(part));
        // Printable ASCII alone was written, which no value refuses.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .unwrap_or_else(|_| HeaderValue::from_static("?"))
    }

    /// Adds this to the end of the list, after the caches nearer to the origin (RFC 9211 2).
    ///
    /// A map that can hold no more fields is left as it is.
    pub fn append(&self, headers: &mut HeaderMap) {
        let _ = headers.try_append(CACHE_STATUS, self.to_value());
    }

    fn write(&self, put: &mut impl FnMut(&[u8])) {
        put_name(self.cache, put);
        match self.outcome {
            Outcome::Hit { ttl } => {
                put(b"; hit");
                put_number(TTL, ttl, put);
            }
            Outcome::Forwarded(forwarded) => {
                put(b"; fwd=");
                put(forwarded.reason.as_str().as_bytes());
                put_number(b"; fwd-status=", forwarded.status.map(i64::from), put);
                put_number(TTL, forwarded.ttl, put);
                if forwarded.stored {
                    put(b"; stored");
                }
                if forwarded.collapsed {
                    put(b"; collapsed");
                }
            }
            Outcome::Neither => {}
        }
        if let Some(detail) = self.detail {
            put(b"; detail=");
            put_name(detail, put);
        }
    }
}

/// The field value of most hits: all of it but the number is the same each time.
#[derive(Debug)]
pub(crate) struct HitStatus {
    before_ttl: Box<[u8]>,
    id: u64,
}

impl HitStatus {
    /// That of the cache with this name.
    pub(crate) fn new(cache: &str) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(1);
        let mut text = Vec::new();
        CacheStatus { cache, outcome: Outcome::Hit { ttl: None }, detail: None }
            .write(&mut |part| text.extend_from_slice(part));
        Self { before_ttl: text.into(), id: MADE.fetch_add(1, Ordering::Relaxed) }
    }

    /// A number above 0 that no other one of this process has.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The value for a hit that is fresh for so many seconds, as [`CacheStatus::to_value`] has it.
    pub(crate) fn to_value(&self, ttl: i64) -> HeaderValue {
        let mut length = self.before_ttl.len();
        put_number(TTL, Some(ttl), &mut |part| length += part.len());
        let mut text = Vec::with_capacity(length);
        text.extend_from_slice(&self.before_ttl);
        put_number(TTL, Some(ttl), &mut |part| text.extend_from_slice(part));
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .unwrap_or_else(|_| HeaderValue::from_static("?"))
    }
}

const TTL: &[u8] = b"; ttl=";

/// As a token where it is one, and else as a string (RFC 9651 3.3.3, 3.3.4).
fn put_name(text: &str, put: &mut impl FnMut(&[u8])) {
    let starts = |b: u8| b.is_ascii_alphabetic() || b == b'*';
    let continues = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b);
    if text.bytes().next().is_some_and(starts) && text.bytes().all(continues) {
        return put(text.as_bytes());
    }
    put(b"\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => put(&[b'\\', byte]),
            b' '..=b'~' => put(&[byte]),
            _ => put(b"?"),
        }
    }
    put(b"\"");
}

/// As an integer, which has at most 15 digits (RFC 9651 3.3.1).
fn put_number(before: &[u8], number: Option<i64>, put: &mut impl FnMut(&[u8])) {
    const MOST: i64 = 999_999_999_999_999;
    let Some(number) = number else { return };
    put(before);
    if number < 0 {
        put(b"-");
    }
    let mut rest = number.clamp(-MOST, MOST).unsigned_abs();
    let mut digits = [b'0'; 15];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10).to_le_bytes()[0];
        rest /= 10;
        if rest == 0 {
            return put(&digits[start..]);
        }
    }
}

#[cfg(test)]
mod tests;
