//! Which route, which tenant, which key; or why not.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use http::{Extensions, Method, Request, Response, StatusCode, Uri};

use super::origin::{Answer, Handler, Origin};
use super::read::{Read, forward};
use super::shared::Shared;
use super::write::Write;
use crate::body::ResponseBody;
use crate::key::{
    Keep, KeyTemplate, Names, PathError, QueryError, ScopeNames, Space, TenantId, encode,
    normalize_path, normalize_path_lossy, normalize_query, template_value,
};
use crate::policy::{CachedRoute, Canonical, Effect, MAX_TTL, Params, Query, Unreadable, Users};
use crate::protocol::{Credentials, Fwd, RequestBypass, bypass_by_request, has_credentials};
use crate::telemetry::Bypass;

/// Which way a request on a configured route goes.
pub(crate) enum Admission {
    Read(Box<Read>),
    Write(Write),
    Bypass(Passed),
}

/// A request that goes past the cache.
pub(crate) struct Passed {
    why: Bypass,
    refuse: bool,
}

/// Which table a request was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matched {
    Read(usize),
    Write,
}

/// Finds a request's route. Costs no allocation.
pub(crate) fn match_route<B>(
    shared: &Shared,
    request: &Request<B>,
    prefix: Option<&str>,
) -> Option<Matched> {
    let method = request.method();
    let rules = &shared.rules;
    with_full_path(request.uri(), request.extensions(), prefix, |path| {
        if matches!(*method, Method::GET | Method::HEAD) {
            return rules.reads.raw.at(path).ok().map(|found| Matched::Read(*found.value));
        }
        if method.is_safe() || method.as_str() == "QUERY" {
            return None;
        }
        // A path that is spelled otherwise may reach the same handler.
        let is_known = rules.reads.raw.at(path).is_ok()
            || rules.writes.get(method).is_some_and(|table| table.raw.at(path).is_ok())
            || path.contains(['%', '.']) && is_known_normalized(shared, method, path);
        is_known.then_some(Matched::Write)
    })
}

fn is_known_normalized(shared: &Shared, method: &Method, path: &str) -> bool {
    let mut canonical = String::with_capacity(path.len());
    normalize_path_lossy(path, &mut canonical);
    shared.rules.reads.canonical.at(&canonical).is_ok()
        || shared
            .rules
            .writes
            .get(method)
            .is_some_and(|table| table.canonical.at(&canonical).is_ok())
}

/// Works out a request's tenant and key, or why it has none.
pub(crate) fn admit(
    shared: &Shared,
    parts: &Parts,
    prefix: Option<&str>,
    matched: Matched,
) -> Admission {
    with_full_path(&parts.uri, &parts.extensions, prefix, |path| match matched {
        Matched::Write => Admission::Write(admit_write(shared, parts, path)),
        Matched::Read(route) => match admit_read(shared, parts, path, route) {
            Ok(read) => Admission::Read(Box::new(read)),
            Err(why) => {
                let refuse = shared.settings.refuse_without_tenant
                    && matches!(why, Bypass::NoTenant | Bypass::BadTenant);
                Admission::Bypass(Passed { why, refuse })
            }
        },
    })
}

/// Answers a request that goes past the cache.
pub(crate) async fn bypass<S, B>(
    shared: Arc<Shared>,
    passed: Passed,
    origin: Origin<S, B>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    shared.counters.bypasses.increment();
    if passed.refuse {
        let mut response = Response::new(ResponseBody::whole(Bytes::from_static(
            b"the request has no valid tenant\n",
        )));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(response);
    }
    forward(&shared, origin, Fwd::Bypass, Some(passed.why.as_str())).await
}

