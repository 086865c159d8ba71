//! The configuration in the form in which requests meet it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderName, Method, StatusCode};

use super::compile::may_be_equal;
use super::fields::FieldSet;
use super::identity::Source;
use super::route::{Etag, OwnWrites, Refusals, TtlWith, Users};
use super::scopes::{ScopePlan, TENANT};
use super::{Canonical, Effect, MAX_TTL, ReadMethod, Tenant};
use crate::entry::Millis;
use crate::key::{
    Configured, Fingerprint, KeyTemplate, Names, ScopeKind, ScopeNames, ScopeTemplate, Space,
};
#[cfg(feature = "admin")]
use crate::key::{PathTemplate, Reach};
use crate::telemetry::RouteTelemetry;

/// All routes, rules and sets of one cache.
pub(crate) struct Rules {
    pub(crate) namespace: Arc<str>,
    /// Entries of a tenant are spread over slots.
    pub(crate) spread: bool,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) routes: Vec<Arc<CachedRoute>>,
    pub(crate) reads: Reads,
    pub(crate) writes: HashMap<Method, PathTable<Vec<usize>>>,
    pub(crate) mutations: Vec<WriteRule>,
    pub(crate) sets: HashMap<String, Set>,
    /// Every scope that something can move, by which undeclared ones are told.
    pub(crate) declared: Vec<Declared>,
    /// Some rule moves all tenants at once, so that every key has that scope.
    pub(crate) all_tenants: bool,
    /// The whole of it in a digest, if other configurations of the namespace are to be told apart.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// What of a request is in the keys of each route, in a digest.
    pub(crate) layouts: Vec<u64>,
    #[cfg_attr(not(feature = "data"), allow(dead_code, reason = "of the typed data cache"))]
    pub(crate) values: Values,
}

/// What values of the typed data cache have in the place of a route.
#[cfg_attr(not(feature = "data"), allow(dead_code, reason = "of the typed data cache"))]
pub(crate) struct Values {
    pub(crate) route: Arc<CachedRoute>,
    /// What declared scopes may reach a key of a tenant, and one of no tenant.
    pub(super) scopes: [Vec<ScopePlan>; 2],
    /// Patterns and tags may be for values alone.
    pub(super) declared: bool,
}

/// The cached routes by their paths, for each method.
pub(crate) struct Reads(pub(super) [PathTable<usize>; ReadMethod::ALL.len()]);

impl Reads {
    /// The routes of this method.
    pub(crate) fn of(&self, method: ReadMethod) -> &PathTable<usize> {
        &self.0[method as usize]
    }

    /// The routes of each method: a write on a path concerns all of them.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &PathTable<usize>> {
        self.0.iter()
    }
}

/// Path templates, as they are written and as normalised paths meet them.
///
/// Routers match literal segments as they stand in the request; a write whose path is spelled
/// otherwise may have reached its handler all the same, so writes are matched in both forms.
pub(crate) struct PathTable<T> {
    pub(crate) raw: matchit::Router<T>,
    pub(crate) canonical: matchit::Router<T>,
}

/// A cached route.
pub(crate) struct CachedRoute {
    /// The path template, for logs and metrics.
    pub(crate) name: Arc<str>,
    pub(crate) method: ReadMethod,
    pub(crate) key: KeyTemplate,
    pub(crate) query: Query,
    /// Headers in the key, sorted.
    pub(crate) keyed_headers: Vec<HeaderName>,
    /// Further headers that are in the key of a request which has them.
    pub(crate) keyed_if_sent: FieldSet,
    /// Headers that the handler does not see.
    pub(crate) removed: FieldSet,
    pub(crate) users: Option<Users>,
    pub(crate) tenantless: bool,
    /// Declared only so that no other template takes its paths.
    pub(crate) uncached: bool,
    pub(crate) ttl: Duration,
    pub(crate) ttl_with: Option<TtlWith>,
    pub(crate) statuses: Vec<(StatusCode, Duration)>,
    pub(crate) jitter: u8,
    pub(crate) max_body: Option<usize>,
    pub(crate) max_request_body: Option<usize>,
    pub(crate) allow_longer: bool,
    pub(crate) etag: Etag,
    pub(crate) own_writes: OwnWrites,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) revalidate: Duration,
    pub(crate) early_refresh: Option<f64>,
    pub(crate) refusals: Refusals,
    pub(crate) scopes: Vec<ScopePlan>,
    pub(crate) telemetry: RouteTelemetry,
}

/// What of the query is in the key.
pub(crate) enum Query {
    All,
    Named(Vec<String>),
    /// All of it, unless a response says less.
    AsSaid,
}

