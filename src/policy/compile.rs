//! From declarations to rules: every mistake is found here.

mod checks;
mod draft;
mod known;
mod table;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

pub(crate) use self::checks::may_be_equal;
use self::checks::{check_key_texts, check_source, parse_path, within};
use self::draft::Draft;
use self::known::Known;
use self::table::Table;
use super::fingerprint::{fingerprint, layout};
use super::route::{Route, Users};
use super::rules::{CachedRoute, Declared, Reads, Rules, Set, Values};
use super::scopes::{Scope, ScopePlan};
use super::set::InvalidationSet;
use super::{ConfigError, On, ReadMethod, Tenant};
use crate::key::{Reach, ScopeKind, Space};

/// What the app has declared.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is another matter")]
pub(crate) struct Declarations {
    pub(crate) namespace: String,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) users: Option<Users>,
    pub(crate) ttl: Duration,
    /// Request fields that are in each key, where a request has them.
    pub(crate) keyed: Vec<HeaderName>,
    /// Request fields that no handler sees.
    pub(crate) removed: Vec<HeaderName>,
    /// Responses say themselves how long they are kept.
    pub(crate) rfc9111: bool,
    pub(crate) routes: Vec<Route>,
    pub(crate) rules: Vec<On>,
    pub(crate) sets: Vec<InvalidationSet>,
    pub(crate) scopes: Vec<Scope>,
    /// Code caches values too.
    pub(crate) values: bool,
    /// What settings change in keys, and the app's own word for what can't be seen.
    pub(crate) spelled: String,
    /// Other configurations of the namespace are there for good.
    pub(crate) shared_namespace: bool,
    /// The entries of a tenant are spread over slots of a cluster.
    pub(crate) spread_tenants: bool,
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

    let mut known = Known { drafts: &drafts, declared: Vec::new(), values: declarations.values };
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

    let mut reads = ReadMethod::ALL.map(|_| Table::default());
    let mut routes = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.into_iter().enumerate() {
        reads[draft.method as usize].push(&draft.path, index);
        routes.push(Arc::new(draft.finish(&declared, &declarations.namespace)?));
    }
    let mut writes: HashMap<Method, Table> = HashMap::new();
    for (index, rule) in declarations.rules.iter().enumerate() {
        let path = parse_path(&rule.path)?;
        writes.entry(rule.method.clone()).or_default().push(&path, index);
    }
    let [get, query, post] = reads.map(Table::finish_single);
    let writes = writes.into_iter().map(|(method, table)| Ok((method, table.finish()?)));
    let mut compiled = Rules {
        namespace: declarations.namespace.as_str().into(),
        spread: declarations.spread_tenants,
        tenant: declarations.tenant.clone(),
        routes,
        reads: Reads([get?, query?, post?]),
        writes: writes.collect::<Result<_, ConfigError>>()?,
        mutations: rules,
        sets,
        values: values(&declared, declarations),
        declared,
        all_tenants,
        fingerprint: None,
        layouts: Vec::new(),
    };
    let tenant = format!("{:?}", compiled.tenant);
    let mut spelled = declarations.spelled.clone();
    if declarations.spread_tenants {
        // The names say it too.
        spelled.push_str(" spread");
    }
    let spelled = spelled.as_str();
    let layouts = compiled.routes.iter().map(|route| layout(route, &tenant, spelled));
    compiled.layouts = layouts.collect();
    let is_alone = !declarations.shared_namespace;
    compiled.fingerprint = is_alone.then(|| fingerprint(&compiled, spelled));
    Ok(compiled)
}

/// What the declared scopes are to values, whose keys are known only when they are used.
fn values(declared: &[Declared], declarations: &Declarations) -> Values {
    let of = |tenantless: bool| {
        let own = declared.iter().filter(|known| known.tenantless == tenantless);
        // The scope of a path is that of the value's own path, whatever template names it.
        let own = own.filter(|known| known.template.kind() != ScopeKind::Path || known.open);
        let mut plans: Vec<_> = own
            .filter(|known| known.template.kind() != ScopeKind::Tag)
            .filter_map(|known| ScopePlan::of(known, &Reach::Sometimes))
            .collect();
        plans.sort_by_cached_key(ScopePlan::order);
        plans.dedup_by_key(|plan| plan.order());
        plans
    };
    let route = Arc::new(CachedRoute::of_values(&declarations.namespace));
    Values { route, scopes: [of(false), of(true)], declared: declarations.values }
}
