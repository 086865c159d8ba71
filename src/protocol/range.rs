//! Requests for a part of a stored response (RFC 9110 14).

use http::header::{DATE, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{Method, StatusCode};

use super::date::{self, Dated};
use super::etag::{self, EntityTag, Tagged};
use super::list;

/// What of a stored body answers the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeAnswer {
    /// All of it, as without a range.
    Whole,
    /// 206 with these bytes (RFC 9110 15.3.7), under [`content_range`].
    Part {
        /// The first byte, from 0.
        start: u64,
        /// The last byte, itself included; less than the length.
        end: u64,
    },
    /// 416 (RFC 9110 15.5.17), under [`unsatisfied_range`].
    Unsatisfiable,
}

/// What of a stored body of `length` bytes the request asks for.
///
/// To be asked after the other conditions ([`evaluate`](super::conditional::evaluate), RFC 9110
/// 13.2.2), and for GET, QUERY (RFC 10008 2.8) and a stored 200 only: all else is answered whole (RFC 9110 14.2). So are
/// several ranges, other units than bytes, a malformed `Range`, and an `If-Range` that does not
/// hold (RFC 9110 13.1.5): a server may ignore any `Range`.
#[must_use]
pub fn apply(
    method: &Method,
    request_headers: &HeaderMap,
    stored_status: StatusCode,
    stored_headers: &HeaderMap,
    length: u64,
) -> RangeAnswer {
    let has_ranges = method == Method::GET || method.as_str() == "QUERY";
    if !has_ranges || stored_status != StatusCode::OK {
        return RangeAnswer::Whole;
    }
    let mut lines = request_headers.get_all(RANGE).into_iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return RangeAnswer::Whole };
    let Some(spec) = parse(line.as_bytes()) else { return RangeAnswer::Whole };
    if !may_be_partial(request_headers, stored_headers) {
        return RangeAnswer::Whole;
    }
    spec.of(length)
}

/// The `Content-Range` of a 206 (RFC 9110 14.4).
#[must_use]
pub fn content_range(start: u64, end: u64, length: u64) -> HeaderValue {
    value(&format!("bytes {start}-{end}/{length}"))
}

/// The `Content-Range` of a 416 (RFC 9110 14.4, 15.5.17).
#[must_use]
pub fn unsatisfied_range(length: u64) -> HeaderValue {
    value(&format!("bytes */{length}"))
}

fn value(text: &str) -> HeaderValue {
    // Digits and a few signs, which no value refuses.
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// RFC 9110 14.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    From(u64),
    FromTo(u64, u64),
    Last(u64),
}

impl Spec {
    fn of(self, length: u64) -> RangeAnswer {
        let (start, end) = match self {
            Self::Last(0) => return RangeAnswer::Unsatisfiable,
            // It can be satisfied, but no Content-Range could say so.
            Self::Last(_) if length == 0 => return RangeAnswer::Whole,
            Self::Last(count) => (length.saturating_sub(count), u64::MAX),
            Self::From(start) => (start, u64::MAX),
            Self::FromTo(start, end) => (start, end),
        };
        if start >= length {
            return RangeAnswer::Unsatisfiable;
        }
        RangeAnswer::Part { start, end: end.min(length - 1) }
    }
}

/// The one range of bytes that `text` asks for; nothing if it is anything else. Numbers are at most
/// [`u64::MAX`], which no body is long enough to show.
fn parse(text: &[u8]) -> Option<Spec> {
    let unit = text.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&text[..unit], &text[unit + 1..]);
    // RFC 9110 14.1: names of units are case-insensitive.
    if !list::trim(unit).eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = set.split(|byte| *byte == b',').map(list::trim).filter(|one| !one.is_empty());
    let (spec, None) = (specs.next()?, specs.next()) else { return None };
    let dash = spec.iter().position(|byte| *byte == b'-')?;
    match (&spec[..dash], &spec[dash + 1..]) {
        (b"", count) => list::digits(count).map(Spec::Last),
        (start, b"") => list::digits(start).map(Spec::From),
        (start, end) => {
            let (start, end) = (list::digits(start)?, list::digits(end)?);
            (start <= end).then_some(Spec::FromTo(start, end))
        }
    }
}

/// Whether what `If-Range` names is what is stored, to the byte (RFC 9110 13.1.5). True without
/// one.
fn may_be_partial(request: &HeaderMap, stored: &HeaderMap) -> bool {
    let mut lines = request.get_all(IF_RANGE).into_iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return true,
        (Some(line), None) => line.as_bytes(),
        (Some(_), Some(_)) => return false,
    };
    if let Some(tag) = EntityTag::parse(line) {
        return matches!(etag::field(stored), Tagged::With(stored) if tag.strong_eq(stored));
    }
    let Some(wanted) = date::parse(line) else { return false };
    let Dated::At(modified) = date::field(stored, &LAST_MODIFIED) else { return false };
    // RFC 9110 8.8.2.2: only a second later nothing can have changed within the same second.
    let strong = matches!(date::field(stored, &DATE), Dated::At(date) if date > modified);
    strong && wanted == modified
}

#[cfg(test)]
mod tests;
