//! A configuration, in words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::hint::{self, Hint};
use super::words;
use crate::flow::{Attitude, Shared};
use crate::key::{PathTemplate, Reach, ScopeKind, ScopeTemplate};
use crate::policy::{CachedRoute, OwnWrites, WriteRule, may_be_equal};
use crate::store::Mode;

/// What a cache does, worked out from its configuration and from what it has seen so far.
///
/// Its `Display` says it in words, a line for each route, rule and hint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The prefix of everything that is stored.
    pub namespace: String,
    /// Where that is.
    pub store: String,
    /// Where a request's tenant is read from, if there are tenants.
    pub tenant: Option<String>,
    /// Whether the entries of a tenant are [spread](crate::CacheBuilder::spread_tenants) over slots of a
    /// cluster.
    pub is_spread: bool,
    /// Whether responses say themselves how long they are kept (RFC 9111).
    pub rfc9111: bool,
    /// The routes, in the order in which they were declared.
    pub routes: Vec<RouteExplanation>,
    /// The rules, in the order in which they were declared.
    pub rules: Vec<RuleExplanation>,
    /// What looks wrong.
    pub hints: Vec<Hint>,
}

/// What is done with the responses of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteExplanation {
    /// Its method; HEAD is answered from what GET stored.
    pub method: Method,
    /// Its path template.
    pub template: Arc<str>,
    /// Whether it is cached, or declared only so that no other template takes its paths.
    pub is_cached: bool,
    /// What is in its keys, in words.
    pub key: String,
    /// The request headers in its keys.
    pub headers: Vec<HeaderName>,
    /// Who may be served what is stored, in words.
    pub shared_by: String,
    /// How long a response is fresh; `None` if the request says so, by
    /// [`ttl_with`](crate::Route::ttl_with), or the response.
    pub ttl: Option<Duration>,
    /// For how long after that it is served while it is refreshed.
    pub stale_while_revalidate: Duration,
    /// For how long after that it is served if the handler fails.
    pub stale_if_error: Duration,
    /// Whether a mutating request on its own path invalidates it.
    pub is_invalidated_by_own_path: bool,
    /// The rules that may reach it, as `PUT /users/{id}`.
    pub invalidated_by: Vec<String>,
}

/// What one rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleExplanation {
    /// Its method and path template, as `PUT /users/{id}`.
    pub name: String,
    /// What it invalidates, as `subtree("/users/{id}")`.
    pub targets: Vec<String>,
    /// How, in words; empty if in the usual way.
    pub how: String,
    /// The cached routes that it may reach, as `GET /users`.
    pub reaches: Vec<String>,
    /// How many requests on it have come to this process.
    pub fired: u64,
}

/// The configuration of `shared`, in words.
pub(crate) fn explain(shared: &Shared) -> Explanation {
    let rules = &shared.rules;
    let rfc9111 = shared.settings.attitude == Attitude::Rfc9111;
    let routes: Vec<_> = rules.routes.iter().map(|r| route(shared, r, rfc9111)).collect();
    let said: Vec<_> = rules.mutations.iter().map(|known| rule(shared, known)).collect();
    let hints = hint::find(shared, &said);
    Explanation {
        namespace: rules.namespace.to_string(),
        store: shared.store.status().to_string(),
        tenant: rules.tenant.as_ref().map(|tenant| words::source(tenant.source())),
        is_spread: rules.spread,
        rfc9111,
        routes,
        rules: said,
        hints,
    }
}

fn route(shared: &Shared, route: &CachedRoute, rfc9111: bool) -> RouteExplanation {
    let by = shared.rules.mutations.iter().filter(|rule| reaches(rule, route));
    RouteExplanation {
        method: route.telemetry.method().clone(),
        template: Arc::clone(&route.name),
        is_cached: !route.uncached,
        key: words::key(route),
        headers: route.keyed_headers.clone(),
        shared_by: words::shared_by(route),
        ttl: (route.ttl_with.is_none() && !rfc9111).then_some(route.ttl),
        stale_while_revalidate: route.stale_while_revalidate,
        stale_if_error: route.stale_if_error,
        is_invalidated_by_own_path: route.own_writes == OwnWrites::Invalidate,
        invalidated_by: by.map(|rule| rule.declaration.to_string()).collect(),
    }
}

