//! What the flow tells: each thing once, whoever wants to know it.

use std::time::Duration;

use super::answered::Answered;
use super::handle::Stopwatch;
use super::meters::{Meters, StepResult, Unusable};
use super::outcome::Bypass;
use super::route::RouteTelemetry;
use super::stats::{Counters, Stats};
use crate::entry::DecodeError;
use crate::protocol::Uncacheable;
#[cfg(feature = "metrics")]
use crate::store::StoreStatus;
use crate::store::{Refusal, StoreError, StoreErrorKind};

/// Everything that one cache counts beside its routes.
#[derive(Debug)]
pub(crate) struct Telemetry {
    counters: Counters,
    meters: Meters,
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

impl Bound {
    pub(super) const ALL: [Self; 5] =
        [Self::Waiters, Self::Flights, Self::ReadAhead, Self::Remembered, Self::Dirty];

    /// Its name, the label `bound`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Waiters => "waiters",
            Self::Flights => "flights",
            Self::ReadAhead => "read-ahead",
            Self::Remembered => "remembered",
            Self::Dirty => "dirty",
        }
    }
}

#[allow(clippy::unused_self, reason = "the flow tells the cache, whoever keeps what it hears")]
impl Telemetry {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { counters: Counters::default(), meters: Meters::new(namespace) }
    }

    pub(crate) fn snapshot(&self, breaker_open: bool, read_ahead: usize) -> Stats {
        self.counters.snapshot(breaker_open, read_ahead)
    }

    /// A request on a cached route has its answer; `reason` says why it is that one, if there is
    /// more to say.
    pub(crate) fn answered(&self, route: &RouteTelemetry, how: Answered, reason: Option<&str>) {
        route.answered(how);
        super::span::record(how, reason);
    }

    /// Who asked for a value of the app's own has it. The span around that is somebody else's.
    #[cfg(feature = "data")]
    pub(crate) fn answered_value(&self, route: &RouteTelemetry, how: Answered) {
        route.answered(how);
    }

    /// A request went past the cache, and has its answer.
    pub(crate) fn answered_past(&self, route: &RouteTelemetry, why: Bypass) {
        route.meters.bypasses.increment(why.as_str());
        self.answered(route, Answered::Bypass, Some(why.as_str()));
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
        route.meters.near.increment();
    }

    /// The store was asked what it has, and what it has was judged.
    pub(crate) fn looked_up(&self, route: &RouteTelemetry, since: Stopwatch) {
        route.meters.lookup.record_since(since);
    }

    /// A stored frame was decoded.
    pub(crate) fn decoded(&self, since: Stopwatch) {
        self.meters.decode.record_since(since);
    }

    /// A handler begins to run for what may be shared.
    pub(crate) fn ran(&self) {
        self.counters.runs.increment();
    }

    /// A handler has answered, or failed.
    pub(crate) fn handled(&self, route: &RouteTelemetry, took: Duration) {
        route.handled(took);
    }

    /// There was no room for a run.
    pub(crate) fn over_capacity(&self) {
        self.counters.over_capacity.increment();
        self.meters.over_capacity.increment();
    }

    /// A response is stored.
    pub(crate) fn stored(&self, route: &RouteTelemetry) {
        self.counters.stored.increment();
        route.stored.increment();
        route.meters.stored.increment();
    }

    /// All that storing a response takes is over, whatever came of it.
    pub(crate) fn filled(&self, route: &RouteTelemetry, since: Stopwatch) {
        route.meters.fill.record_since(since);
    }

    /// A response may not be stored.
    pub(crate) fn uncacheable(&self, route: &RouteTelemetry, why: Uncacheable) {
        self.counters.uncacheable.increment();
        if why == Uncacheable::ReadAhead {
            self.over(Bound::ReadAhead);
        }
        route.uncacheable.increment();
        route.meters.uncacheable.increment(why.as_str());
    }

    /// The store refused a fill.
    pub(crate) fn refused(&self, route: &RouteTelemetry, why: Refusal) {
        match why {
            Refusal::Space => self.counters.store_errors.increment(),
            _ => self.counters.refused.increment(),
        }
        route.refused_fills.increment();
        route.meters.refused_fills.increment(why.as_str());
    }

    /// Stored bytes did not decode.
    pub(crate) fn corrupt(&self, why: DecodeError) {
        self.counters.corrupt.increment();
        let (count, reason) = match why {
            DecodeError::Magic => (&self.counters.foreign, Unusable::Foreign),
            DecodeError::Version(_) => (&self.counters.other_version, Unusable::OtherVersion),
            DecodeError::Truncated => (&self.counters.truncated, Unusable::Truncated),
            DecodeError::Checksum => (&self.counters.bad_checksum, Unusable::Checksum),
            DecodeError::Malformed => (&self.counters.malformed, Unusable::Malformed),
        };
        count.increment();
        self.meters.unusable(reason);
    }

    /// A stored value is of another type than it is asked for.
    #[cfg(feature = "data")]
    pub(crate) fn of_another_type(&self) {
        self.counters.corrupt.increment();
        self.counters.malformed.increment();
        self.meters.unusable(Unusable::Malformed);
    }

    /// A stored value is larger than any entry.
    pub(crate) fn oversized(&self) {
        self.counters.oversized.increment();
        self.meters.unusable(Unusable::Oversized);
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
        self.meters.over(bound);
    }

    /// Stored bytes were the answer to something else.
    pub(crate) fn mismatched(&self) {
        self.counters.mismatched.increment();
        self.meters.unusable(Unusable::Mismatched);
    }

    /// A step of the store is over. One that had to be waited for says since when.
    pub(crate) fn stepped(
        &self,
        step: &str,
        error: Option<&StoreError>,
        waited: Option<Stopwatch>,
    ) {
        let meters = self.meters.step(step);
        if let Some(since) = waited {
            meters.times.record_since(since);
        }
        meters.count(match error.map(StoreError::kind) {
            None => StepResult::Ok,
            Some(StoreErrorKind::Timeout) => StepResult::Timeout,
            Some(StoreErrorKind::Unavailable) => StepResult::Unavailable,
            Some(StoreErrorKind::Refused) => StepResult::Refused,
            Some(StoreErrorKind::Protocol) => StepResult::Protocol,
        });
        if error.is_some() {
            self.counters.store_errors.increment();
        }
    }

    /// A step was not taken, since the breaker is open.
    pub(crate) fn step_skipped(&self, step: &str) {
        self.counters.skipped.increment();
        self.meters.step(step).count(StepResult::Skipped);
    }

    /// The store is taken to be away.
    pub(crate) fn breaker_opened(&self) {
        self.counters.breaker_opened.increment();
        self.meters.breaker_openings.increment();
        self.meters.breaker_open.set(1);
    }

    /// The store has confirmed an invalidation, so long after the handler's end.
    pub(crate) fn invalidated(&self, moved: usize, lag: Duration) {
        self.counters.invalidations.increment();
        self.meters.confirmed.increment();
        self.meters.moved.add(moved as u64);
        self.meters.lag.record(lag);
    }

    /// An invalidation was not confirmed at once.
    pub(crate) fn unconfirmed(&self) {
        self.counters.unconfirmed.increment();
        self.meters.unconfirmed.increment();
    }

    /// A write ran without the fence that its rule asks for.
    pub(crate) fn unfenced(&self) {
        self.counters.unfenced.increment();
        self.meters.unfenced.increment();
    }

    /// How things stand.
    #[cfg(feature = "metrics")]
    pub(crate) fn levels(&self, levels: &Levels) {
        let Levels { breaker_open, dirty, flights, store } = levels;
        self.meters.breaker_open.set((*breaker_open).into());
        self.meters.dirty.set(*dirty as u64);
        self.meters.flights.set(*flights as u64);
        if let Some((open, wanted)) = store.connections {
            let connections = self.meters.connections();
            connections.open.set(open.into());
            connections.missing.set(wanted.saturating_sub(open).into());
        }
        if let Some(near) = &store.near {
            let meters = self.meters.near();
            meters.bytes.set(near.bytes);
            meters.alive.set(near.alive.into());
        }
    }
}

/// What goes up and down.
#[cfg(feature = "metrics")]
#[derive(Debug)]
pub(crate) struct Levels {
    pub(crate) breaker_open: bool,
    pub(crate) dirty: usize,
    pub(crate) flights: usize,
    pub(crate) store: StoreStatus,
}
