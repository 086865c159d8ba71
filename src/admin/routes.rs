//! What is cached, for how long, and what ends it: the configuration as it is in force.

use serde::Serialize;

use super::access::Access;
use crate::key::{KeyTemplate, ScopeKind, ScopeTemplate};
use crate::policy::{CachedRoute, Query, Rules, Users, WriteRule};
use crate::store::Mode;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Configuration {
    pub(super) namespace: String,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) sets: Vec<Set>,
}

/// A cached route.
#[derive(Debug, Serialize)]
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) template: String,
    pub(super) tenantless: bool,
    /// The template of its keys; `path` if it is the path with its query.
    pub(super) key: String,
    /// What of the query is in the key: names, or `all`, or `as the response says`.
    pub(super) query: Vec<String>,
    /// Request headers in the key.
    pub(super) headers: Vec<String>,
    /// Those that are, where a request has them.
    pub(super) headers_if_sent: Vec<String>,
    /// `same`, `per user` or `not said`: then a request with credentials goes past the cache.
    pub(super) users: String,
    /// In seconds; `null` where the request decides.
    pub(super) ttl_s: Option<f64>,
    /// Statuses that are stored beside 200, each with its TTL in seconds.
    pub(super) statuses: Vec<(u16, f64)>,
    pub(super) stale_while_revalidate_s: f64,
    pub(super) stale_if_error_s: f64,
    /// The writes that reach it, such as `PUT /users/{id}`.
    pub(super) invalidated_by: Vec<String>,
    /// The scopes that its keys may have.
    pub(super) scopes: Vec<String>,
}

/// What a write invalidates.
#[derive(Debug, Serialize)]
pub(super) struct Rule {
    /// `PUT /users/{id}`.
    pub(super) on: String,
    pub(super) targets: Vec<String>,
    /// `hard` or `soft`.
    pub(super) mode: &'static str,
    pub(super) fence_s: Option<f64>,
    pub(super) in_background: bool,
    pub(super) must_confirm: bool,
    /// The routes that it reaches.
    pub(super) reaches: Vec<String>,
}

/// A named set.
#[derive(Debug, Serialize)]
pub(super) struct Set {
    pub(super) name: String,
    pub(super) targets: Vec<String>,
    /// Whether it can be invalidated for all values of its parameters.
    pub(super) or_all: bool,
}

/// What there is within reach.
pub(super) fn routes(access: &Access) -> Configuration {
    let rules = &access.shared().rules;
    let shown: Vec<&CachedRoute> = rules
        .routes
        .iter()
        .map(AsRef::as_ref)
        .filter(|route| !route.uncached && access.shows_routes(route.tenantless))
        .collect();
    let writes = rules.mutations.iter().filter(|rule| access.shows_routes(rule.tenantless));
    let mut sets: Vec<Set> = rules
        .sets
        .iter()
        .map(|(name, set)| Set {
            name: name.clone(),
            targets: targets(&set.targets, set.tenant, set.all_tenants),
            or_all: set.or_all,
        })
        .collect();
    sets.sort_by(|one, other| one.name.cmp(&other.name));
    Configuration {
        namespace: rules.namespace.to_string(),
        routes: shown.iter().map(|route| Route::of(route, rules)).collect(),
        rules: writes.map(|rule| Rule::of(rule, &shown)).collect(),
        sets,
    }
}

impl Route {
    fn of(route: &CachedRoute, rules: &Rules) -> Self {
        let mut invalidated_by: Vec<String> = rules
            .mutations
            .iter()
            .filter(|rule| reaches(rule, route))
            .map(|rule| rule.declaration.to_string())
            .collect();
        if route.own_writes == crate::policy::OwnWrites::Invalidate {
            invalidated_by.push("any write to the same path".to_owned());
        }
        let mut scopes = vec!["the tenant".to_owned()];
        scopes.extend(route.scopes.iter().map(|plan| match plan.template() {
            Some(template) => template.to_string(),
            None => format!("path(\"{}\")", route.name),
        }));
        Self {
            method: route.method.as_str(),
            template: route.name.to_string(),
            tenantless: route.tenantless,
            key: match &route.key {
                KeyTemplate::Path => "path".to_owned(),
                KeyTemplate::Text(text) => text.as_str().to_owned(),
            },
            query: match (&route.key, &route.query) {
                (KeyTemplate::Text(_), _) => vec!["what the key names".to_owned()],
                (_, Query::All) => vec!["all".to_owned()],
                (_, Query::AsSaid) => vec!["as the response says".to_owned()],
                (_, Query::Named(names)) => names.clone(),
            },
            headers: route.keyed_headers.iter().map(ToString::to_string).collect(),
            headers_if_sent: route.keyed_if_sent.names().map(str::to_owned).collect(),
            users: match &route.users {
                Some(Users::Same) => "same for all".to_owned(),
                Some(Users::Per(identity)) => format!("per user: {:?}", identity.source()),
                None => "not said".to_owned(),
            },
            ttl_s: route.ttl_with.is_none().then_some(route.ttl.as_secs_f64()),
            statuses: route
                .statuses
                .iter()
                .map(|(status, ttl)| (status.as_u16(), ttl.as_secs_f64()))
                .collect(),
            stale_while_revalidate_s: route.stale_while_revalidate.as_secs_f64(),
            stale_if_error_s: route.stale_if_error.as_secs_f64(),
            invalidated_by,
            scopes,
        }
    }

    /// What of the query is in the key, for people.
    pub(super) fn query_words(&self) -> String {
        if self.query.is_empty() { "nothing".to_owned() } else { self.query.join(", ") }
    }

    /// The TTL, for people.
    pub(super) fn ttl_words(&self) -> String {
        let seconds = self.ttl_s.map(std::time::Duration::from_secs_f64);
        seconds.map_or_else(|| "by request".to_owned(), super::moment::words)
    }
}

impl Rule {
    fn of(rule: &WriteRule, routes: &[&CachedRoute]) -> Self {
        let reached = routes.iter().filter(|route| reaches(rule, route));
        Self {
            on: rule.declaration.to_string(),
            targets: targets(&rule.targets, rule.tenant, rule.all_tenants),
            mode: if rule.effect.mode == Mode::Soft { "soft" } else { "hard" },
            fence_s: rule.effect.fence.as_ref().map(|fence| fence.longest.as_secs_f64()),
            in_background: rule.effect.background,
            must_confirm: rule.effect.must_confirm,
            reaches: reached.map(|route| format!("{} {}", route.method, route.name)).collect(),
        }
    }
}

/// Whether a write on this rule may invalidate entries of this route.
fn reaches(rule: &WriteRule, route: &CachedRoute) -> bool {
    if rule.all_tenants {
        return true;
    }
    let has = |target: &ScopeTemplate| {
        if target.kind() == ScopeKind::Path {
            return route.has_path_of(target);
        }
        let mut templates = route.scopes.iter().filter_map(|plan| plan.template());
        templates.any(|known| match target.kind() {
            ScopeKind::Tag => {
                known.kind() == ScopeKind::Tag && crate::policy::may_be_equal(known, target)
            }
            kind => known.kind() == kind && known.as_str() == target.as_str(),
        })
    };
    rule.tenantless == route.tenantless && (rule.tenant || rule.targets.iter().any(has))
}

fn targets(templates: &[ScopeTemplate], tenant: bool, all_tenants: bool) -> Vec<String> {
    let mut texts: Vec<String> = templates.iter().map(ToString::to_string).collect();
    texts.extend(tenant.then(|| "the tenant".to_owned()));
    texts.extend(all_tenants.then(|| "all tenants".to_owned()));
    texts
}
