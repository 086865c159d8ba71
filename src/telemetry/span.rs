//! The span of a request on a cached route.

use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span};

use super::answered::Answered;

/// The span of a request on this route, at the debug level: without a subscriber that wants it,
/// none at all.
pub(crate) fn of_read(method: &str, route: &str) -> Span {
    if is_off() {
        return Span::none();
    }
    tracing::debug_span!("cached_request", method, route, outcome = Empty, reason = Empty)
}

/// The span of a request that may change what is cached.
pub(crate) fn of_write(method: &str) -> Span {
    if is_off() {
        return Span::none();
    }
    tracing::debug_span!("mutating_request", method)
}

/// Whether nobody wants any. With the feature `log` of tracing the macros make one all the same, which
/// costs a hit more than it says.
fn is_off() -> bool {
    LevelFilter::current() < Level::DEBUG
}

/// Says in the current span how its request was answered.
pub(super) fn record(how: Answered, reason: Option<&str>) {
    // Cheaper than to ask for the current span.
    if !tracing::enabled!(Level::DEBUG) {
        return;
    }
    let span = Span::current();
    span.record("outcome", how.as_str());
    if let Some(reason) = reason {
        span.record("reason", reason);
    }
}
