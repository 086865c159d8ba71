//! What a mutating request may change: by the rules, and by its own path.

use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

use super::admit::space_of;
use super::shared::Shared;
use super::write::{Move, Target, Write};
use crate::key::{ScopeNames, normalize_path_lossy};
use crate::policy::{Canonical, Effect, OwnWrites, Params};

/// Works out what a mutating request on `path` may change.
pub(crate) fn admit_write(shared: &Shared, parts: &Parts, path: &str) -> Write {
    let mut write = Write::new(target_of(shared, parts, path));
    let mut canonical = String::with_capacity(path.len());
    normalize_path_lossy(path, &mut canonical);
    for path in [path, canonical.as_str()] {
        add_rules(shared, parts, path, &mut write);
        add_own_path(shared, parts, path, &canonical, &mut write);
    }
    if shared.sees_others() {
        add_spaces(shared, &mut write);
    }
    if let Some(why) = write.missed {
        tracing::debug!(
            path,
            reason = why.as_str(),
            "a write without a tenant invalidates nothing"
        );
    }
    write
}

/// Adds, without a scope of its own, whatever the write may concern under the rules of another
/// configuration: its tenant, and what belongs to no tenant.
fn add_spaces(shared: &Shared, write: &mut Write) {
    let effect = Effect { hold_if_lost: is_defined(&write.target.method), ..shared.own_effect() };
    let mut spaces = write.target.own.clone();
    spaces.extend(write.target.space.clone());
    spaces.push(shared.rules.tenantless_space());
    for space in spaces {
        if !write.moves.iter().any(|known| *known.scopes.space() == space) {
            let scopes = ScopeNames::new(&space);
            write.moves.push(Move { scopes, effect: effect.clone() });
        }
    }
}

/// Adds what the rules for this method and path move.
fn add_rules(shared: &Shared, parts: &Parts, path: &str, write: &mut Write) {
    let rules = &shared.rules;
    let Some(table) = rules.writes.get(&parts.method) else { return };
    for found in [table.raw.at(path), table.canonical.at(path)].into_iter().flatten() {
        let params = Params::new(found.params.iter());
        let canonical = Canonical::lossy(&params);
        for index in found.value {
            let rule = &rules.mutations[*index];
            if !write.rules.contains(index) {
                write.rules.push(*index);
            }
            match space_of(shared, parts, &params, rule.tenantless) {
                Ok(space) => {
                    write.target.is_of(&space);
                    write.push(rule.scopes(&space, &canonical), &rule.effect);
                }
                // Without a tenant there is nothing of a tenant's to move.
                Err(_) if rule.all_tenants => {
                    let mut scopes = ScopeNames::new(&rules.tenantless_space());
                    scopes.push_all_tenants();
                    write.push(scopes, &rule.effect);
                }
                Err(why) => write.missed = Some(why),
            }
        }
    }
}

/// Adds the request's own path, if that is the path of a cached route (RFC 9111, section 4.4).
fn add_own_path(
    shared: &Shared,
    parts: &Parts,
    path: &str,
    canonical_path: &str,
    write: &mut Write,
) {
    let tables = shared.rules.reads.tables();
    for found in tables.flat_map(|reads| [reads.raw.at(path), reads.canonical.at(path)]).flatten() {
        let route = &shared.rules.routes[*found.value];
        let params = Params::new(found.params.iter());
        if let Ok(space) = space_of(shared, parts, &params, route.tenantless) {
            write.target.is_of(&space);
            if route.own_writes == OwnWrites::Ignore {
                continue;
            }
            let mut scopes = ScopeNames::new(&space);
            scopes.push(&format!("path:{canonical_path}"));
            let hold_if_lost = is_defined(&parts.method);
            write.push(scopes, &Effect { hold_if_lost, ..shared.own_effect() });
        }
    }
}

/// Whether HTTP says what the method does: whoever invents one changes nothing, in all likelihood.
fn is_defined(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

fn target_of(shared: &Shared, parts: &Parts, path: &str) -> Target {
    let mut uri = parts.uri.clone().into_parts();
    let whole = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    // What was a path before is one still; if not, relative references are resolved as they can.
    uri.path_and_query = whole.parse().ok().or(uri.path_and_query);
    let mut headers = HeaderMap::new();
    if let Some(host) = parts.headers.get(HOST) {
        headers.insert(HOST, host.clone());
    }
    Target {
        uri: Uri::from_parts(uri).unwrap_or_else(|_| parts.uri.clone()),
        headers,
        // A tenant that is read from the path is another one on another path.
        space: (!shared.rules.has_tenant_in_path())
            .then(|| space_of(shared, parts, &Params::new(std::iter::empty()), false).ok())
            .flatten(),
        own: Vec::new(),
        method: parts.method.clone(),
    }
}
