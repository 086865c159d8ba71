//! From declarations to rules: every mistake is found here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use super::identity::Source;
use super::route::{Route, Users};
use super::rules::{CachedRoute, Declared, PathTable, Query, Rules, Set, WriteRule};
use super::scopes::{Scope, ScopePlan};
use super::set::InvalidationSet;
use super::target::Target;
use super::{ConfigError, Effect, MAX_TTL, On, Tenant};
use crate::entry::Head;
use crate::key::{
    KeyTemplate, PathTemplate, Reach, ScopeKind, ScopeTemplate, Segment, Space, TemplateError,
    encode, normalize_value_lossy,
};
use crate::store::Mode;

/// What the app has declared.
#[derive(Default)]
pub(crate) struct Declarations {
    pub(crate) namespace: String,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) users: Option<Users>,
    pub(crate) ttl: Duration,
    pub(crate) routes: Vec<Route>,
    pub(crate) rules: Vec<On>,
    pub(crate) sets: Vec<InvalidationSet>,
    pub(crate) scopes: Vec<Scope>,
}

/// Compiles the declarations, or says which of them is wrong.
pub(crate) fn compile(declarations: &Declarations) -> Result<Rules, ConfigError> {
    if !Space::is_namespace(&declarations.namespace) {
        return Err(ConfigError::Namespace(declarations.namespace.clone()));
    }
    if let Some(tenant) = &declarations.tenant {
        check_source(tenant.source())?;
    }
    within("the default TTL", declarations.ttl)?;
    let mut drafts = Vec::with_capacity(declarations.routes.len());
    for route in &declarations.routes {
        drafts.push(Draft::new(route, declarations)?);
    }
    check_key_texts(&drafts)?;

    let mut known = Known { drafts: &drafts, declared: Vec::new() };
    let mut rules = Vec::with_capacity(declarations.rules.len());
    for rule in &declarations.rules {
        rules.push(known.rule(rule, declarations)?);
    }
    let mut sets = HashMap::new();
    for set in &declarations.sets {
        if sets.insert(set.name.clone(), known.set(set)?).is_some() {
            return Err(ConfigError::DuplicateSet(set.name.clone()));
        }
    }
    for scope in &declarations.scopes {
        known.scope(scope)?;
    }
    let declared = known.declared;
    let all_tenants =
        rules.iter().any(|rule| rule.all_tenants) || sets.values().any(|set: &Set| set.all_tenants);

    let mut reads = Table::default();
    let mut routes = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        reads.push(&draft.path, index);
        routes.push(Arc::new(draft.finish(&declared)?));
    }
    let mut writes: HashMap<Method, Table> = HashMap::new();
    for (index, rule) in declarations.rules.iter().enumerate() {
        let path = parse_path(&rule.path)?;
        writes.entry(rule.method.clone()).or_default().push(&path, index);
    }
    let writes = writes.into_iter().map(|(method, table)| Ok((method, table.finish()?)));
    Ok(Rules {
        namespace: declarations.namespace.as_str().into(),
        tenant: declarations.tenant.clone(),
        routes,
        reads: reads.finish_single()?,
        writes: writes.collect::<Result<_, ConfigError>>()?,
        mutations: rules,
        sets,
        declared,
        all_tenants,
    })
}

/// A route on its way to be compiled.
struct Draft<'a> {
    route: &'a Route,
    path: PathTemplate,
    key: KeyTemplate,
    headers: Vec<HeaderName>,
    tags: Vec<ScopeTemplate>,
    users: Option<Users>,
    ttl: Duration,
}