fn admit_read(shared: &Shared, parts: &Parts, path: &str, index: usize) -> Result<Read, Bypass> {
    if let Some(why) = bypass_by_request(&parts.method, &parts.headers) {
        return Err(match why {
            RequestBypass::Range => Bypass::Range,
            RequestBypass::Content => Bypass::Content,
            _ => Bypass::Upgrade,
        });
    }
    let route = &shared.rules.routes[index];
    let found = shared.rules.reads.raw.at(path).map_err(|_| Bypass::MalformedEscape)?;
    let params = Params::new(found.params.iter());
    let space = space_of(shared, parts, &params, route.tenantless)?;
    let mut variant = String::from("GET");
    push_identity(route, parts, &params, &mut variant)?;
    push_headers(route, parts, &mut variant);
    if variant.len() > shared.settings.max_variant {
        let digest = blake3::hash(variant.as_bytes()).to_hex();
        variant = format!("GET;@#{digest}");
    }
    let mut normal = String::with_capacity(path.len());
    normalize_path(path, &mut normal).map_err(|error| match error {
        PathError::DotSegment => Bypass::DotSegment,
        _ => Bypass::MalformedEscape,
    })?;
    let canonical = Canonical::strict(&params).map_err(|_| Bypass::MalformedEscape)?;
    let text = key_text(shared, route, &normal, &canonical, parts.uri.query())?;
    if text.len() > shared.settings.max_key {
        return Err(Bypass::KeyTooLong);
    }
    let ttl = match &route.ttl_with {
        None => route.ttl,
        Some(ttl_with) => ttl_with(parts).min(MAX_TTL),
    };
    if ttl.is_zero() {
        return Err(Bypass::NoTtl);
    }
    let mut names = Names::new(&space, &variant, &text);
    route.push_scopes(&mut names, &normal, &canonical);
    if shared.rules.all_tenants {
        names.push_all_tenants();
    }
    let head = parts.method == Method::HEAD;
    Ok(Read { route: Arc::clone(route), names, ttl, head, fallback: None })
}

fn key_text(
    shared: &Shared,
    route: &CachedRoute,
    path: &str,
    params: &Canonical,
    query: Option<&str>,
) -> Result<String, Bypass> {
    let limits = shared.settings.query_limits();
    let refused = |error| match error {
        QueryError::TooMany => Bypass::TooManyParameters,
        QueryError::TooLong => Bypass::KeyTooLong,
        _ => Bypass::MalformedEscape,
    };
    let mut text = String::with_capacity(path.len() + query.map_or(0, |query| query.len() + 1));
    match &route.key {
        KeyTemplate::Path => {
            text.push_str(path);
            let Some(query) = query else { return Ok(text) };
            let keep = match &route.query {
                Query::All => Keep::All,
                Query::Named(names) => Keep::Named(names),
            };
            text.push('?');
            let empty = text.len();
            normalize_query(query, keep, limits, &mut text).map_err(refused)?;
            if text.len() == empty && matches!(keep, Keep::Named(_)) {
                text.pop();
            }
        }
        KeyTemplate::Text(template) => {
            let query = query.unwrap_or_default();
            limits.check(query).map_err(refused)?;
            let value = |name: &str, out: &mut String| {
                if let Some(value) = params.get(name) {
                    out.push_str(value);
                    Ok(())
                } else {
                    let mut encoded = String::with_capacity(name.len());
                    encode(name.as_bytes(), &mut encoded);
                    template_value(query, &encoded, out)
                }
            };
            template.write(value, &mut text).map_err(refused)?;
        }
    }
    Ok(text)
}

/// Adds the identity to the variant, and sees to it that no credentials go unmentioned.
fn push_identity(
    route: &CachedRoute,
    parts: &Parts,
    params: &Params<'_>,
    variant: &mut String,
) -> Result<(), Bypass> {
    match &route.users {
        Some(Users::Same) => Ok(()),
        Some(Users::Per(identity)) => {
            let identity = identity.source().read(parts, params);
            let text = identity.map_err(|why| match why {
                Unreadable::Missing => Bypass::NoIdentity,
                Unreadable::Malformed => Bypass::BadIdentity,
            })?;
            // The same bounds as a tenant's: what is too long to be one is not an id.
            let id = TenantId::new(&text).map_err(|_| Bypass::BadIdentity)?;
            variant.push_str(";@=");
            encode(id.as_str().as_bytes(), variant);
            Ok(())
        }
        None => {
            let keyed = |name| route.keyed_headers.contains(&name);
            match has_credentials(&parts.headers) {
                Some(_) if parts.headers.contains_key(AUTHORIZATION) && !keyed(AUTHORIZATION) => {
                    Err(Bypass::Authorization)
                }
                Some(Credentials::Cookie) if !keyed(COOKIE) => Err(Bypass::Cookie),
                Some(_) if parts.headers.contains_key(COOKIE) && !keyed(COOKIE) => {
                    Err(Bypass::Cookie)
                }
                _ => Ok(()),
            }
        }
    }
}

