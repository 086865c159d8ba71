//! Conditional requests: a client's, answered from a stored response (RFC 9110 13, RFC 9111 4.3.2),
//! and the cache's own, with which it asks whether a stored response is still good (RFC 9111 4.3.1,
//! 4.3.3, 4.3.4).

use http::header::{
    AGE, CACHE_STATUS, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED, SET_COOKIE,
};
use http::{HeaderMap, Method, StatusCode};

use super::date::{self, Dated};
use super::etag::{self, EntityTag, Tagged};
use super::hop_by_hop;

/// What the conditions of a request make of the stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Precondition {
    /// The response itself: there is no condition, or it holds.
    Pass,
    /// 304, under [`not_modified_headers`] (RFC 9110 15.4.5).
    NotModified,
    /// 412 (RFC 9110 15.5.13).
    Failed,
}

/// What the conditions of a request make of a stored response, in the order of RFC 9110 13.2.2.
///
/// Another method than GET, HEAD and QUERY (RFC 10008 2.6), and another stored status than a 2xx, passes (RFC 9110
/// 13.2.1). A condition that is no date, or is one where there must be a single one and are
/// several, is as if it were absent (RFC 9110 13.1.3, 13.1.4); a malformed list of entity tags is
/// there, but names none.
///
/// A cache on the way to the origin would leave `If-Match` and `If-Unmodified-Since` alone (RFC
/// 9111 4.3.2). This one stands in the origin server itself, so it answers them as that would.
///
/// Where the response has no `Last-Modified`, its `Date` stands in for it before
/// `If-Modified-Since` (RFC 9111 4.3.2), not before `If-Unmodified-Since` (RFC 9110 13.1.4).
#[must_use]
pub fn evaluate(
    method: &Method,
    request_headers: &HeaderMap,
    stored_status: StatusCode,
    stored_headers: &HeaderMap,
) -> Precondition {
    let is_read = matches!(*method, Method::GET | Method::HEAD) || method.as_str() == "QUERY";
    if !is_read || !stored_status.is_success() {
        return Precondition::Pass;
    }
    if let Some(named) = etag::named(request_headers, &IF_MATCH) {
        if !named.holds(etag::field(stored_headers), EntityTag::strong_eq) {
            return Precondition::Failed;
        }
    } else if let Dated::At(limit) = date::field(request_headers, &IF_UNMODIFIED_SINCE)
        && let Dated::At(modified) = date::field(stored_headers, &LAST_MODIFIED)
        && modified > limit
    {
        return Precondition::Failed;
    }
    let unchanged = match etag::named(request_headers, &IF_NONE_MATCH) {
        Some(named) => named.holds(etag::field(stored_headers), EntityTag::weak_eq),
        None => match date::field(request_headers, &IF_MODIFIED_SINCE) {
            Dated::At(since) => last_changed(stored_headers).is_some_and(|at| at <= since),
            Dated::Absent | Dated::Invalid => false,
        },
    };
    if unchanged { Precondition::NotModified } else { Precondition::Pass }
}

/// The fields of a 304 that stands for a response with these fields (RFC 9110 15.4.5).
///
/// All but what describes the content, which the client has already: so with `Content-Location`,
/// `Date`, `ETag`, `Vary`, `Cache-Control` and `Expires`, that it must have, and whatever else the
/// application says beside its content (CORS, policies, links). `Last-Modified` stays only where it
/// is the only validator.
#[must_use]
pub fn not_modified_headers(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    hop_by_hop::strip(&mut kept);
    for name in &DESCRIBES_CONTENT {
        kept.remove(name);
    }
    if kept.contains_key(ETAG) {
        kept.remove(LAST_MODIFIED);
    }
    kept
}

/// The conditions with which to ask whether a response with these fields is still good (RFC 9111
/// 4.3.1): `If-None-Match` with its `ETag`, `If-Modified-Since` with its `Last-Modified`, byte for
/// byte. Empty if it has no validator, or only malformed ones.
///
/// They take the place of the client's own: see [`without_conditions`].
#[must_use]
pub fn validators(stored: &HeaderMap) -> HeaderMap {
    let mut conditions = HeaderMap::new();
    if matches!(etag::field(stored), Tagged::With(_))
        && let Some(tag) = stored.get(ETAG)
    {
        conditions.insert(IF_NONE_MATCH, tag.clone());
    }
    if matches!(date::field(stored, &LAST_MODIFIED), Dated::At(_))
        && let Some(modified) = stored.get(LAST_MODIFIED)
    {
        conditions.insert(IF_MODIFIED_SINCE, modified.clone());
    }
    conditions
}