fn rule(shared: &Shared, rule: &WriteRule) -> RuleExplanation {
    let mut targets: Vec<_> = rule.targets.iter().map(ToString::to_string).collect();
    if rule.tenant {
        targets.push("the whole tenant".to_owned());
    }
    if rule.all_tenants {
        targets.push("all tenants".to_owned());
    }
    let reached = shared.rules.routes.iter().filter(|route| reaches(rule, route));
    let effect = &rule.effect;
    let mut how = Vec::new();
    if effect.mode == Mode::Soft {
        how.push("softly".to_owned());
    }
    if effect.background {
        how.push("in the background".to_owned());
    }
    if effect.must_confirm {
        how.push("or answers with an error".to_owned());
    }
    if effect.after_body {
        how.push("at the end of the body too".to_owned());
    }
    if let Some(fence) = &effect.fence {
        how.push(format!("behind a fence of at most {}", words::span(fence.longest)));
    }
    if let Some(hold) = effect.hold {
        how.push(format!("and holds it for {}", words::span(hold)));
    }
    RuleExplanation {
        name: rule.declaration.to_string(),
        targets,
        how: how.join(", "),
        reaches: reached.map(|route| name(route)).collect(),
        fired: rule.fired(),
    }
}

/// A route as `GET /users`.
pub(super) fn name(route: &CachedRoute) -> String {
    format!("{} {}", route.method, route.name)
}

/// Whether a rule may reach entries of a route.
pub(super) fn reaches(rule: &WriteRule, route: &CachedRoute) -> bool {
    if route.uncached {
        return false;
    }
    if rule.all_tenants {
        return true;
    }
    rule.tenantless == route.tenantless
        && (rule.tenant || rule.targets.iter().any(|target| is_reached(target, route)))
}

/// Whether a target may reach entries of a route of the same tenancy.
pub(super) fn is_reached(target: &ScopeTemplate, route: &CachedRoute) -> bool {
    if target.kind() == ScopeKind::Tag {
        return route.tags().any(|tag| may_be_equal(tag, target));
    }
    let path = PathTemplate::parse(&route.name);
    path.is_ok_and(|path| target.reach(&path, &route.key) != Reach::Never)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Cache {:?} in {}.", self.namespace, self.store)?;
        match &self.tenant {
            Some(from) => writeln!(f, "A request's tenant is read from {from}.")?,
            None => writeln!(f, "There are no tenants.")?,
        }
        if self.is_spread {
            writeln!(f, "What is stored of each is spread over slots of a cluster.")?;
        }
        if self.rfc9111 {
            writeln!(f, "What is stored, and for how long, is said by the responses (RFC 9111).")?;
        }
        for route in &self.routes {
            writeln!(f, "{route}")?;
        }
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        for hint in &self.hints {
            writeln!(f, "Hint: {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RouteExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, template, key, shared_by, .. } = self;
        if !self.is_cached {
            return write!(f, "{method} {template} is declared not to be cached.");
        }
        write!(f, "{method} {template}: the key is {key}; ")?;
        match self.ttl {
            Some(ttl) => write!(f, "fresh for {}", words::span(ttl))?,
            None => f.write_str("fresh for as long as its request or response says")?,
        }
        if !self.stale_while_revalidate.is_zero() {
            let window = words::span(self.stale_while_revalidate);
            write!(f, ", then {window} stale while it is refreshed")?;
        }
        if !self.stale_if_error.is_zero() {
            write!(f, ", {} if the handler fails", words::span(self.stale_if_error))?;
        }
        write!(f, "; served to {shared_by}; ")?;
        let mut by = self.invalidated_by.clone();
        if self.is_invalidated_by_own_path {
            by.push("any write to its own path".to_owned());
        }
        match by.as_slice() {
            [] => f.write_str("no write invalidates it."),
            by => write!(f, "invalidated by {}.", words::list(by)),
        }
    }
}

impl fmt::Display for RuleExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} invalidates {}", self.name, words::list(&self.targets))?;
        if !self.how.is_empty() {
            write!(f, ", {}", self.how)?;
        }
        write!(f, ": {}.", words::list(&self.reaches))
    }
}
