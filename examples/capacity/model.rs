//! From what operations cost to what a fleet needs.

use crate::costs::{Check, Cost, Costs, Memory};
use crate::simulation::Rates;

/// Bits that a network card of a Redis host carries in a second.
pub(crate) const NETWORK: f64 = 10e9;

/// Clients that Redis accepts unless told otherwise.
pub(crate) const CLIENTS: f64 = 10_000.0;

/// Cores of an instance.
pub(crate) const CORES: f64 = 4.0;

/// How much of anything is planned to be used.
pub(crate) const PLANNED: f64 = 0.7;

/// What a fleet needs of each thing that can run out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// Cores of Redis, whatever the number of primaries: its commands take one core of each.
    pub(crate) redis_cores: f64,
    /// Bits a second that Redis sends.
    pub(crate) sent: f64,
    /// Of what Redis sends, the feed to near-caches, in bits a second.
    pub(crate) feed: f64,
    /// Cores of one instance.
    pub(crate) instance_cores: f64,
    /// Of these, for hearing what moves.
    pub(crate) hearing_cores: f64,
    /// Connections to each primary.
    pub(crate) clients: f64,
}

/// A thing that can run out, and by how much it is used: 1 is all of it.
pub(crate) type Use = (Limit, f64);

/// What can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    RedisCore,
    Network,
    Instance,
    Clients,
}

impl Limit {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RedisCore => "the core of Redis",
            Self::Network => "the network of Redis",
            Self::Instance => "the cores of an instance",
            Self::Clients => "`maxclients`",
        }
    }

    /// What to turn.
    pub(crate) fn turn(self, near: bool) -> &'static str {
        match (self, near) {
            (Self::RedisCore | Self::Network, false) => "a near-cache; then more primaries",
            (Self::RedisCore, true) => {
                "each tenant on few instances; a longer `liveness`; more primaries"
            }
            (Self::Network, true) => "more primaries; smaller entries",
            (Self::Instance, _) => "more instances",
            (Self::Clients, _) => "`maxclients`, fewer connections an instance",
        }
    }
}

/// Connections of an instance to each primary beside the feed.
const CONNECTIONS: f64 = 1.0;

/// What these rates need, on so many instances and primaries.
#[allow(clippy::cast_precision_loss, reason = "a number of instances")]
pub(crate) fn need(
    costs: &Costs,
    rates: &Rates,
    instances: usize,
    primaries: f64,
    near: bool,
) -> Need {
    let instances = instances as f64;
    let redis_hits = rates.lookups - rates.runs;
    let listeners = if near { instances } else { 0.0 };
    let told = rates.told * listeners;
    let [hit, miss, write] = if near {
        [look_up(costs, rates.lookups / rates.reads), costs.near_miss, costs.near_write]
    } else {
        [costs.hit, costs.miss, costs.write]
    };
    let each = |of: fn(&Cost) -> f64| {
        rates.near_hits * of(&costs.near_hit)
            + redis_hits * of(&hit)
            + rates.runs * of(&miss)
            + rates.writes * of(&write)
            + told * of(&costs.told)
            + listeners * primaries * of(&costs.idle)
    };
    let hearing = rates.told * if near { costs.told.instance } else { 0.0 };
    Need {
        redis_cores: each(|cost| cost.redis) / 1e6,
        sent: each(|cost| cost.sent) * 8.0,
        feed: told * costs.told.sent * 8.0,
        instance_cores: each(|cost| cost.instance) / 1e6 / instances,
        hearing_cores: hearing / 1e6,
        clients: instances * (CONNECTIONS + if near { 1.0 } else { 0.0 }),
    }
}

/// A look-up of an instance with a near-cache that asks for this share of its reads. Those of one
/// moment go together, and together cost about what one does, so the fewer there are the more each costs;
/// up to what was measured of those that are few.
fn look_up(costs: &Costs, share: f64) -> Cost {
    // Without reads it is not a number, which `min` passes over.
    let least = |hit: f64, alone: f64| alone.min(hit / share);
    let (hit, alone) = (costs.hit, costs.near_look_up);
    Cost {
        instance: least(hit.instance, alone.instance),
        redis: least(hit.redis, alone.redis),
        sent: alone.sent,
    }
}

impl Need {
    /// How much of each thing is used, most first, on so many primaries.
    pub(crate) fn uses(&self, primaries: f64) -> [Use; 4] {
        let mut uses = [
            (Limit::RedisCore, self.redis_cores / primaries),
            (Limit::Network, self.sent / NETWORK / primaries),
            (Limit::Instance, self.instance_cores / CORES),
            (Limit::Clients, self.clients / CLIENTS),
        ];
        uses.sort_by(|one, other| other.1.total_cmp(&one.1));
        uses
    }

