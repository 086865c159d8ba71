//! What a forwarded response says of the cache (RFC 9211).

use http::{HeaderMap, StatusCode};

use super::shared::Shared;
use crate::protocol::{CacheStatus, Forwarded, Fwd, Outcome};

/// Appends the Cache-Status of a request that went to the handler for `reason`.
pub(crate) fn forwarded(
    shared: &Shared,
    headers: &mut HeaderMap,
    reason: Fwd,
    detail: Option<&str>,
) {
    append(shared, headers, Forwarded::new(reason), detail);
}

/// Appends the Cache-Status of a miss whose response will be stored for `ttl` seconds once it is
/// whole.
pub(crate) fn stored(shared: &Shared, headers: &mut HeaderMap, reason: Fwd, ttl: i64) {
    let forwarded = Forwarded { ttl: Some(ttl), stored: true, ..Forwarded::new(reason) };
    append(shared, headers, forwarded, None);
}

/// Appends the Cache-Status of a request that was neither answered nor passed on.
pub(crate) fn not_forwarded(shared: &Shared, headers: &mut HeaderMap, detail: &str) {
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
