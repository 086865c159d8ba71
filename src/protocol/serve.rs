//! Whether a stored response may answer a request (RFC 9111 4, 5.2.1, RFC 5861): for caches that
//! obey the directives of requests.

use http::HeaderMap;
use http::header::{CACHE_CONTROL, PRAGMA};

use super::age::MAX_SECONDS;
use super::{CacheControl, Extent, list};

/// What may be done with a stored response that the key found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Serve {
    /// It answers the request, as it is.
    Fresh,
    /// It may answer the request although it is stale, with a refresh behind it.
    Stale,
    /// Only after the handler has been asked whether it is still good (RFC 9111 4.3).
    Revalidate,
    /// Not at all, and the handler must not be asked: 504 (RFC 9111 5.2.1.7).
    No,
}

/// A stored response, as far as it matters to whether it may be served.
#[derive(Clone, Copy, Debug)]
pub struct StoredFreshness<'a> {
    /// The directives under which it was stored.
    pub control: &'a CacheControl,
    /// Its freshness lifetime in seconds ([`Lifetime::seconds`](super::freshness::Lifetime::seconds)
    /// or what the route says).
    pub lifetime: u32,
    /// Its age now, in seconds.
    pub age: u32,
}

impl StoredFreshness<'_> {
    /// For how many seconds it has been stale: 0 while it is fresh.
    #[must_use]
    pub fn staleness(&self) -> u32 {
        self.age.saturating_sub(self.lifetime)
    }

    /// RFC 9111 4.2: fresh is what has lived for less than its lifetime.
    fn is_fresh(&self) -> bool {
        self.lifetime > self.age
    }

    /// Whether it must not be served stale, whoever would take it (RFC 9111 4.2.4). `s-maxage`
    /// says as much to a shared cache as `proxy-revalidate` (RFC 9111 5.2.2.10).
    fn must_be_fresh(&self) -> bool {
        let control = self.control;
        control.must_revalidate || control.proxy_revalidate || control.s_maxage.is_some()
    }
}

/// The directives of a request. `Pragma: no-cache` counts as `no-cache` where there is no
/// `Cache-Control` (RFC 9111 5.4).
#[must_use]
pub fn request_control(headers: &HeaderMap) -> CacheControl {
    let mut control = CacheControl::from_headers(headers);
    let pragma = || list::members(headers, &PRAGMA).any(|o| o.eq_ignore_ascii_case(b"no-cache"));
    if !headers.contains_key(CACHE_CONTROL) && pragma() {
        control.no_cache = Some(Extent::Whole);
    }
    control
}

/// Whether a stored response may answer a request with these directives
/// ([`request_control`]).
///
/// - `no-cache` of either side asks for validation first (RFC 9111 5.2.1.4, 5.2.2.4). One that
///   names fields does not: those were not stored
///   ([`confined_fields`](super::permission::confined_fields)).
/// - `max-age` and `min-fresh` of the request bound the age (RFC 9111 5.2.1.1, 5.2.1.3).
/// - What is stale is served for the request's `max-stale` (RFC 9111 5.2.1.2) or the response's
///   `stale-while-revalidate` (RFC 5861 3; not if the request has a `max-age` without `max-stale`),
///   and never against `must-revalidate`, `proxy-revalidate` or `s-maxage`. Ages are whole seconds,
///   rounded down, so a limit is kept by being less than it.
/// - `only-if-cached` turns [`Serve::Revalidate`] into [`Serve::No`].
/// - `no-store` of a request is about storing, not about what is stored (RFC 9111 5.2.1.5).
#[must_use]
pub fn may_serve(request: &CacheControl, stored: &StoredFreshness<'_>) -> Serve {
    match unvalidated(request, stored) {
        Some(serve) => serve,
        None if request.only_if_cached => Serve::No,
        None => Serve::Revalidate,
    }
}

/// Whether a stored response may answer after the handler has failed to (RFC 5861 4): where the
/// response or the request has `stale-if-error`, and the response has not been stale for so long.
/// With both, the shorter counts.
///
/// Never against `no-cache` of either side, `must-revalidate`, `proxy-revalidate` or `s-maxage`
/// (RFC 9111 4.2.4). Which answers are failures is for the caller to say; RFC 5861 names 500, 502,
/// 503 and 504.
#[must_use]
pub fn may_serve_on_error(request: &CacheControl, stored: &StoredFreshness<'_>) -> bool {
    if wants_validation(request, stored) || stored.must_be_fresh() {
        return false;
    }
    let windows = [request.stale_if_error, stored.control.stale_if_error];
    windows.into_iter().flatten().min().is_some_and(|window| stored.staleness() < window)
}

fn unvalidated(request: &CacheControl, stored: &StoredFreshness<'_>) -> Option<Serve> {
    if wants_validation(request, stored) {
        return None;
    }
    if request.max_age.is_some_and(|most| stored.age > most) {
        return None;
    }
    let left = stored.lifetime.saturating_sub(stored.age);
    if request.min_fresh.is_some_and(|least| left < least) {
        return None;
    }
    if stored.is_fresh() {
        return Some(Serve::Fresh);
    }
    if stored.must_be_fresh() {
        return None;
    }
    let staleness = stored.staleness();
    let within = |most: u32| staleness < most || most == MAX_SECONDS;
    let tolerated = match request.max_stale {
        Some(most) => within(most),
        None => false,
    };
    let refreshing = stored.control.stale_while_revalidate.is_some_and(|most| staleness < most);
    // RFC 9111 5.2.1.1: such a request does not want a stale response.
    let wants_fresh = request.max_age.is_some() && request.max_stale.is_none();
    (tolerated || refreshing && !wants_fresh).then_some(Serve::Stale)
}

fn wants_validation(request: &CacheControl, stored: &StoredFreshness<'_>) -> bool {
    // RFC 9111 5.2.1.4: a request's has no fields, so whatever argument it has says nothing.
    request.no_cache.is_some() || stored.control.no_cache == Some(Extent::Whole)
}

#[cfg(test)]
mod tests;
