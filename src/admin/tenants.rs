//! The tenants with the most requests, which are for operators alone.

use serde::Serialize;

use super::access::tenant_of;
use super::samples::ratio;
use crate::flow::Shared;
use crate::key::Space;
use crate::telemetry::{TenantLine, Top};

/// How many are told.
const TOLD: usize = 50;

/// The tenants with the most requests, since the counting began.
#[derive(Debug, Serialize)]
pub(super) struct Tenants {
    /// How many requests were counted, of all tenants: those that were answered with what is stored, or
    /// by a handler, and had a key.
    pub(super) requests: u64,
    /// Whether one of 16 is counted by now, so that all counts are estimates.
    pub(super) sampled: bool,
    pub(super) top: Vec<TenantCount>,
}

/// One tenant.
#[derive(Debug, Serialize)]
pub(super) struct TenantCount {
    /// `null` for what belongs to no tenant.
    pub(super) tenant: Option<String>,
    /// At most so many, of what was counted.
    pub(super) requests: u64,
    /// At least so many: fewer where its counter was another tenant's before.
    pub(super) at_least: u64,
    /// How many of those were answered with what was stored.
    pub(super) hits: u64,
    /// Their part of `at_least`.
    pub(super) hit_ratio: Option<f64>,
    /// The part of `requests` in those of all tenants.
    pub(super) share: Option<f64>,
}

/// Nothing where they are not counted.
pub(super) fn tenants(shared: &Shared) -> Option<Tenants> {
    shared.tenants.is_on().then(|| Tenants::of(&shared.tenants.top(TOLD)))
}

impl Tenants {
    fn of(top: &Top) -> Self {
        let line = |line: &TenantLine| TenantCount::of(line, top.total);
        Self {
            requests: top.total,
            sampled: top.is_sampled,
            top: top.lines.iter().map(line).collect(),
        }
    }
}

impl TenantCount {
    fn of(line: &TenantLine, total: u64) -> Self {
        let space: &Space = &line.key;
        let round = |ratio: f64| (ratio * 1e4).round() / 1e4;
        Self {
            tenant: tenant_of(space),
            requests: line.count,
            at_least: line.at_least(),
            hits: line.hits,
            hit_ratio: ratio(line.hits, line.at_least()).map(round),
            share: ratio(line.count, total).map(round),
        }
    }
}
