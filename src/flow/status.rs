//! What a forwarded response says of the cache (RFC 9211). Each request that gets an answer gets it
//! by way of this file or of `hit`, which is where it is counted.

use http::{HeaderMap, StatusCode};

use super::read::Read;
use super::shared::Shared;
use crate::policy::CachedRoute;
use crate::protocol::{CacheStatus, Forwarded, Fwd, Outcome};
use crate::telemetry::{Answered, Bypass};

/// Appends the Cache-Status of a read that went to the handler.
pub(crate) fn forwarded(
    shared: &Shared,
    read: &Read,
    headers: &mut HeaderMap,
    detail: Option<&str>,
) {
    if !read.is_refresh {
        let route = &read.route.telemetry;
        if let Some(why) = read.passed {
            shared.telemetry.answered_past(route, why);
            shared.tenants.answered(read.names.space(), Answered::Bypass);
        } else {
            let reason = detail.unwrap_or(read.reason.as_str());
            shared.telemetry.answered(route, Answered::Miss, Some(reason));
            shared.tenants.answered(read.names.space(), Answered::Miss);
        }
    }
    append(shared, headers, Forwarded::new(read.reason), detail);
}

/// Appends the Cache-Status of a miss whose response will be stored for `ttl` seconds once it is
/// whole.
pub(crate) fn stored(shared: &Shared, read: &Read, headers: &mut HeaderMap, ttl: i64) {
    if !read.is_refresh {
        let reason = Some(read.reason.as_str());
        shared.telemetry.answered(&read.route.telemetry, Answered::Miss, reason);
        shared.tenants.answered(read.names.space(), Answered::Miss);
    }
    let forwarded = Forwarded { ttl: Some(ttl), stored: true, ..Forwarded::new(read.reason) };
    append(shared, headers, forwarded, None);
}

/// Appends the Cache-Status of a request that was not looked up.
pub(crate) fn passed(shared: &Shared, route: &CachedRoute, headers: &mut HeaderMap, why: Bypass) {
    shared.telemetry.answered_past(&route.telemetry, why);
    append(shared, headers, Forwarded::new(Fwd::Bypass), Some(why.as_str()));
}

/// Appends the Cache-Status of a mutating request.
pub(crate) fn written(shared: &Shared, headers: &mut HeaderMap, detail: Option<&str>) {
    append(shared, headers, Forwarded::new(Fwd::Method), detail);
}

/// The inner service has given an error, which has no fields.
pub(crate) fn erred(shared: &Shared, route: &CachedRoute) {
    shared.telemetry.answered(&route.telemetry, Answered::Error, None);
}

/// Appends the Cache-Status of a request that was neither answered nor passed on.
pub(crate) fn not_forwarded(
    shared: &Shared,
    route: &CachedRoute,
    headers: &mut HeaderMap,
    detail: &str,
) {
    shared.telemetry.answered(&route.telemetry, Answered::Refused, Some(detail));
    if let Some(cache) = &shared.settings.cache_status {
        CacheStatus { cache, outcome: Outcome::Neither, detail: Some(detail) }.append(headers);
    }
}

/// What a response says that came of another request's run.
pub(crate) fn collapsed(ttl: Option<i64>) -> Outcome {
    Outcome::Forwarded(Forwarded { ttl, collapsed: true, ..Forwarded::new(Fwd::Miss) })
}

/// What a stale response says that is there since the handler has failed.
pub(crate) fn failed(status: Option<StatusCode>, ttl: Option<i64>) -> Outcome {
    let status = status.map(|status| status.as_u16());
    Outcome::Forwarded(Forwarded { status, ttl, ..Forwarded::new(Fwd::Stale) })
}

/// What a response says that the handler has confirmed with a 304 (RFC 9211, section 2.3).
pub(crate) fn confirmed(reason: Fwd, ttl: Option<i64>) -> Outcome {
    Outcome::Forwarded(Forwarded { status: Some(304), ttl, ..Forwarded::new(reason) })
}

fn append(shared: &Shared, headers: &mut HeaderMap, forwarded: Forwarded, detail: Option<&str>) {
    if let Some(cache) = &shared.settings.cache_status {
        CacheStatus { cache, outcome: Outcome::Forwarded(forwarded), detail }.append(headers);
    }
}
