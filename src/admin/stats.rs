//! What has happened, as counts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::access::tenant_of;
use super::moment::{millis, rfc3339};
use super::router::Admin;
use super::samples::{Step, ratio};
use super::tenants::{Tenants, tenants};
use crate::RouteStats;
use crate::clock::{Clock as _, SystemClock};
use crate::flow;
use crate::telemetry::Invalidation;

/// All of it, as of one moment.
#[derive(Debug, Serialize)]
pub(super) struct Numbers {
    pub(super) at: String,
    pub(super) store: Health,
    /// Of all tenants together, so that the router of one has none.
    pub(super) totals: Option<Totals>,
    pub(super) recent_invalidations: Vec<Recent>,
}

/// Whether the store is there.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// Whether it has answered just now.
    pub(super) answers: bool,
    pub(super) error: Option<String>,
    pub(super) ping_ms: Option<f64>,
    /// Whether it is taken to be away, and not asked.
    pub(super) breaker_open: bool,
    /// Scopes whose invalidation is not confirmed; `null` for the router of one tenant.
    pub(super) unconfirmed_scopes: Option<usize>,
}

#[derive(Debug, Serialize)]
pub(super) struct Totals {
    /// The counts of [`Stats`](crate::Stats).
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) requests: u64,
    /// Requests on cached routes, each in one of these.
    pub(super) outcomes: Outcomes,
    /// What part of the requests was answered with what was stored, without a handler.
    pub(super) hit_ratio: Option<f64>,
    pub(super) handler: HandlerTime,
    /// By route, the one with the most requests first.
    pub(super) routes: Vec<RouteLine>,
    /// By tenant; `null` where that is not counted.
    pub(super) tenants: Option<Tenants>,
    /// The last minutes, as far as somebody has looked.
    pub(super) history: Vec<Past>,
    #[serde(skip)]
    pub(super) steps: Vec<Step>,
}

/// How requests were answered.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Outcomes {
    pub(super) hit: u64,
    pub(super) stale: u64,
    pub(super) recalled: u64,
    pub(super) collapsed: u64,
    pub(super) revalidated: u64,
    pub(super) miss: u64,
    pub(super) bypass: u64,
    pub(super) refused: u64,
    pub(super) error: u64,
}

/// What handlers have worked, and what they did not have to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct HandlerTime {
    pub(super) runs: u64,
    pub(super) spent_ms: f64,
    pub(super) saved_ms: f64,
    /// How long a run takes, on average.
    pub(super) run_ms: Option<f64>,
    /// What handlers work for a request, on average, and what they would without the cache, at
    /// least: a hit has the time that its stored response had cost, and one that waited for the run
    /// of another has none. What the cache and the store take is in neither.
    pub(super) with_cache_ms: Option<f64>,
    pub(super) without_cache_ms: Option<f64>,
    #[serde(skip)]
    pub(super) saved: Duration,
}

/// One route.
#[derive(Debug, Serialize)]
pub(super) struct RouteLine {
    pub(super) method: String,
    pub(super) template: String,
    pub(super) requests: u64,
    pub(super) outcomes: Outcomes,
    pub(super) hit_ratio: Option<f64>,
    pub(super) stored: u64,
    pub(super) handler: HandlerTime,
}

/// What happened between two looks.
#[derive(Debug, Serialize)]
pub(super) struct Past {
    pub(super) seconds_ago: f64,
    pub(super) requests: u64,
    pub(super) requests_per_second: f64,
    pub(super) hit_ratio: Option<f64>,
}

/// An invalidation.
#[derive(Debug, Serialize)]
pub(super) struct Recent {
    pub(super) at: String,
    /// `null` for what belongs to no tenant.
    pub(super) tenant: Option<String>,
    /// The first of its scopes.
    pub(super) scopes: Vec<String>,
    /// How many there were.
    pub(super) count: usize,
    pub(super) confirmed: bool,
    /// How long it took until the store had confirmed it.
    pub(super) lag_ms: Option<f64>,
}

pub(super) async fn stats(admin: &Admin) -> Numbers {
    let access = &admin.access;
    let shared = access.shared();
    let ping = flow::ping(shared).await;
    let health = Health {
        answers: ping.is_ok(),
        error: ping.as_ref().err().map(ToString::to_string),
        ping_ms: ping.ok().map(millis),
        breaker_open: shared.is_store_away(),
        unconfirmed_scopes: access.stats().map(|_| shared.dirty.len()),
    };
    let recent = shared.recent.list(|space| access.shows(space));
    Numbers {
        at: rfc3339(SystemClock.millis()),
        store: health,
        totals: totals(admin),
        recent_invalidations: recent.iter().map(Recent::of).collect(),
    }
}

