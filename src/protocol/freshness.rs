//! For how long a response is fresh by its own words, and how old it is (RFC 9111 4.2): for caches
//! that take their rules from the response, not from a route ([`lifetime`](super::lifetime)).

use http::header::{DATE, EXPIRES, HeaderMap, LAST_MODIFIED};
use http::{HeaderValue, StatusCode};

use super::age::{MAX_SECONDS, saturate};
use super::date::{self, Dated};
use super::{CacheControl, initial_age};

/// The longest lifetime that is guessed, in seconds: a day.
pub const MAX_HEURISTIC: u32 = 24 * 60 * 60;

/// The head of a response, as its freshness is judged.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, before any of them is stripped.
    pub headers: &'a HeaderMap,
    /// What it says to this cache: its `Cache-Control`, or the
    /// [targeted field](super::targeted::select) that counts instead.
    pub control: &'a CacheControl,
    /// Whether `control` is a targeted field, so that `Expires` counts no more (RFC 9213 2.2).
    pub targeted: bool,
    /// When it was received, in milliseconds since 1970. It stands in for a `Date` that is not
    /// there (RFC 9110 6.6.1).
    pub received_at: u64,
}

/// How long a response is fresh, from when it was generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lifetime {
    /// As many seconds as it says (RFC 9111 4.2.1).
    Explicit(u32),
    /// As many seconds as can be guessed (RFC 9111 4.2.2).
    Heuristic(u32),
    /// Nothing is known: it may be used after validation only.
    Unknown,
}

impl Lifetime {
    /// In seconds, at most [`MAX_SECONDS`]; 0 if nothing is known.
    #[must_use]
    pub fn seconds(self) -> u32 {
        match self {
            Self::Explicit(seconds) | Self::Heuristic(seconds) => seconds,
            Self::Unknown => 0,
        }
    }
}

/// The freshness lifetime for a shared cache (RFC 9111 4.2.1): `s-maxage`, else `max-age`, else
/// `Expires` less `Date`, else a guess (RFC 9111 4.2.2).
///
/// An `Expires` that is no date means stale (RFC 9111 5.3); of several the earliest counts. The
/// guess is a tenth of the time since `Last-Modified`, at most [`MAX_HEURISTIC`], and only for a
/// status that is cacheable by itself, or with `public`.
#[must_use]
pub fn freshness_lifetime(head: &ResponseHead<'_>) -> Lifetime {
    if let Some(seconds) = head.control.shared_max_age() {
        return Lifetime::Explicit(seconds);
    }
    if !head.targeted && head.headers.contains_key(EXPIRES) {
        let date = date_or_receipt(head.headers, head.received_at);
        let lines = head.headers.get_all(EXPIRES).into_iter();
        // RFC 9111 4.2.1: what conflicts counts as its most restrictive.
        let expires = lines.map(|line| date::parse(HeaderValue::as_bytes(line)).unwrap_or(0)).min();
        return Lifetime::Explicit(saturate(expires.unwrap_or(0).saturating_sub(date)));
    }
    if !is_heuristically_cacheable(head.status) && !head.control.public {
        return Lifetime::Unknown;
    }
    let Dated::At(modified) = date::field(head.headers, &LAST_MODIFIED) else {
        return Lifetime::Unknown;
    };
    let unchanged = date_or_receipt(head.headers, head.received_at).saturating_sub(modified);
    Lifetime::Heuristic(saturate(unchanged / 10).min(MAX_HEURISTIC))
}

/// The age in seconds that a response had when it was received (RFC 9111 4.2.3): that of its `Age`
/// and of the time the answer took, or what its `Date` shows, whichever is more.
///
/// `requested_at` and `received_at` are milliseconds since 1970. To be added up with
/// [`age`](super::age()). Where the two clocks are not one, a `Date` in the future shows nothing.
#[must_use]
pub fn corrected_initial_age(headers: &HeaderMap, requested_at: u64, received_at: u64) -> u32 {
    let apparent = (received_at / 1000).saturating_sub(date_or_receipt(headers, received_at));
    let delay = received_at.saturating_sub(requested_at) / 1000;
    let corrected = initial_age(headers).saturating_add(saturate(delay));
    corrected.max(saturate(apparent)).min(MAX_SECONDS)
}

/// Whether a response with this status may be stored without a word about it (RFC 9110 15.1).
#[must_use]
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// In seconds. RFC 9110 6.6.1: the time of receipt for a `Date` that is missing or none.
fn date_or_receipt(headers: &HeaderMap, received_at: u64) -> u64 {
    match date::field(headers, &DATE) {
        Dated::At(date) => date,
        Dated::Absent | Dated::Invalid => received_at / 1000,
    }
}

#[cfg(test)]
mod tests;
