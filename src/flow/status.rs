//! What a forwarded response says of the cache (RFC 9211).

use http::HeaderMap;

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

/// What a response says that came of another request's run.
pub(crate) fn collapsed(ttl: Option<i64>) -> Outcome {
    Outcome::Forwarded(Forwarded { ttl, collapsed: true, ..Forwarded::new(Fwd::Miss) })
}

fn append(shared: &Shared, headers: &mut HeaderMap, forwarded: Forwarded, detail: Option<&str>) {
    if let Some(cache) = &shared.settings.cache_status {
        CacheStatus { cache, outcome: Outcome::Forwarded(forwarded), detail }.append(headers);
    }
}