impl<'a> Draft<'a> {
    fn new(route: &'a Route, declarations: &Declarations) -> Result<Self, ConfigError> {
        let path = parse_path(&route.path)?;
        let name = || route.path.clone();
        let tenant_param = check_tenancy(&path, route.tenantless, declarations)?;
        let users = route.users.clone().or_else(|| declarations.users.clone());
        if let Some(Users::Per(identity)) = &users {
            check_source(identity.source())?;
            check_parameter(identity.source(), &path)?;
        }
        let ttl = route.ttl.unwrap_or(declarations.ttl);
        within(&format!("the TTL of {}", route.path), ttl)?;
        for (status, ttl) in &route.statuses {
            within(&format!("the TTL of {} for {status}", route.path), *ttl)?;
        }
        for window in [route.stale_while_revalidate, route.stale_if_error] {
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
        let key = match &route.key {
            None => KeyTemplate::Path,
            Some(_) if route.query.is_some() => return Err(ConfigError::QueryWithKey(name())),
            Some(template) => KeyTemplate::parse(template).map_err(malformed(&route.path))?,
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
        headers.sort_by(|a: &HeaderName, b| a.as_str().cmp(b.as_str()));
        headers.dedup();
        let mut tags = Vec::with_capacity(route.tags.len());
        for tag in &route.tags {
            let template = ScopeTemplate::tag(tag).map_err(malformed(&route.path))?;
            check_bound(&route.path, tag, &template, |name| path.params().any(|p| p == name))?;
            tags.push(template);
        }
        Ok(Self { route, path, key, headers, tags, users, ttl })
    }

    /// Whether a target reaches a key of this route.
    fn is_reached(&self, target: &ScopeTemplate, tenantless: bool) -> bool {
        self.route.tenantless == tenantless
            && !self.route.uncached
            && match target.kind() {
                ScopeKind::Tag => self.tags.iter().any(|tag| may_be_equal(tag, target)),
                _ => target.reach(&self.path, &self.key) != Reach::Never,
            }
    }

    /// Whether a target reaches keys of this route by the segments of their path.
    fn has_segments_of(&self, target: &ScopeTemplate) -> bool {
        match target.kind() {
            ScopeKind::Path | ScopeKind::Subtree => true,
            ScopeKind::Pattern => {
                matches!(self.key, KeyTemplate::Path)
                    && target.reach(&self.path, &self.key) != Reach::Never
            }
            ScopeKind::Tag => false,
        }
    }

    fn finish(self, declared: &[Declared]) -> Result<CachedRoute, ConfigError> {
        let route = self.route;
        let mut scopes: Vec<_> = self.tags.into_iter().map(ScopePlan::tagged).collect();
        let mut own_path = route.invalidated_by_writes;
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
        let query = match &route.query {
            None => Query::All,
            Some(names) => Query::Named(names.iter().map(|name| encoded(name)).collect()),
        };
        Ok(CachedRoute {
            name: route.path.as_str().into(),
            key: self.key,
            query,
            keyed_headers: self.headers,
            users: self.users,
            tenantless: route.tenantless,
            ttl: self.ttl,
            ttl_with: route.ttl_with.clone(),
            statuses: route.statuses.clone(),
            jitter: route.jitter.unwrap_or(0),
            max_body: route.max_body,
            allow_longer: route.allow_longer,
            invalidated_by_writes: route.invalidated_by_writes && !route.uncached,
            uncached: route.uncached,
            stale_while_revalidate: route.stale_while_revalidate,
            stale_if_error: route.stale_if_error,
            early_refresh: route.early_refresh,
            scopes,
        })
    }
}

/// What is known so far of what can move.
struct Known<'a> {
    drafts: &'a [Draft<'a>],
    declared: Vec<Declared>,
}

