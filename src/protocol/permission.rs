//! Which responses a shared cache may store by HTTP's own rules (RFC 9111 3): for caches that take
//! their rules from the response, not from a route
//! ([`response_refusal`](super::response_refusal)).

use http::header::{AUTHORIZATION, CONTENT_RANGE, EXPIRES, HeaderMap, SET_COOKIE};
use http::{HeaderName, Method, StatusCode};

use super::freshness::{ResponseHead, is_heuristically_cacheable};
use super::storable::content_refusal;
use super::vary::{self, Vary};
use super::{CacheControl, Extent, Uncacheable};

/// Why a shared cache is not to store this response, if its head can tell already. What may be
/// stored is to be stored without its [`confined_fields`].
///
/// As RFC 9111 3 has it, with these choices:
///
/// - Answers to GET and HEAD, and to QUERY if its content is in the key (RFC 10008 2.7); never a 206, nor what answers one request's condition (304,
///   412, 416).
/// - `no-store` forbids, unless `must-understand` stands beside it and the status is one of those
///   understood (RFC 9111 5.2.2.3): those of RFC 9110 15.1.
/// - A request with `Authorization` needs `public`, `s-maxage` or `must-revalidate` in the response
///   (RFC 9111 3.5).
/// - `private` without field names forbids; with them, all but these fields is stored.
/// - `no-cache` does not forbid: what is stored is validated before each use.
/// - `Set-Cookie` forbids, whatever else is said (RFC 9111 7.3 leaves that to the cache).
/// - `Vary: *` forbids, as it would never match (RFC 9111 4.1).
///
/// A response that may be stored may still be stale from the beginning
/// ([`freshness_lifetime`](super::freshness::freshness_lifetime) 0): worth storing only with
/// [`validators`](super::conditional::validators). `request` is what
/// [`request_control`](super::serve::request_control) found; `max_body` is in bytes.
#[must_use]
pub fn storable_rfc9111(
    method: &Method,
    request_headers: &HeaderMap,
    request: &CacheControl,
    head: &ResponseHead<'_>,
    max_body: u64,
) -> Option<Uncacheable> {
    let (control, headers) = (head.control, head.headers);
    if !matches!(*method, Method::GET | Method::HEAD) && method.as_str() != "QUERY" {
        return Some(Uncacheable::Method);
    }
    if request.no_store {
        return Some(Uncacheable::RequestNoStore);
    }
    if let Some(refusal) = status_refusal(head) {
        return Some(refusal);
    }
    let understood = is_heuristically_cacheable(head.status);
    if control.must_understand && !understood {
        return Some(Uncacheable::NotUnderstood);
    }
    if control.no_store && !control.must_understand {
        return Some(Uncacheable::NoStore);
    }
    if control.private == Some(Extent::Whole) {
        return Some(Uncacheable::Private);
    }
    let shareable = control.public || control.s_maxage.is_some() || control.must_revalidate;
    if request_headers.contains_key(AUTHORIZATION) && !shareable {
        return Some(Uncacheable::Authorization);
    }
    let expires = !head.targeted && headers.contains_key(EXPIRES);
    let explicit = control.public || control.shared_max_age().is_some() || expires;
    if !explicit && !understood {
        return Some(Uncacheable::Unpermitted);
    }
    if headers.contains_key(SET_COOKIE) {
        return Some(Uncacheable::SetCookie);
    }
    if vary::selecting(headers) == Vary::Star {
        return Some(Uncacheable::VaryStar);
    }
    content_refusal(headers, max_body)
}

/// The fields that `private` and `no-cache` name: to be removed from what is stored and from what
/// is shared with others than the one who asked (RFC 9111 5.2.2.4, 5.2.2.7), after all else has
/// been read from them.
pub fn confined_fields(control: &CacheControl) -> impl Iterator<Item = &HeaderName> {
    [&control.private, &control.no_cache].into_iter().flatten().flat_map(|extent| match extent {
        Extent::Fields(names) => names.as_slice(),
        Extent::Whole => &[],
    })
}

fn status_refusal(head: &ResponseHead<'_>) -> Option<Uncacheable> {
    match head.status {
        StatusCode::SWITCHING_PROTOCOLS => Some(Uncacheable::Upgrade),
        StatusCode::PARTIAL_CONTENT => Some(Uncacheable::Partial),
        // RFC 9110 14.4: it has no meaning here, but whoever sends it may mean a part.
        _ if head.headers.contains_key(CONTENT_RANGE) => Some(Uncacheable::Partial),
        // RFC 9111 3: final ones only. RFC 9110 13.1, 14.2: these answer one request's condition.
        status
            if status.is_informational()
                || matches!(
                    status,
                    StatusCode::NOT_MODIFIED
                        | StatusCode::PRECONDITION_FAILED
                        | StatusCode::RANGE_NOT_SATISFIABLE
                ) =>
        {
            Some(Uncacheable::Status)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