/// A rule, with its targets.
pub(crate) struct WriteRule {
    /// Method and path template, as they were written.
    #[cfg_attr(not(feature = "admin"), allow(dead_code, reason = "for people to read"))]
    pub(crate) declaration: Box<str>,
    pub(crate) targets: Vec<ScopeTemplate>,
    pub(crate) tenant: bool,
    pub(crate) all_tenants: bool,
    pub(crate) tenantless: bool,
    pub(crate) effect: Effect,
    /// How many requests have come on it.
    pub(super) fired: AtomicU64,
}

/// A named set.
pub(crate) struct Set {
    pub(crate) targets: Vec<ScopeTemplate>,
    pub(crate) tenant: bool,
    pub(crate) all_tenants: bool,
    pub(crate) or_all: bool,
}

/// A scope that something can move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) template: ScopeTemplate,
    /// With its parameters left open: all their values at once.
    pub(crate) open: bool,
    pub(crate) tenantless: bool,
}

impl CachedRoute {
    /// In the place of a route for values: a method that no request has matches none of it.
    pub(super) fn of_values(namespace: &str) -> Self {
        let method = Method::from_bytes(b"VALUE").unwrap_or_default();
        Self {
            name: "value".into(),
            method: ReadMethod::Get,
            key: KeyTemplate::Path,
            query: Query::All,
            keyed_headers: Vec::new(),
            keyed_if_sent: FieldSet::default(),
            removed: FieldSet::default(),
            users: None,
            tenantless: false,
            uncached: false,
            ttl: Duration::ZERO,
            ttl_with: None,
            statuses: Vec::new(),
            jitter: 0,
            max_body: None,
            max_request_body: None,
            allow_longer: false,
            etag: Etag::AsGiven,
            own_writes: OwnWrites::Ignore,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            revalidate: Duration::ZERO,
            early_refresh: None,
            refusals: Refusals::default(),
            scopes: Vec::new(),
            telemetry: RouteTelemetry::new(namespace, method, "value".into()),
        }
    }

    /// How long a response of this status stays fresh, if it is stored at all.
    pub(crate) fn ttl_of(&self, status: StatusCode, ttl: Duration) -> Option<Duration> {
        let listed = self.statuses.iter().find(|(known, _)| *known == status);
        listed.map(|(_, ttl)| *ttl).or((status == StatusCode::OK).then_some(ttl))
    }

    /// The longest time that an entry of this route with this TTL can be kept, unless its response
    /// may ask for more: the fill sees to that.
    pub(crate) fn kept(&self, ttl: Duration) -> Millis {
        let statuses = self.statuses.iter().map(|(_, ttl)| *ttl).max().unwrap_or_default();
        let windows = [self.stale_while_revalidate, self.stale_if_error, self.revalidate];
        let longest = ttl.max(statuses) + windows.into_iter().max().unwrap_or_default();
        Millis::try_from(longest.as_millis()).unwrap_or(Millis::MAX)
    }

    /// Whether the path says who asks.
    pub(crate) fn identity_in_path(&self) -> bool {
        match &self.users {
            Some(Users::Per(identity)) => matches!(identity.source(), Source::Parameter(_)),
            Some(Users::Same) | None => false,
        }
    }

    fn has_own_path(&self) -> bool {
        self.scopes.iter().any(ScopePlan::is_own_path)
    }

    /// Whether its keys have the scope of a path like this one.
    #[cfg(feature = "admin")]
    pub(crate) fn has_path_of(&self, target: &ScopeTemplate) -> bool {
        let path = PathTemplate::parse(&self.name).ok();
        self.has_own_path()
            && path.is_some_and(|path| target.reach(&path, &self.key) != Reach::Never)
    }

    pub(crate) fn tags(&self) -> impl Iterator<Item = &ScopeTemplate> {
        self.scopes.iter().filter_map(ScopePlan::tag)
    }

    /// Adds the scopes of a key of this route to its names.
    pub(crate) fn push_scopes(&self, names: &mut Names, path: &str, params: &Canonical<'_>) {
        names.push_scope(TENANT);
        let mut text = String::with_capacity(64);
        for plan in &self.scopes {
            text.clear();
            if plan.write(path, names.text(), params, &mut text) {
                names.push_scope(&text);
            }
        }
    }
}

impl WriteRule {
    /// A rule without targets.
    pub(super) fn new(declaration: &str, tenantless: bool, effect: Effect) -> Self {
        Self {
            declaration: declaration.into(),
            targets: Vec::new(),
            tenant: false,
            all_tenants: false,
            tenantless,
            effect,
            fired: AtomicU64::new(0),
        }
    }

