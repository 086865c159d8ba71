//! The metrics of one cache and of each of its routes. Made once, when the cache is built: nothing
//! is looked up and nothing allocated for a request.

#![cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "levels are for metrics alone"))]

use std::sync::OnceLock;

use super::answered::Answered;
use super::handle::{Count, Labels, Level, Reasons, Times, describe};
use super::names;
use super::seam::Bound;

/// Those of a route.
#[derive(Debug)]
pub(super) struct RouteMeters {
    pub(super) answered: [Count; Answered::ALL.len()],
    pub(super) bypasses: Reasons,
    pub(super) near: Count,
    pub(super) stored: Count,
    pub(super) refused_fills: Reasons,
    pub(super) uncacheable: Reasons,
    pub(super) saved: Count,
    pub(super) handler: Times,
    pub(super) lookup: Times,
    pub(super) fill: Times,
}

impl RouteMeters {
    pub(super) fn new(namespace: &str, method: &str, route: &str) -> Self {
        let labels = [("namespace", namespace), ("method", method), ("route", route)];
        let all = Labels::new(&labels);
        let answered =
            |how: Answered| Count::new(names::REQUESTS, &all, &[("outcome", how.as_str())]);
        Self {
            answered: Answered::ALL.map(answered),
            bypasses: Reasons::new(names::BYPASSES, &labels),
            near: Count::new(names::NEAR_LOOKUPS, &all, &[]),
            stored: Count::new(names::STORED, &all, &[]),
            refused_fills: Reasons::new(names::REFUSED_FILLS, &labels),
            uncacheable: Reasons::new(names::UNCACHEABLE, &labels),
            saved: Count::new(names::SAVED, &all, &[]),
            handler: Times::new(names::HANDLER, &all, &[]),
            lookup: Times::new(names::LOOKUP, &all, &[]),
            fill: Times::new(names::FILL, &all, &[]),
        }
    }
}

/// Those of a cache.
#[derive(Debug)]
pub(super) struct Meters {
    steps: [StepMeters; STEPS.len()],
    pub(super) decode: Times,
    labels: Labels,
    /// Only of a store that has some.
    connections: OnceLock<Connections>,
    /// Only of a store that has one.
    near: OnceLock<NearMeters>,
    pub(super) breaker_open: Level,
    pub(super) breaker_openings: Count,
    pub(super) dirty: Level,
    pub(super) flights: Level,
    pub(super) confirmed: Count,
    pub(super) unconfirmed: Count,
    pub(super) lag: Times,
    pub(super) moved: Count,
    pub(super) unfenced: Count,
    pub(super) over_capacity: Count,
    unusable: [Count; Unusable::ALL.len()],
    over: [Count; Bound::ALL.len()],
}

/// Those of a pool.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) open: Level,
    pub(super) missing: Level,
}

/// Those of a near-cache.
#[derive(Debug)]
pub(super) struct NearMeters {
    pub(super) bytes: Level,
    pub(super) alive: Level,
}

/// The steps of the store that the flow takes, the most frequent first; the last stands for any
/// that is not listed.
const STEPS: [&str; 17] = [
    "lookup",
    "miss",
    "fill",
    "generations",
    "stamp",
    "invalidate",
    "release",
    "renew",
    "fence",
    "lift",
    "discard",
    "remove",
    "delete_pattern",
    "trim",
    "keys",
    "ping",
    "other",
];

/// What came of a step, as the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepResult {
    Ok,
    Timeout,
    Unavailable,
    Refused,
    Protocol,
    Skipped,
}

impl StepResult {
    const ALL: [Self; 6] =
        [Self::Ok, Self::Timeout, Self::Unavailable, Self::Refused, Self::Protocol, Self::Skipped];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Skipped => "skipped",
        }
    }
}

/// Why stored bytes are of no use, as the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Foreign,
    OtherVersion,
    Truncated,
    Checksum,
    Malformed,
    Mismatched,
    Oversized,
}

impl Unusable {
    const ALL: [Self; 7] = [
        Self::Foreign,
        Self::OtherVersion,
        Self::Truncated,
        Self::Checksum,
        Self::Malformed,
        Self::Mismatched,
        Self::Oversized,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::OtherVersion => "other-version",
            Self::Truncated => "truncated",
            Self::Checksum => "checksum",
            Self::Malformed => "malformed",
            Self::Mismatched => "mismatched",
            Self::Oversized => "oversized",
        }
    }
}

#[derive(Debug)]
pub(super) struct StepMeters {
    results: [Count; StepResult::ALL.len()],
    pub(super) times: Times,
}

impl StepMeters {
    pub(super) fn count(&self, result: StepResult) {
        self.results[result as usize].increment();
    }
}

impl Meters {
    pub(super) fn new(namespace: &str) -> Self {
        for (name, kind, meaning) in names::ALL {
            describe(name, *kind, meaning);
        }
        let all = Labels::new(&[("namespace", namespace)]);
        let count = |name| Count::new(name, &all, &[]);
        let level = |name| Level::new(name, &all, &[]);
        let steps = STEPS.map(|step| StepMeters {
            results: StepResult::ALL.map(|result| {
                let labels = [("step", step), ("result", result.as_str())];
                Count::new(names::STORE_STEPS, &all, &labels)
            }),
            times: Times::new(names::STORE, &all, &[("step", step)]),
        });
        let invalidations = |result| Count::new(names::INVALIDATIONS, &all, &[("result", result)]);
        Self {
            steps,
            decode: Times::new(names::DECODE, &all, &[]),
            connections: OnceLock::new(),
            near: OnceLock::new(),
            breaker_open: level(names::BREAKER_OPEN),
            breaker_openings: count(names::BREAKER_OPENINGS),
            dirty: level(names::DIRTY),
            flights: level(names::FLIGHTS),
            confirmed: invalidations("confirmed"),
            unconfirmed: invalidations("unconfirmed"),
            lag: Times::new(names::LAG, &all, &[]),
            moved: count(names::MOVED),
            unfenced: count(names::UNFENCED),
            over_capacity: count(names::OVER_CAPACITY),
            unusable: Unusable::ALL
                .map(|why| Count::new(names::UNUSABLE, &all, &[("reason", why.as_str())])),
            over: Bound::ALL
                .map(|bound| Count::new(names::OVER_BOUND, &all, &[("bound", bound.as_str())])),
            labels: all,
        }
    }

    pub(super) fn unusable(&self, why: Unusable) {
        self.unusable[why as usize].increment();
    }

    pub(super) fn over(&self, bound: Bound) {
        self.over[bound as usize].increment();
    }

    pub(super) fn connections(&self) -> &Connections {
        self.connections.get_or_init(|| {
            let level = |state| Level::new(names::CONNECTIONS, &self.labels, &[("state", state)]);
            Connections { open: level("open"), missing: level("missing") }
        })
    }

    pub(super) fn near(&self) -> &NearMeters {
        self.near.get_or_init(|| NearMeters {
            bytes: Level::new(names::NEAR_BYTES, &self.labels, &[]),
            alive: Level::new(names::NEAR_ALIVE, &self.labels, &[]),
        })
    }

    /// Those of the step with this name.
    pub(super) fn step(&self, name: &str) -> &StepMeters {
        let place = STEPS.iter().position(|known| *known == name);
        &self.steps[place.unwrap_or(STEPS.len() - 1)]
    }
}
