//! A cached route on its way from its declaration to what requests meet.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::checks::{
    check_bound, check_method, check_parameter, check_source, check_tenancy, encoded, malformed,
    may_be_equal, parse_path, within,
};
use crate::entry::Head;
use crate::key::{KeyTemplate, PathTemplate, Reach, ScopeKind, ScopeTemplate};
use crate::policy::compile::Declarations;
use crate::policy::fields::FieldSet;
use crate::policy::route::{OwnWrites, Route, Users};
use crate::policy::rules::{CachedRoute, Declared, Query};
use crate::policy::scopes::ScopePlan;
use crate::policy::{ConfigError, ReadMethod, Tenant};
use crate::telemetry::RouteTelemetry;

/// How long a stale response is kept where the response has the word.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A route on its way to be compiled.
pub(super) struct Draft<'a> {
    pub(super) route: &'a Route,
    pub(super) method: ReadMethod,
    pub(super) path: PathTemplate,
    pub(super) key: KeyTemplate,
    headers: Vec<HeaderName>,
    keyed_if_sent: FieldSet,
    removed: FieldSet,
    tags: Vec<ScopeTemplate>,
    users: Option<Users>,
    ttl: Duration,
    revalidate: Duration,
    rfc9111: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn new(route: &'a Route, declarations: &Declarations) -> Result<Self, ConfigError> {
        let path = parse_path(&route.path)?;
        let name = || route.path.clone();
        let method = check_method(route)?;
        let tenant_param = check_tenancy(&path, route.tenantless, declarations)?;
        let users = route.users.clone().or_else(|| declarations.users.clone());
        if let Some(Users::Per(identity)) = &users {
            check_source(identity.source())?;
            check_parameter(identity.source(), &path)?;
        }
        if route.refusals.store_private && !matches!(users, Some(Users::Per(_))) {
            let reason = "private responses are stored per user only: add `.per_user(…)`";
            return Err(ConfigError::Contradiction { path: name(), reason });
        }
        let ttl = route.ttl.unwrap_or(declarations.ttl);
        within(&format!("the TTL of {}", route.path), ttl)?;
        for (status, ttl) in &route.statuses {
            within(&format!("the TTL of {} for {status}", route.path), *ttl)?;
        }
        let rfc9111 = declarations.rfc9111;
        let by_default = if rfc9111 { DAY } else { Duration::ZERO };
        let revalidate = route.revalidate.unwrap_or(by_default);
        for window in [route.stale_while_revalidate, route.stale_if_error, revalidate] {
            if !window.is_zero() {
                within(&format!("a stale window of {}", route.path), window)?;
            }
        }
        if route.early_refresh.is_some_and(|eagerness| !(0.0..=100.0).contains(&eagerness)) {
            let setting = format!("the eagerness of {}", route.path);
            return Err(ConfigError::OutOfRange { setting, allowed: "0 to 100" });
        }
        if route.jitter.is_some_and(|percent| percent > 50) {
            let setting = format!("the jitter of {}", route.path);
            return Err(ConfigError::OutOfRange { setting, allowed: "at most 50 percent" });
        }
        if route.no_vary_search && (route.key.is_some() || route.query.is_some()) {
            return Err(ConfigError::Contradiction {
                path: name(),
                reason: "the route says what of the query counts: remove `.no_vary_search()`, or \
                         `.query(…)` and `.key(…)`",
            });
        }
        let key = match &route.key {
            None => KeyTemplate::Path,
            Some(_) if route.query.is_some() => return Err(ConfigError::QueryWithKey(name())),
            Some(template) => {
                KeyTemplate::parse(template).map_err(malformed(&route.path, template))?
            }
        };
        if let KeyTemplate::Text(text) = &key {
            let missing = path.params().find(|param| {
                Some(*param) != tenant_param.as_deref()
                    && !text.params().any(|known| known == *param)
            });
            if let Some(parameter) = missing {
                return Err(ConfigError::UnkeyedParameter {
                    path: name(),
                    key: text.as_str().to_owned(),
                    parameter: parameter.to_owned(),
                });
            }
        }
        let mut headers = Vec::with_capacity(route.headers.len());
        for header in &route.headers {
            headers.push(header.parse().map_err(|_| ConfigError::Header(header.clone()))?);
        }
        if method.has_content() {
            // RFC 10008, section 2.7: what the content means is part of what is asked.
            headers.extend([CONTENT_TYPE, CONTENT_ENCODING]);
        }
        headers.sort_by(|a: &HeaderName, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        let (keyed_if_sent, removed) = fields_of(&headers, users.as_ref(), declarations);
        let mut tags = Vec::with_capacity(route.tags.len());
        for tag in &route.tags {
            let template = ScopeTemplate::tag(tag).map_err(malformed(&route.path, tag))?;
            check_bound(&route.path, tag, &template, |name| path.params().any(|p| p == name))?;
            tags.push(template);
        }
        Ok(Self {
            route,
            method,
            path,
            key,
            headers,
            keyed_if_sent,
            removed,
            tags,
            users,
            ttl,
            revalidate,
            rfc9111,
        })
    }

    /// Whether a target reaches a key of this route.
    pub(super) fn is_reached(&self, target: &ScopeTemplate, tenantless: bool) -> bool {
        self.route.tenantless == tenantless
            && !self.route.uncached
            && match target.kind() {
                ScopeKind::Tag => self.tags.iter().any(|tag| may_be_equal(tag, target)),
                _ => target.reach(&self.path, &self.key) != Reach::Never,
            }
    }

    /// Whether a target reaches keys of this route by the segments of their path.
    pub(super) fn has_segments_of(&self, target: &ScopeTemplate) -> bool {
        match target.kind() {
            ScopeKind::Path | ScopeKind::Subtree => true,
            ScopeKind::Pattern => {
                matches!(self.key, KeyTemplate::Path)
                    && target.reach(&self.path, &self.key) != Reach::Never
            }
            ScopeKind::Tag => false,
        }
    }

    pub(super) fn finish(
        self,
        declared: &[Declared],
        namespace: &str,
    ) -> Result<CachedRoute, ConfigError> {
        let route = self.route;
        let mut scopes: Vec<_> = self.tags.into_iter().map(ScopePlan::tagged).collect();
        let mut own_path = route.own_writes == OwnWrites::Invalidate;
        for known in declared.iter().filter(|known| known.tenantless == route.tenantless) {
            let reach = known.template.reach(&self.path, &self.key);
            if known.template.kind() == ScopeKind::Path && !known.open {
                // Whatever the template: of a path with its queries there is one scope.
                own_path |= reach != Reach::Never;
            } else {
                scopes.extend(ScopePlan::of(known, &reach));
            }
        }
        if own_path {
            scopes.push(ScopePlan::own_path());
        }
        scopes.sort_by_cached_key(ScopePlan::order);
        scopes.dedup_by_key(|plan| plan.order());
        if scopes.len() + 2 > Head::MAX_STAMPS {
            return Err(ConfigError::TooManyScopes(route.path.clone()));
        }
        if route.no_vary_search && scopes.iter().any(ScopePlan::looks_at_text) {
            return Err(ConfigError::Contradiction {
                path: route.path.clone(),
                reason: "a pattern looks at the whole query, of which `.no_vary_search()` lets \
                         responses leave parts out: use a path, a subtree or a tag",
            });
        }
        let query = match &route.query {
            None if route.no_vary_search => Query::AsSaid,
            None => Query::All,
            Some(names) => Query::Named(names.iter().map(|name| encoded(name)).collect()),
        };
        let name: Arc<str> = route.path.as_str().into();
        Ok(CachedRoute {
            telemetry: RouteTelemetry::new(namespace, route.method.clone(), Arc::clone(&name)),
            name,
            method: self.method,
            key: self.key,
            query,
            keyed_headers: self.headers,
            keyed_if_sent: self.keyed_if_sent,
            removed: self.removed,
            users: self.users,
            tenantless: route.tenantless,
            ttl: self.ttl,
            ttl_with: route.ttl_with.clone(),
            statuses: route.statuses.clone(),
            jitter: route.jitter.unwrap_or(0),
            max_body: route.max_body,
            max_request_body: route.max_request_body,
            allow_longer: route.allow_longer || self.rfc9111,
            etag: route.etag,
            own_writes: if route.uncached { OwnWrites::Ignore } else { route.own_writes },
            uncached: route.uncached,
            stale_while_revalidate: route.stale_while_revalidate,
            stale_if_error: route.stale_if_error,
            revalidate: self.revalidate,
            early_refresh: route.early_refresh,
            refusals: route.refusals,
            scopes,
        })
    }
}

/// Further fields that are in the key, and those that the handler does not see: neither of them what
/// the route names itself, nor what tenant and identity are read from removed.
fn fields_of(
    named: &[HeaderName],
    users: Option<&Users>,
    declarations: &Declarations,
) -> (FieldSet, FieldSet) {
    let user = match users {
        Some(Users::Per(identity)) => Some(identity.source()),
        _ => None,
    };
    let tenant = declarations.tenant.as_ref().map(Tenant::source);
    let is_source =
        |name: &HeaderName| [tenant, user].into_iter().flatten().any(|source| source.is(name));
    let beside = |name: &&HeaderName| !named.contains(name);
    let keyed = declarations.keyed.iter().filter(beside).cloned();
    let removed = declarations.removed.iter().filter(beside).filter(|name| !is_source(name));
    (FieldSet::new(keyed), FieldSet::new(removed.cloned()))
}
