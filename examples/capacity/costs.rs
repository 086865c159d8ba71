//! What was measured, as `scripts/scale` writes it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One run of `scripts/scale`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Measured {
    /// On what and when, in rows.
    pub(crate) machine: Vec<(String, String)>,
    pub(crate) costs: Loads,
    pub(crate) memory: Memory,
    pub(crate) checks: Vec<Check>,
    pub(crate) cluster: Vec<ClusterRun>,
}

/// CPU of one operation, in microseconds: of an instance, and of Redis.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) struct Cost {
    pub(crate) instance: f64,
    pub(crate) redis: f64,
    /// What Redis sends for it, in bytes.
    pub(crate) sent: f64,
}

/// The costs at two loads, which are the ends of what there is between them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Loads {
    /// Of requests that come one by one: each wakes the instance, and Redis.
    pub(crate) apart: Costs,
    /// Of 64 clients at once, whose commands go together.
    pub(crate) together: Costs,
}

/// One of the two loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Load {
    Apart,
    Together,
}

impl Loads {
    pub(crate) fn of(&self, load: Load) -> &Costs {
        match load {
            Load::Apart => &self.apart,
            Load::Together => &self.together,
        }
    }
}

/// The costs of all operations.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Costs {
    /// Serving a request without a cache.
    pub(crate) bare: Cost,
    /// A hit that Redis answers.
    pub(crate) hit: Cost,
    /// A hit that the near-cache answers.
    pub(crate) near_hit: Cost,
    /// A look-up that finds nothing, the miss script, the handler without its own work, and the fill.
    pub(crate) miss: Cost,
    /// A write: its response, and the script that moves one scope.
    pub(crate) write: Cost,
    /// On an instance with a near-cache, among its hits: a look-up that Redis answers.
    pub(crate) near_look_up: Cost,
    /// The same as `miss` there, without what near-caches are told.
    pub(crate) near_miss: Cost,
    /// The same as `write` there, without what near-caches are told.
    pub(crate) near_write: Cost,
    /// One move, told to one near-cache.
    pub(crate) told: Cost,
    /// A second of an instance with a near-cache that nobody asks.
    pub(crate) idle: Cost,
}

/// What Redis keeps, in bytes, by what it is.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Memory {
    /// The size of the responses' bodies.
    pub(crate) body: f64,
    /// By what is kept: an entry, a generation, …
    pub(crate) kept: BTreeMap<String, f64>,
    /// What a key costs altogether, by the growth of the server: with a scope of its own.
    pub(crate) key: f64,
}

/// A run with several instances and mixed traffic.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Check {
    /// With which of the costs it is compared.
    pub(crate) load: Load,
    /// For how long a request takes, in whole milliseconds, by how many there are at once.
    pub(crate) latency: u32,
    pub(crate) near: bool,
    pub(crate) instances: u32,
    /// How many keys are asked for again and again.
    pub(crate) keys: u32,
    pub(crate) seconds: f64,
    pub(crate) requests: f64,
    pub(crate) writes: f64,
    /// Reads of keys that nobody has asked for before.
    pub(crate) fresh: f64,
    /// How often the handler ran.
    pub(crate) runs: f64,
    /// How often Redis was asked for an entry.
    pub(crate) lookups: f64,
    /// Seconds of CPU of all instances, and of Redis.
    pub(crate) instance_cpu: f64,
    pub(crate) redis_cpu: f64,
}

/// A run of many tenants, on one server or a cluster.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ClusterRun {
    pub(crate) nodes: u32,
    /// Whether some rule moves all tenants at once.
    pub(crate) everybody: bool,
    pub(crate) tenants: u32,
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    /// How many tenants are on another node than the scope of all tenants, if there is one.
    pub(crate) apart: f64,
    /// Seconds of CPU of each node.
    pub(crate) cpu: Vec<f64>,
    pub(crate) instance_cpu: f64,
}