    /// A request has come on it.
    pub(crate) fn fire(&self) {
        self.fired.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have come.
    pub(crate) fn fired(&self) -> u64 {
        self.fired.load(Ordering::Relaxed)
    }

    /// The scopes that a request with these parameters moves.
    pub(crate) fn scopes(&self, space: &Space, params: &Canonical<'_>) -> ScopeNames {
        let mut names = ScopeNames::new(space);
        let mut text = String::new();
        for target in &self.targets {
            text.clear();
            // `build()` has seen to it that every parameter has a value.
            if target.bind(|name| params.get(name), &mut text).is_ok() {
                names.push(&text);
            }
        }
        if self.tenant {
            names.push(TENANT);
        }
        if self.all_tenants {
            names.push_all_tenants();
        }
        names
    }
}

impl Rules {
    /// What the names of a key of this route owe to the configuration; of a value without a route.
    pub(crate) fn configured(&self, route: Option<usize>) -> Configured {
        let layout = route.and_then(|index| self.layouts.get(index).copied());
        Configured { layout: layout.unwrap_or_default(), fingerprint: self.fingerprint }
    }

    /// The longest time that anything stored here can live: a fill that begins now may run for a
    /// while before its entry's time begins.
    pub(crate) fn longest_life(&self) -> Duration {
        let kept = self.routes.iter().map(|route| {
            // What a request or a response may say is not known.
            let any = route.ttl_with.is_some() || route.allow_longer;
            Duration::from_millis(route.kept(if any { MAX_TTL } else { route.ttl }))
        });
        kept.max().unwrap_or_default() + Duration::from_secs(3600)
    }

    /// Adds the scopes of a value's key to its names, and the tags that it is given.
    #[cfg(feature = "data")]
    pub(crate) fn push_value_scopes(&self, names: &mut Names, tenantless: bool, tags: &[String]) {
        names.set_configured(self.configured(None));
        names.push_scope(TENANT);
        let text = names.text().to_owned();
        let path = if text.starts_with('/') { text.split('?').next() } else { None };
        let mut scope = String::new();
        for plan in &self.values.scopes[usize::from(tenantless)] {
            scope.clear();
            if plan.write(path.unwrap_or_default(), &text, &Canonical::default(), &mut scope) {
                names.push_scope(&scope);
            }
        }
        if let Some(path) = path {
            names.push_scope(&format!("path:{path}"));
        }
        for tag in tags {
            names.push_scope(tag);
        }
        if self.all_tenants {
            names.push_all_tenants();
        }
    }

    /// Whether entries can carry a stamp of the scope `text`, which a caller made of `template`.
    pub(super) fn carries(&self, template: &ScopeTemplate, text: &str, tenantless: bool) -> bool {
        let declared = self
            .declared
            .iter()
            .filter(|known| !known.open && known.tenantless == tenantless)
            .filter(|known| known.template.kind() == template.kind())
            .map(|known| &known.template);
        let path = text.split_once(':').map_or("", |(_, path)| path);
        match template.kind() {
            ScopeKind::Path => {
                let mut found =
                    self.reads.tables().filter_map(|table| table.canonical.at(path).ok());
                let has_route = found.any(|found| {
                    let route = &self.routes[*found.value];
                    route.tenantless == tenantless && route.has_own_path()
                });
                has_route || self.values.declared
            }
            // `/users/42` is an instance of the declared `/users/{id}`.
            ScopeKind::Subtree => declared.into_iter().any(|known| {
                known.as_str() == template.as_str()
                    || ScopeTemplate::path(known.as_str())
                        .is_ok_and(|known| known.bind_from_path(path).is_some())
            }),
            ScopeKind::Pattern => {
                declared.into_iter().any(|known| known.as_str() == template.as_str())
            }
            ScopeKind::Tag => {
                let tags = self.routes.iter().filter(|route| route.tenantless == tenantless);
                self.values.declared
                    || tags.flat_map(|route| route.tags()).any(|tag| may_be_equal(tag, template))
            }
        }
    }

    /// Whether the tenant is a parameter of the path.
    pub(crate) fn has_tenant_in_path(&self) -> bool {
        let source = self.tenant.as_ref().map(Tenant::source);
        matches!(source, Some(Source::Parameter(_)))
    }

    /// The space of a tenant.
    pub(crate) fn space(&self, tenant: &str) -> Space {
        Space::new(&self.namespace, tenant).spread(self.spread)
    }

    /// The space of what belongs to no tenant.
    pub(crate) fn tenantless_space(&self) -> Space {
        Space::tenantless(&self.namespace).spread(self.spread)
    }
}