    /// How many primaries keep Redis within what is planned. What each primary costs by itself comes on
    /// top, so it is asked again with the answer.
    pub(crate) fn primaries(&self) -> f64 {
        (self.redis_cores / PLANNED).max(self.sent / NETWORK / PLANNED).ceil().max(1.0)
    }
}

/// The CPU of a run with several instances, as the costs predict it: of all instances, and of Redis.
pub(crate) fn predicted(costs: &Costs, check: &Check) -> (f64, f64) {
    let reads = check.requests - check.writes;
    let near_hits = if check.near { (reads - check.lookups).max(0.0) } else { 0.0 };
    let rates = Rates {
        reads,
        near_hits,
        lookups: reads - near_hits,
        runs: check.runs,
        writes: check.writes,
        // Writes, and what fills create: the generation of a key's own path.
        told: check.writes + check.fresh,
        ..Rates::default()
    };
    let instances = usize::try_from(check.instances).unwrap_or(1);
    let listening = Costs { idle: times(costs.idle, check.seconds), ..costs.clone() };
    let need = need(&listening, &rates, instances, 1.0, check.near);
    (need.instance_cores * f64::from(check.instances), need.redis_cores)
}

fn times(cost: Cost, by: f64) -> Cost {
    Cost { instance: cost.instance * by, redis: cost.redis * by, sent: cost.sent * by }
}

/// By how much a prediction is off, as a part of what was measured.
pub(crate) fn off(predicted: f64, measured: f64) -> f64 {
    if measured == 0.0 { 0.0 } else { predicted / measured - 1.0 }
}

/// How many keys of such a body fit into so many bytes.
pub(crate) fn keys_in(memory: &Memory, bytes: f64) -> f64 {
    (bytes / memory.key.max(1.0)).floor()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs() -> Costs {
        let cost = |instance, redis, sent| Cost { instance, redis, sent };
        Costs {
            bare: cost(10.0, 0.0, 0.0),
            hit: cost(30.0, 5.0, 1500.0),
            near_hit: cost(15.0, 0.0, 0.0),
            miss: cost(100.0, 30.0, 300.0),
            write: cost(40.0, 10.0, 10.0),
            near_look_up: cost(40.0, 6.0, 1500.0),
            near_miss: cost(110.0, 30.0, 300.0),
            near_write: cost(50.0, 10.0, 10.0),
            told: cost(2.0, 1.0, 60.0),
            idle: cost(100.0, 200.0, 4000.0),
        }
    }

    #[test]
    fn what_is_asked_of_redis_is_what_near_caches_leave() {
        let rates = Rates { reads: 1e5, lookups: 1e5, ..Rates::default() };
        let without = need(&costs(), &rates, 10, 1.0, false);
        assert!((without.redis_cores - 0.5).abs() < 1e-9);
        assert_eq!(without.uses(1.0)[0].0, Limit::RedisCore);
        let rates = Rates { lookups: 0.0, near_hits: 1e5, ..rates };
        let with = need(&costs(), &rates, 10, 1.0, true);
        assert!((with.redis_cores - 0.002).abs() < 1e-9, "ten that listen: {with:?}");
    }

    #[test]
    fn look_ups_cost_less_the_more_of_them_there_are() {
        let redis = |share| look_up(&costs(), share).redis;
        assert!((redis(1.0) - 5.0).abs() < 1e-9, "as without a near-cache");
        assert!((redis(0.9) - 5.0 / 0.9).abs() < 1e-9);
        assert!((redis(0.1) - 6.0).abs() < 1e-9, "as measured of few");
        assert!((redis(f64::NAN) - 6.0).abs() < 1e-9);
    }

    #[test]
    fn the_feed_grows_with_writes_times_instances() {
        let rates = Rates { writes: 100.0, told: 100.0, ..Rates::default() };
        let feed = |instances| need(&costs(), &rates, instances, 1.0, true).feed;
        assert!((feed(1000) / feed(10) - 100.0).abs() < 1e-9);
        assert!((feed(1) - 100.0 * 60.0 * 8.0).abs() < 1e-9);
    }

    #[test]
    fn primaries_share_the_work_of_redis() {
        let rates = Rates { reads: 1e6, lookups: 1e6, ..Rates::default() };
        let need = need(&costs(), &rates, 100, 1.0, false);
        assert!((need.redis_cores - 5.0).abs() < 1e-9);
        assert!((need.primaries() - 8.0).abs() < 1e-9);
        assert!(need.uses(8.0).iter().all(|(_, used)| *used <= 1.3));
    }
}