/// Adds the declared request headers to the variant: `;name=value,value`, or `;name` for one that
/// the request does not have.
fn push_headers(route: &CachedRoute, parts: &Parts, variant: &mut String) {
    for name in &route.keyed_headers {
        variant.push(';');
        variant.push_str(name.as_str());
        let mut separator = '=';
        for value in parts.headers.get_all(name) {
            variant.push(separator);
            encode(value.as_bytes(), variant);
            separator = ',';
        }
    }
}

fn admit_write(shared: &Shared, parts: &Parts, path: &str) -> Write {
    let mut write = Write::new();
    let mut canonical = String::with_capacity(path.len());
    normalize_path_lossy(path, &mut canonical);
    for path in [path, canonical.as_str()] {
        add_rules(shared, parts, path, &mut write);
        add_own_path(shared, parts, path, &canonical, &mut write);
    }
    write
}

/// Adds what the rules for this method and path move.
fn add_rules(shared: &Shared, parts: &Parts, path: &str, write: &mut Write) {
    let rules = &shared.rules;
    let Some(table) = rules.writes.get(&parts.method) else { return };
    for found in [table.raw.at(path), table.canonical.at(path)].into_iter().flatten() {
        let params = Params::new(found.params.iter());
        let canonical = Canonical::lossy(&params);
        for rule in found.value.iter().map(|index| &rules.mutations[*index]) {
            match space_of(shared, parts, &params, rule.tenantless) {
                Ok(space) => write.push(rule.scopes(&space, &canonical), &rule.effect),
                // Without a tenant there is nothing of a tenant's to move.
                Err(_) if rule.all_tenants => {
                    let mut scopes = ScopeNames::new(&rules.tenantless_space());
                    scopes.push_all_tenants();
                    write.push(scopes, &rule.effect);
                }
                Err(_) => {}
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
    let reads = &shared.rules.reads;
    for found in [reads.raw.at(path), reads.canonical.at(path)].into_iter().flatten() {
        let route = &shared.rules.routes[*found.value];
        if !route.invalidated_by_writes {
            continue;
        }
        let params = Params::new(found.params.iter());
        if let Ok(space) = space_of(shared, parts, &params, route.tenantless) {
            let mut scopes = ScopeNames::new(&space);
            scopes.push(&format!("path:{canonical_path}"));
            write.push(scopes, &Effect::default());
        }
    }
}

fn space_of(
    shared: &Shared,
    parts: &Parts,
    params: &Params<'_>,
    tenantless: bool,
) -> Result<Space, Bypass> {
    let rules = &shared.rules;
    if tenantless {
        return Ok(rules.tenantless_space());
    }
    let source = rules.tenant.as_ref().ok_or(Bypass::NoTenant)?.source();
    let text = source.read(parts, params).map_err(|why| match why {
        Unreadable::Missing => Bypass::NoTenant,
        Unreadable::Malformed => Bypass::BadTenant,
    })?;
    let tenant = TenantId::new(&text).map_err(|_| Bypass::BadTenant)?;
    Ok(Space::new(&rules.namespace, tenant.as_str()))
}

thread_local! {
    /// Where a prefix and a path are put together, so that a request on no configured route costs
    /// no allocation.
    static JOINED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls `with` with the path as it was before any router stripped a part of it.
fn with_full_path<T>(
    uri: &Uri,
    extensions: &Extensions,
    prefix: Option<&str>,
    with: impl FnOnce(&str) -> T,
) -> T {
    let Some(prefix) = prefix else {
        #[cfg(feature = "axum")]
        if let Some(original) = extensions.get::<axum::extract::OriginalUri>() {
            return with(original.0.path());
        }
        let _ = extensions;
        return with(uri.path());
    };
    // Taken out for the call, in case it comes back here.
    let mut joined = JOINED.take();
    joined.clear();
    joined.push_str(prefix);
    joined.push_str(uri.path());
    let answer = with(&joined);
    JOINED.set(joined);
    answer
}
