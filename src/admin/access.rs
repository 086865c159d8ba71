//! Whose keys a router reaches.

use std::sync::Arc;

use super::problem::Problem;
use crate::flow::Shared;
use crate::key::{ScopeNames, Space};
use crate::{Cache, RouteStats, Stats, TenantCache};

/// What a router has been given to work with. One that is confined holds no way to anything else than
/// its tenant's part.
pub(super) enum Access {
    Operator(Cache),
    Tenant(TenantCache),
}

impl Access {
    /// The part of the cache that a request is about. A router of one tenant has only that, and
    /// refuses a request that names another one instead of taking it for its own.
    pub(super) fn part(
        &self,
        tenant: Option<&str>,
        tenantless: bool,
    ) -> Result<TenantCache, Problem> {
        match (self, tenant, tenantless) {
            (_, Some(_), true) => {
                Err(Problem::bad("`tenant` and `tenantless` exclude each other: leave one out"))
            }
            (Self::Operator(cache), Some(tenant), false) => cache
                .tenant(tenant)
                .map_err(|_| Problem::bad("a tenant is 1 to 128 characters, none of them control")),
            (Self::Operator(cache), None, true) => Ok(cache.tenantless()),
            (Self::Operator(_), None, false) => Err(Problem::bad(
                "say whose keys are meant: `tenant`, or `tenantless` for those that belong to none",
            )),
            (Self::Tenant(own), None, false) => Ok(own.clone()),
            (Self::Tenant(own), Some(tenant), false)
                if self.shared().rules.space(tenant) == *own.space() =>
            {
                Ok(own.clone())
            }
            (Self::Tenant(own), None, true) if own.is_tenantless() => Ok(own.clone()),
            (Self::Tenant(_), _, _) => Err(Problem::confined()),
        }
    }

    /// Whether an invalidation stays within what this router reaches: a named set may reach all
    /// tenants.
    pub(super) fn admits(&self, scopes: &ScopeNames) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Tenant(own) => scopes.space() == own.space() && scopes.all_tenants().is_none(),
        }
    }

    /// Whether what happened in this space is shown.
    pub(super) fn shows(&self, space: &Space) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Tenant(own) => space == own.space(),
        }
    }

    /// Whether routes of this kind are within reach.
    pub(super) fn shows_routes(&self, tenantless: bool) -> bool {
        match self {
            Self::Operator(_) => true,
            Self::Tenant(own) => own.is_tenantless() == tenantless,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        match self {
            Self::Operator(cache) => cache.shared(),
            Self::Tenant(own) => own.shared(),
        }
    }

    /// The counts, which are of all tenants together, and so for operators alone.
    pub(super) fn stats(&self) -> Option<Stats> {
        match self {
            Self::Operator(cache) => Some(cache.stats()),
            Self::Tenant(_) => None,
        }
    }

    /// The same by route; none for one tenant.
    pub(super) fn route_stats(&self) -> Vec<RouteStats> {
        match self {
            Self::Operator(cache) => cache.route_stats(),
            Self::Tenant(_) => Vec::new(),
        }
    }

    /// The tenant that the router is confined to, as it is written; empty for no tenant.
    pub(super) fn confined_to(&self) -> Option<String> {
        match self {
            Self::Operator(_) => None,
            Self::Tenant(own) => Some(tenant_of(own.space()).unwrap_or_default()),
        }
    }
}

/// The tenant of a space as it is written, or `None` for what belongs to none.
pub(super) fn tenant_of(space: &Space) -> Option<String> {
    let escaped = space.escaped_tenant();
    let decoded = percent_encoding::percent_decode_str(escaped).decode_utf8_lossy();
    (escaped != "!").then(|| decoded.into_owned())
}
