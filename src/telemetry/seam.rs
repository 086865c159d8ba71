//! What the flow tells: each thing once, whoever wants to know it.

use std::time::Duration;

use super::answered::Answered;
use super::route::RouteTelemetry;
use super::stats::{Counters, Stats};
use crate::entry::DecodeError;
use crate::protocol::Uncacheable;
use crate::store::Refusal;

/// Everything that one cache counts beside its routes.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    counters: Counters,
}

/// A bound of the cache's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Requests that wait for one run.
    Waiters,
    /// Keys that are waited for.
    Flights,
    /// Bytes that are read ahead of slow clients.
    ReadAhead,
    /// Keys that are remembered as not to be shared.
    Remembered,
    /// Invalidations that are not confirmed, each by itself.
    Dirty,
}

impl Telemetry {
    pub(crate) fn snapshot(&self, breaker_open: bool, read_ahead: usize) -> Stats {
        self.counters.snapshot(breaker_open, read_ahead)
    }

    /// A request on a cached route has its answer.
    pub(crate) fn answered(&self, route: &RouteTelemetry, how: Answered) {
        route.answered(how);
    }

    /// An entry becomes a response, be it for a client or for who refreshes it. Its handler took
    /// `cost` microseconds.
    pub(crate) fn served(&self, route: &RouteTelemetry, how: Answered, cost: u32) {
        match how {
            Answered::Hit => self.counters.hits.increment(),
            Answered::Stale => self.counters.stale.increment(),
            Answered::Recalled => self.counters.recalled.increment(),
            Answered::Collapsed => self.counters.collapsed.increment(),
            Answered::Revalidated => self.counters.revalidated.increment(),
            _ => {}
        }
        if matches!(how, Answered::Hit | Answered::Stale | Answered::Recalled) {
            route.saved(cost);
        }
    }

    /// A key has no valid entry.
    pub(crate) fn missed(&self) {
        self.counters.misses.increment();
    }

    /// A request goes past the cache.
    pub(crate) fn passed_by(&self) {
        self.counters.bypasses.increment();
    }

    /// The memory of this process has answered a look-up, or given its bytes.
    pub(crate) fn near(&self, route: &RouteTelemetry) {
        self.counters.near.increment();
        route.near.increment();
    }

    /// A handler begins to run for what may be shared.
    pub(crate) fn ran(&self) {
        self.counters.runs.increment();
    }

    /// A handler has answered, or failed.
    pub(crate) fn handled(&self, route: &RouteTelemetry, took: Duration) {
        route.handled(took);
    }

    pub(crate) fn over_capacity(&self) {
        self.counters.over_capacity.increment();
    }

    /// A response is stored.
    pub(crate) fn stored(&self, route: &RouteTelemetry) {
        self.counters.stored.increment();
        route.stored.increment();
    }

    /// A response may not be stored.
    pub(crate) fn uncacheable(&self, route: &RouteTelemetry, why: Uncacheable) {
        self.counters.uncacheable.increment();
        if why == Uncacheable::ReadAhead {
            self.over(Bound::ReadAhead);
        }
        route.uncacheable.increment();
    }

    /// The store refused a fill.
    pub(crate) fn refused(&self, route: &RouteTelemetry, why: Refusal) {
        match why {
            Refusal::Space => self.counters.store_errors.increment(),
            _ => self.counters.refused.increment(),
        }
        route.refused_fills.increment();
    }

    /// Stored bytes did not decode.
    pub(crate) fn corrupt(&self, why: DecodeError) {
        self.counters.corrupt.increment();
        let reason = match why {
            DecodeError::Magic => &self.counters.foreign,
            DecodeError::Version(_) => &self.counters.other_version,
            DecodeError::Truncated => &self.counters.truncated,
            DecodeError::Checksum => &self.counters.bad_checksum,
            DecodeError::Malformed => &self.counters.malformed,
        };
        reason.increment();
    }

    /// A stored value is of another type than it is asked for.
    #[cfg(feature = "data")]
    pub(crate) fn of_another_type(&self) {
        self.counters.corrupt.increment();
        self.counters.malformed.increment();
    }

    /// A stored value is larger than any entry.
    pub(crate) fn oversized(&self) {
        self.counters.oversized.increment();
    }

    /// Something was over a bound.
    pub(crate) fn over(&self, bound: Bound) {
        let count = match bound {
            Bound::Waiters => &self.counters.over_waiters,
            Bound::Flights => &self.counters.over_flights,
            Bound::ReadAhead => &self.counters.over_read_ahead,
            Bound::Remembered => &self.counters.unremembered,
            Bound::Dirty => &self.counters.widened,
        };
        count.increment();
    }

    /// Stored bytes were the answer to something else.
    pub(crate) fn mismatched(&self) {
        self.counters.mismatched.increment();
    }

    /// A step of the store failed.
    pub(crate) fn step_failed(&self) {
        self.counters.store_errors.increment();
    }

    /// A step was not taken, since the breaker is open.
    pub(crate) fn step_skipped(&self) {
        self.counters.skipped.increment();
    }

    pub(crate) fn breaker_opened(&self) {
        self.counters.breaker_opened.increment();
    }

    /// An invalidation is confirmed.
    pub(crate) fn invalidated(&self) {
        self.counters.invalidations.increment();
    }

    /// An invalidation was not confirmed at once.
    pub(crate) fn unconfirmed(&self) {
        self.counters.unconfirmed.increment();
    }

    /// A write ran without the fence that its rule asks for.
    pub(crate) fn unfenced(&self) {
        self.counters.unfenced.increment();
    }
}