fn totals(admin: &Admin) -> Option<Totals> {
    let (stats, by_route) = (admin.access.stats()?, admin.access.route_stats());
    let outcomes = by_route.iter().map(Outcomes::of).fold(Outcomes::default(), Outcomes::plus);
    let now = Instant::now();
    admin.samples.take(now, outcomes.total(), outcomes.without_handler());
    let steps = admin.samples.steps(now);
    let mut routes: Vec<RouteLine> = by_route.iter().map(RouteLine::of).collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.requests));
    Some(Totals {
        counts: stats.named().collect(),
        requests: outcomes.total(),
        outcomes,
        hit_ratio: outcomes.hit_ratio(),
        handler: HandlerTime::of(by_route.iter(), outcomes.total()),
        routes,
        tenants: tenants(admin.access.shared()),
        history: steps.iter().map(Past::of).collect(),
        steps,
    })
}

impl Outcomes {
    fn of(route: &RouteStats) -> Self {
        Self {
            hit: route.hits,
            stale: route.stale,
            recalled: route.recalled,
            collapsed: route.collapsed,
            revalidated: route.revalidated,
            miss: route.misses,
            bypass: route.bypasses,
            refused: route.refused,
            error: route.errors,
        }
    }

    /// Each with its name, in the order in which the page has them.
    pub(super) fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("hit", self.hit),
            ("stale", self.stale),
            ("recalled", self.recalled),
            ("collapsed", self.collapsed),
            ("revalidated", self.revalidated),
            ("miss", self.miss),
            ("bypass", self.bypass),
            ("refused", self.refused),
            ("error", self.error),
        ]
    }

    fn plus(self, other: Self) -> Self {
        Self {
            hit: self.hit + other.hit,
            stale: self.stale + other.stale,
            recalled: self.recalled + other.recalled,
            collapsed: self.collapsed + other.collapsed,
            revalidated: self.revalidated + other.revalidated,
            miss: self.miss + other.miss,
            bypass: self.bypass + other.bypass,
            refused: self.refused + other.refused,
            error: self.error + other.error,
        }
    }

    fn total(&self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }

    fn without_handler(&self) -> u64 {
        self.hit + self.stale + self.recalled
    }

    fn hit_ratio(&self) -> Option<f64> {
        ratio(self.without_handler(), self.total())
    }
}

impl HandlerTime {
    fn of<'a>(routes: impl Iterator<Item = &'a RouteStats>, requests: u64) -> Self {
        let (mut runs, mut spent, mut saved) = (0, Duration::ZERO, Duration::ZERO);
        for route in routes {
            runs += route.runs;
            spent += route.handler_time;
            saved += route.saved_time;
        }
        let mean = |time, of| ratio(1, of).map(|share| (millis(time) * share * 1e3).round() / 1e3);
        let per_request = |time| mean(time, requests);
        Self {
            runs,
            spent_ms: millis(spent),
            saved_ms: millis(saved),
            run_ms: mean(spent, runs),
            with_cache_ms: per_request(spent),
            without_cache_ms: per_request(spent + saved),
            saved,
        }
    }
}

impl RouteLine {
    fn of(route: &RouteStats) -> Self {
        let outcomes = Outcomes::of(route);
        Self {
            method: route.method.to_string(),
            template: route.template.to_string(),
            requests: outcomes.total(),
            outcomes,
            hit_ratio: outcomes.hit_ratio(),
            stored: route.stored,
            handler: HandlerTime::of(std::iter::once(route), outcomes.total()),
        }
    }
}

impl Past {
    fn of(step: &Step) -> Self {
        let round = |number: f64| (number * 1e3).round() / 1e3;
        Self {
            seconds_ago: round(step.ago.as_secs_f64()),
            requests: step.requests,
            requests_per_second: round(step.per_second),
            hit_ratio: step.hit_ratio.map(round),
        }
    }
}

impl Recent {
    fn of(known: &Invalidation) -> Self {
        Self {
            at: rfc3339(known.at),
            tenant: tenant_of(&known.space),
            scopes: known.scopes.clone(),
            count: known.count,
            confirmed: known.lag.is_some(),
            lag_ms: known.lag.map(millis),
        }
    }
}
