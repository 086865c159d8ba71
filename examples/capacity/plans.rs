//! The fleets that are worked out: sizes, and storms.

use crate::costs::{Cost, Costs, Loads};
use crate::model::{Limit, Need, Use, need};
use crate::simulation::{Fleet, Rates, simulate};

/// Every simulation begins with it, so that the same measurements give the same page.
const SEED: u64 = 20_261_124;

/// A fleet, what happens in it, and what it needs.
pub(crate) struct Plan {
    /// What is set so that it needs less, for people.
    pub(crate) with: &'static str,
    pub(crate) fleet: Fleet,
    pub(crate) rates: Rates,
    /// With requests that come one by one, which is the most it can need.
    pub(crate) apart: Side,
    /// With all that go together, which is the least.
    pub(crate) together: Side,
}

/// What is needed at one end.
pub(crate) struct Side {
    /// On one primary.
    pub(crate) alone: Need,
    /// What runs out first there, and by how much it is used.
    pub(crate) first: Use,
    /// How many primaries carry it.
    pub(crate) primaries: f64,
    /// What is used most on so many.
    pub(crate) then: Use,
}

impl Side {
    fn of(costs: &Costs, fleet: &Fleet, rates: &Rates, liveness: f64) -> Self {
        let costs = &asked_less(costs, liveness);
        let on = |primaries| need(costs, rates, fleet.instances, primaries, fleet.near);
        let alone = on(1.0);
        // Each primary is asked by each near-cache for its life, so more of them cost more.
        let mut primaries = 1.0;
        for _ in 0..20 {
            primaries = on(primaries).primaries().max(primaries);
        }
        let (first, then) = (alone.uses(1.0)[0], on(primaries).uses(primaries)[0]);
        Self { alone, first, primaries, then }
    }
}

impl Plan {
    /// `liveness` is how old a proof of the feed's life may be, in seconds.
    fn of(costs: &Loads, fleet: Fleet, liveness: f64, with: &'static str) -> Self {
        let rates = simulate(&fleet, SEED);
        let side = |costs| Side::of(costs, &fleet, &rates, liveness);
        let (apart, together) = (side(&costs.apart), side(&costs.together));
        Self { with, fleet, rates, apart, together }
    }

    /// By how much of what runs out first is used on one primary: by the costs together, and apart.
    pub(crate) fn first_used(&self) -> (f64, f64) {
        let (limit, used) = self.apart.first;
        let together = self.together.alone.uses(1.0).into_iter().find(|(other, _)| *other == limit);
        (together.map_or(0.0, |(_, used)| used), used)
    }

    /// What to turn first, if anything must be.
    pub(crate) fn turn(&self) -> &'static str {
        let (limit, used) = self.apart.first;
        if used < crate::model::PLANNED { "nothing" } else { limit.turn(self.fleet.near) }
    }
}

/// What near-caches cost that ask less often whether their feed is alive: measured with 1 s.
fn asked_less(costs: &Costs, liveness: f64) -> Costs {
    let Cost { instance, redis, sent } = costs.idle;
    let by = 1.0 / liveness;
    let idle = Cost { instance: instance * by, redis: redis * by, sent: sent * by };
    Costs { idle, ..costs.clone() }
}

/// Reads a second that one instance serves.
const EACH: f64 = 10_000.0;

/// Instances of the sizes.
const SIZES: [usize; 5] = [1, 4, 10, 100, 1000];

/// Sizes, for each kind of cache and each share of writes: a hundredth and a thousandth.
pub(crate) fn sizes(costs: &Loads) -> Vec<Plan> {
    let mut plans = Vec::new();
    for near in [false, true] {
        for share in [0.01, 0.001] {
            for instances in SIZES {
                #[allow(clippy::cast_precision_loss, reason = "a number of instances")]
                let reads = EACH * instances as f64;
                let fleet = Fleet {
                    instances,
                    tenants: 200,
                    keys_per_tenant: 10,
                    reads,
                    writes: reads * share,
                    written_tenants: 200,
                    whole_tenants: false,
                    near,
                    spread: instances,
                    handler: 5,
                    span: if instances > 100 { 200 } else { 1000 },
                };
                plans.push(Plan::of(costs, fleet, 1.0, ""));
                if near && instances >= 100 {
                    plans.push(Plan::of(costs, fleet, 5.0, ", `liveness` 5 s"));
                    let fleet = Fleet { spread: 10, ..fleet };
                    let with = ", `liveness` 5 s, each tenant on 10 instances";
                    plans.push(Plan::of(costs, fleet, 5.0, with));
                }
            }
        }
    }
    plans
}

/// Storms: writes on few or many tenants of a fleet of a hundred instances and a million reads a
/// second, each of which moves one key or all keys of its tenant.
pub(crate) fn storms(costs: &Loads) -> Vec<Plan> {
    let mut plans = Vec::new();
    for whole_tenants in [false, true] {
        for (writes, written_tenants) in
            [(10.0, 1), (100.0, 1), (1000.0, 1), (100.0, 200), (1000.0, 200), (10_000.0, 200)]
        {
            let fleet = Fleet {
                instances: 100,
                tenants: 200,
                keys_per_tenant: 50,
                reads: 1e6,
                writes,
                written_tenants,
                whole_tenants,
                near: true,
                spread: 100,
                handler: 20,
                span: 1000,
            };
            plans.push(Plan::of(costs, fleet, 1.0, ""));
        }
    }
    plans
}

/// How many writes a second one primary can tell to so many near-caches, by what runs out first.
pub(crate) fn most_told(costs: &Costs, instances: usize) -> (f64, Limit) {
    #[allow(clippy::cast_precision_loss, reason = "a number of instances")]
    let listeners = instances as f64;
    let idle = listeners * costs.idle.redis / 1e6;
    let of_core = costs.write.redis + listeners * costs.told.redis;
    let of_network = listeners * costs.told.sent * 8.0;
    let core = ((crate::model::PLANNED - idle).max(0.0) * 1e6) / of_core.max(f64::MIN_POSITIVE);
    let network = crate::model::NETWORK * crate::model::PLANNED / of_network.max(f64::MIN_POSITIVE);
    if core < network { (core, Limit::RedisCore) } else { (network, Limit::Network) }
}