impl Known<'_> {
    fn rule(&mut self, rule: &On, declarations: &Declarations) -> Result<WriteRule, ConfigError> {
        let declaration = format!("{} {}", rule.method, rule.path);
        if rule.method.is_safe() || rule.method.as_str() == "QUERY" {
            return Err(ConfigError::SafeMethod(declaration));
        }
        check_effect(&declaration, &rule.effect)?;
        let path = parse_path(&rule.path)?;
        check_tenancy(&path, rule.tenantless, declarations)?;
        let targets = self.targets(&declaration, &rule.targets, rule.tenantless, false)?;
        for target in &targets {
            let has = |name: &str| path.params().any(|param| param == name);
            check_bound(&declaration, target.as_str(), target, has)?;
            if path.rest().is_some_and(|rest| target.params().any(|param| param == rest))
                && self.drafts.iter().any(|draft| draft.has_segments_of(target))
            {
                return Err(ConfigError::Contradiction {
                    path: declaration,
                    reason: "a catch-all stands for several segments, and a parameter of a target \
                             for one, so that nothing below the first would be reached: name a \
                             subtree above it, or a tag",
                });
            }
        }
        Ok(WriteRule {
            targets,
            tenant: rule.targets.contains(&Target::Tenant),
            all_tenants: rule.targets.contains(&Target::AllTenants),
            tenantless: rule.tenantless,
            effect: rule.effect.clone(),
        })
    }

    fn set(&mut self, set: &InvalidationSet) -> Result<Set, ConfigError> {
        let declaration = format!("the set {:?}", set.name);
        Ok(Set {
            targets: self.targets(&declaration, &set.targets, false, set.or_all)?,
            tenant: set.targets.contains(&Target::Tenant),
            all_tenants: set.targets.contains(&Target::AllTenants),
            or_all: set.or_all,
        })
    }

    fn scope(&mut self, scope: &Scope) -> Result<(), ConfigError> {
        let template = scope.template().map_err(malformed("a scope"))?;
        let mut reached = false;
        for tenantless in [false, true] {
            if self.drafts.iter().any(|draft| draft.is_reached(template, tenantless)) {
                self.declare(template, false, tenantless);
                reached = true;
            }
        }
        if reached {
            return Ok(());
        }
        Err(ConfigError::MatchesNothing {
            declaration: "a scope".to_owned(),
            target: template.as_str().to_owned(),
        })
    }

    fn targets(
        &mut self,
        declaration: &str,
        targets: &[Target],
        tenantless: bool,
        or_all: bool,
    ) -> Result<Vec<ScopeTemplate>, ConfigError> {
        if targets.is_empty() {
            return Err(ConfigError::NoTargets(declaration.to_owned()));
        }
        let mut templates = Vec::new();
        for target in targets {
            let template = match target {
                Target::Path(path) => ScopeTemplate::path(path),
                Target::Subtree(path) => ScopeTemplate::subtree(path),
                Target::Pattern(glob) => ScopeTemplate::pattern(glob),
                Target::Tag(tag) => ScopeTemplate::tag(tag),
                Target::Tenant | Target::AllTenants => continue,
            };
            let template = template.map_err(malformed(declaration))?;
            if !self.drafts.iter().any(|draft| draft.is_reached(&template, tenantless)) {
                return Err(ConfigError::MatchesNothing {
                    declaration: declaration.to_owned(),
                    target: template.as_str().to_owned(),
                });
            }
            self.declare(&template, false, tenantless);
            if or_all && template.params().len() > 0 {
                self.declare(&template, true, tenantless);
            }
            templates.push(template);
        }
        Ok(templates)
    }

    fn declare(&mut self, template: &ScopeTemplate, open: bool, tenantless: bool) {
        let declared = Declared { template: template.clone(), open, tenantless };
        if !self.declared.contains(&declared) {
            self.declared.push(declared);
        }
    }
}

/// The path templates of one table, each with what belongs to it.
#[derive(Default)]
struct Table(BTreeMap<String, (String, Vec<usize>)>);

impl Table {
    fn push(&mut self, path: &PathTemplate, value: usize) {
        let slot = self.0.entry(path.as_str().to_owned());
        slot.or_insert_with(|| (canonical_template(path), Vec::new())).1.push(value);
    }

    fn finish(self) -> Result<PathTable<Vec<usize>>, ConfigError> {
        self.build(|_, values| Ok(values))
    }

    fn finish_single(self) -> Result<PathTable<usize>, ConfigError> {
        self.build(|path, values| match *values {
            [only] => Ok(only),
            _ => Err(conflict(path, &"the same path is declared twice")),
        })
    }

    fn build<T: Clone>(
        self,
        value: impl Fn(&str, Vec<usize>) -> Result<T, ConfigError>,
    ) -> Result<PathTable<T>, ConfigError> {
        let (mut raw, mut canonical) = (matchit::Router::new(), matchit::Router::new());
        for (path, (canonical_path, values)) in self.0 {
            let value = value(&path, values)?;
            raw.insert(&path, value.clone()).map_err(|error| conflict(&path, &error))?;
            canonical.insert(canonical_path, value).map_err(|error| conflict(&path, &error))?;
        }
        Ok(PathTable { raw, canonical })
    }
}

fn conflict(path: &str, reason: &dyn ToString) -> ConfigError {
    ConfigError::Conflict { path: path.to_owned(), reason: reason.to_string() }
}

