//! The names of metrics: stable, and the table of docs/METRICS.md.

/// What kind of metric a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! names {
    ($($(#[doc = $meaning:literal])+ $kind:ident $name:ident = $text:literal;)*) => {
        $($(#[doc = $meaning])+ pub(super) const $name: &str = $text;)*

        /// All of them, with what they mean.
        pub(super) const ALL: &[(&str, Kind, &str)] =
            &[$(($text, Kind::$kind, concat!($($meaning),+).trim_ascii())),*];
    };
}

names! {
    /// Requests on cached routes, each in one outcome.
    Counter REQUESTS = "response_cache_requests_total";
    /// Requests that went past the cache, by reason.
    Counter BYPASSES = "response_cache_bypasses_total";
    /// Look-ups that the memory of the process answered, or whose bytes it gave.
    Counter NEAR_LOOKUPS = "response_cache_near_lookups_total";
    /// Responses stored.
    Counter STORED = "response_cache_stored_total";
    /// Fills that the store refused, by reason.
    Counter REFUSED_FILLS = "response_cache_refused_fills_total";
    /// Responses that may not be stored, by reason.
    Counter UNCACHEABLE = "response_cache_uncacheable_total";
    /// Handler time that answers from the cache have saved.
    Counter SAVED = "response_cache_saved_microseconds_total";
    /// Time from the call of the handler until its response's head, or its error.
    Histogram HANDLER = "response_cache_handler_seconds";
    /// Time that a look-up took, whatever its number of steps.
    Histogram LOOKUP = "response_cache_lookup_seconds";
    /// Time that storing a response took.
    Histogram FILL = "response_cache_fill_seconds";
    /// Time that decoding a stored response took.
    Histogram DECODE = "response_cache_decode_seconds";
    /// Steps of the store, by what came of them.
    Counter STORE_STEPS = "response_cache_store_steps_total";
    /// Time of the steps of the store that had to be waited for.
    Histogram STORE = "response_cache_store_seconds";
    /// Connections to the store.
    Gauge CONNECTIONS = "response_cache_store_connections";
    /// 1 while the store is taken to be away and is not asked.
    Gauge BREAKER_OPEN = "response_cache_breaker_open";
    /// Times that the breaker has opened.
    Counter BREAKER_OPENINGS = "response_cache_breaker_openings_total";
    /// Bytes that the near-cache holds.
    Gauge NEAR_BYTES = "response_cache_near_bytes";
    /// 1 while the near-cache answers.
    Gauge NEAR_ALIVE = "response_cache_near_alive";
    /// Scopes whose invalidation is not confirmed.
    Gauge DIRTY = "response_cache_dirty_scopes";
    /// Keys that have a flight.
    Gauge FLIGHTS = "response_cache_flights";
    /// Invalidations, by whether the store confirmed them at once or later, or not at once.
    Counter INVALIDATIONS = "response_cache_invalidations_total";
    /// Time from the handler's end, or from the call, until an invalidation is confirmed.
    Histogram LAG = "response_cache_invalidation_lag_seconds";
    /// Generations that invalidations have moved.
    Counter MOVED = "response_cache_generations_moved_total";
    /// Mutating requests that ran without the fence that their rule asks for.
    Counter UNFENCED = "response_cache_unfenced_total";
    /// Requests that found no room for a run in time.
    Counter OVER_CAPACITY = "response_cache_over_capacity_total";
    /// Stored bytes that could not be used, by reason.
    Counter UNUSABLE = "response_cache_unusable_entries_total";
    /// Times that something was over a bound of the cache's own.
    Counter OVER_BOUND = "response_cache_over_bound_total";
}
