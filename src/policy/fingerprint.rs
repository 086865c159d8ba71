//! What of a configuration two instances have to agree in, in one text.
//!
//! Not in it is what changes no key, no scope and no invalidation: TTLs, limits, time-outs. And what
//! can't be seen: the app's own functions, which [`revision`](crate::CacheBuilder::revision) is for.

use std::fmt::Write as _;

use twox_hash::XxHash3_64;

use super::rules::{CachedRoute, Query, Rules, Set, WriteRule};
use crate::entry::Head;
use crate::key::{Fingerprint, KeyTemplate, ScopeTemplate};

/// The fingerprint of these rules. `spelled` says what the settings change in keys.
pub(super) fn fingerprint(rules: &Rules, spelled: &str) -> Fingerprint {
    let mut text = format!(
        "{} {:?} {spelled} {:?} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        Head::MAGIC,
        rules.tenant,
        rules.all_tenants,
        rules.values.declared,
    );
    for route in &rules.routes {
        push_key(route, &mut text);
        let orders: Vec<_> = route.scopes.iter().map(super::scopes::ScopePlan::order).collect();
        let _ = writeln!(text, "{:?} {} {orders:?}", route.own_writes, route.uncached);
    }
    for rule in &rules.mutations {
        push_rule(rule, &mut text);
    }
    let mut sets: Vec<_> = rules.sets.iter().collect();
    sets.sort_by_key(|(name, _)| *name);
    for (name, set) in sets {
        push_set(name, set, &mut text);
    }
    let mut declared: Vec<_> = rules.declared.iter().map(|known| format!("{known:?}")).collect();
    declared.sort();
    let _ = writeln!(text, "{declared:?}");
    Fingerprint::of(&text)
}

/// A digest of what of a request is in the keys of this route, in the order of the routes.
pub(super) fn layout(route: &CachedRoute, tenant: &str, spelled: &str) -> u64 {
    let mut text = format!("{tenant} {spelled} ");
    push_key(route, &mut text);
    XxHash3_64::oneshot(text.as_bytes())
}

fn push_key(route: &CachedRoute, text: &mut String) {
    let key = match &route.key {
        KeyTemplate::Path => "",
        KeyTemplate::Text(template) => template.as_str(),
    };
    let query = match &route.query {
        Query::All => None,
        Query::Named(names) => Some(names.as_slice()),
        Query::AsSaid => Some(&[][..]),
    };
    let said = matches!(route.query, Query::AsSaid);
    let _ = writeln!(
        text,
        "{} {:?} {key:?} {query:?} {said} {:?} {:?} {:?} {:?} {} {:?}",
        route.method,
        route.name,
        route.keyed_headers,
        route.keyed_if_sent,
        route.removed,
        route.users,
        route.tenantless,
        route.refusals,
    );
}

fn push_rule(rule: &WriteRule, text: &mut String) {
    let _ = writeln!(
        text,
        "{:?} {:?} {} {} {} {:?}",
        rule.declaration,
        sorted(&rule.targets),
        rule.tenant,
        rule.all_tenants,
        rule.tenantless,
        rule.effect,
    );
}

fn push_set(name: &str, set: &Set, text: &mut String) {
    let targets = sorted(&set.targets);
    let _ =
        writeln!(text, "{name:?} {targets:?} {} {} {}", set.tenant, set.all_tenants, set.or_all);
}

fn sorted(targets: &[ScopeTemplate]) -> Vec<String> {
    let mut texts: Vec<_> =
        targets.iter().map(|target| format!("{:?} {}", target.kind(), target.as_str())).collect();
    texts.sort();
    texts
}