/// The template with its literals as they stand in a normalised path.
fn canonical_template(path: &PathTemplate) -> String {
    let mut template = String::new();
    for segment in path.segments() {
        template.push('/');
        match segment {
            // Canonical text has no braces that would have to be doubled.
            Segment::Literal(text) => normalize_value_lossy(text, &mut template),
            Segment::Param(name) => template.extend(["{", name, "}"]),
            Segment::Rest(name) => template.extend(["{*", name, "}"]),
        }
    }
    template
}

fn parse_path(path: &str) -> Result<PathTemplate, ConfigError> {
    PathTemplate::parse(path).map_err(malformed(path))
}

fn malformed(declaration: &str) -> impl FnOnce(TemplateError) -> ConfigError {
    move |source| ConfigError::Template { declaration: declaration.to_owned(), source }
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode(text.as_bytes(), &mut out);
    out
}

fn within(setting: &str, ttl: Duration) -> Result<(), ConfigError> {
    if ttl < Duration::from_millis(1) || ttl > MAX_TTL {
        let setting = setting.to_owned();
        return Err(ConfigError::OutOfRange { setting, allowed: "1 ms to 365 days" });
    }
    Ok(())
}

fn check_source(source: &Source) -> Result<(), ConfigError> {
    match source {
        Source::Header(Err(text)) => Err(ConfigError::Header(text.clone())),
        _ => Ok(()),
    }
}

/// Whether the parameter that a source reads is one of the path's; answers which it is.
fn check_parameter(source: &Source, path: &PathTemplate) -> Result<Option<String>, ConfigError> {
    let Source::Parameter(name) = source else { return Ok(None) };
    if path.params().any(|param| param == name) {
        return Ok(Some(name.clone()));
    }
    let path = path.as_str().to_owned();
    Err(ConfigError::NoSuchParameter { path, parameter: name.clone() })
}

fn check_tenancy(
    path: &PathTemplate,
    tenantless: bool,
    declarations: &Declarations,
) -> Result<Option<String>, ConfigError> {
    match &declarations.tenant {
        _ if tenantless => Ok(None),
        None => Err(ConfigError::NoTenantSource(path.as_str().to_owned())),
        Some(tenant) => check_parameter(tenant.source(), path),
    }
}

fn check_effect(declaration: &str, effect: &Effect) -> Result<(), ConfigError> {
    let spans = [effect.hold, effect.fence.as_ref().map(|fence| fence.longest)];
    for span in spans.into_iter().flatten() {
        if span < Duration::from_millis(1) || span > Duration::from_secs(3600) {
            let setting = format!("the fence or hold of {declaration}");
            return Err(ConfigError::OutOfRange { setting, allowed: "1 ms to 1 h" });
        }
    }
    let closes = effect.hold.is_some() || effect.fence.is_some();
    let contradiction = |reason| {
        let path = declaration.to_owned();
        Err(ConfigError::Contradiction { path, reason })
    };
    if closes && effect.mode == Mode::Soft {
        return contradiction("a fence or hold serves nothing stale: remove it, or `.soft()`");
    }
    if effect.background && effect.must_confirm {
        return contradiction("what runs in the background can't be waited for");
    }
    Ok(())
}

fn check_bound(
    declaration: &str,
    target: &str,
    template: &ScopeTemplate,
    has: impl Fn(&str) -> bool,
) -> Result<(), ConfigError> {
    match template.params().find(|param| !has(param)) {
        None => Ok(()),
        Some(parameter) => Err(ConfigError::UnknownParameter {
            declaration: declaration.to_owned(),
            target: target.to_owned(),
            parameter: parameter.to_owned(),
        }),
    }
}

fn check_key_texts(drafts: &[Draft<'_>]) -> Result<(), ConfigError> {
    for (index, one) in drafts.iter().enumerate() {
        for other in &drafts[index + 1..] {
            if one.route.tenantless == other.route.tenantless && one.key.may_collide(&other.key) {
                return Err(ConfigError::AmbiguousKey {
                    path: one.route.path.clone(),
                    other: other.route.path.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Whether two tags, each with some values, can be the same text.
pub(super) fn may_be_equal(one: &ScopeTemplate, other: &ScopeTemplate) -> bool {
    match (KeyTemplate::parse(one.as_str()), KeyTemplate::parse(other.as_str())) {
        (Ok(one), Ok(other)) => one.may_collide(&other),
        _ => one.as_str() == other.as_str(),
    }
}