/// Removes what makes a request conditional, or asks for a part, so that the answer is the whole
/// and may be stored (RFC 9110 13.1, 14.2).
pub fn without_conditions(request_headers: &mut HeaderMap) {
    use http::header::{IF_RANGE, RANGE};
    for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE] {
        request_headers.remove(name);
    }
}

/// Updates a stored response's fields with those of the 304 that was the answer to its own
/// [`validators`] (RFC 9111 3.2, 4.3.4), and says whether the 304 was about it at all. If not,
/// nothing has changed, and the stored response is not to be used on the strength of this 304.
///
/// - An `ETag` must be the stored one but for its weakness. (RFC 9111 4.3.4 would have a strong one
///   be the same byte for byte; but what was asked about is this one tag, and servers that weaken
///   tags when they compress say the strong form in a 304.) Without one, a `Last-Modified` must be the stored one. A 304 without any validator is taken at
///   its word, because it can only mean those it was asked about; servers of files send such ones.
/// - Never replaced: `Content-Length`, `Content-Encoding`, `Content-Type` and `Content-Range`,
///   which belong to the stored bytes; the `ETag`, of which the stored bytes stay as they are;
///   hop-by-hop fields. Never taken over: `Age` and `Cache-Status`, which are about the 304 itself,
///   and `Set-Cookie`.
/// - All other fields of the 304 replace all lines of the same name. One that `Connection` names
///   is hop-by-hop, so it neither replaces nor removes.
///
/// Whether what is told now may still be stored (`no-store`, another `Vary`) is for the caller to
/// ask again.
#[must_use = "a 304 that is not about the stored response proves nothing"]
pub fn freshen(stored: &mut HeaderMap, from_304: &HeaderMap) -> bool {
    if !is_about(stored, from_304) {
        return false;
    }
    let mut news = from_304.clone();
    hop_by_hop::strip(&mut news);
    for name in &NOT_UPDATED {
        news.remove(name);
    }
    for name in news.keys() {
        stored.remove(name);
        for value in news.get_all(name) {
            // Beyond what a map can hold, a field is lost and nothing else.
            let _ = stored.try_append(name, value.clone());
        }
    }
    true
}

/// RFC 9110 15.4.5: a 304 is to be without these. `Content-Location` is not one of them.
static DESCRIBES_CONTENT: [HeaderName; 10] = [
    CONTENT_DISPOSITION,
    CONTENT_ENCODING,
    CONTENT_LANGUAGE,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

static NOT_UPDATED: [HeaderName; 8] = [
    // RFC 9111 3.2, and what else tells how to read the stored bytes.
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_TYPE,
    CONTENT_RANGE,
    // A weak form of the same tag would make the stored one worth less.
    ETAG,
    AGE,
    CACHE_STATUS,
    SET_COOKIE,
];

/// When a stored response was last changed, as well as a cache knows.
fn last_changed(stored: &HeaderMap) -> Option<u64> {
    match date::field(stored, &LAST_MODIFIED) {
        Dated::At(at) => Some(at),
        Dated::Invalid => None,
        Dated::Absent => match date::field(stored, &DATE) {
            Dated::At(at) => Some(at),
            Dated::Absent | Dated::Invalid => None,
        },
    }
}

/// Whether a 304 selects this stored response for update (RFC 9111 4.3.4).
fn is_about(stored: &HeaderMap, from_304: &HeaderMap) -> bool {
    match (etag::field(from_304), etag::field(stored)) {
        // The question was of this tag alone, compared weakly (RFC 9110 13.1.2). Servers that make a
        // tag weak when they compress give its strong form in a 304.
        (Tagged::With(new), Tagged::With(old)) => new.weak_eq(old),
        (Tagged::With(_) | Tagged::Invalid, _) => false,
        (Tagged::Absent, _) => match date::field(from_304, &LAST_MODIFIED) {
            Dated::Absent => true,
            Dated::Invalid => false,
            new @ Dated::At(_) => new == date::field(stored, &LAST_MODIFIED),
        },
    }
}

#[cfg(test)]
mod tests;
