//! Which route, which tenant, which key; or why not.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, COOKIE, HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use tracing::Span;

use super::admit_write::admit_write;
use super::content::{Contentless, bypass_on};
use super::matching::{Matched, with_full_path};
use super::origin::{Answer, Handler, Origin};
use super::read::{Read, not_cached};
use super::search::Search;
use super::shared::{Attitude, Shared};
use super::spelling::Spelling;
use super::status;
use super::step::Patience;
use super::write::Write;
use crate::body::ResponseBody;
use crate::key::{
    Keep, KeyTemplate, Names, PathError, QueryError, Space, TenantId, encode, normalize_path,
    normalize_query, template_value,
};
use crate::policy::{
    CachedRoute, Canonical, MAX_TTL, Params, Query, Unreadable, Users, overrides_method,
};
use crate::protocol::serve::request_control;
use crate::protocol::{Fwd, Glance, RequestBypass};
use crate::telemetry::{Bypass, span};

/// Which way a request on a configured route goes.
pub(crate) enum Admission {
    Read(Box<Read>),
    /// A read, once the request's content has been read.
    Content(Contentless),
    Write(Box<Write>),
    Bypass(Passed),
}

impl Admission {
    /// The route of a read.
    pub(crate) fn route(&self) -> Option<&CachedRoute> {
        match self {
            Self::Read(read) => Some(&read.route),
            Self::Content(read) => Some(read.route()),
            Self::Write(_) | Self::Bypass(_) => None,
        }
    }

    /// The span of its request.
    pub(crate) fn span(&self) -> Span {
        let route = match self {
            Self::Read(read) => &read.route,
            Self::Content(read) => read.route(),
            Self::Bypass(passed) => &passed.route,
            Self::Write(write) => return span::of_write(write.target.method.as_str()),
        };
        span::of_read(route.method.as_str(), &route.name)
    }
}

/// A request that goes past the cache.
pub(crate) struct Passed {
    route: Arc<CachedRoute>,
    why: Bypass,
    refuse: bool,
}

impl Passed {
    /// One that is answered by the handler.
    pub(super) fn by(why: Bypass, route: &Arc<CachedRoute>) -> Self {
        Self { route: Arc::clone(route), why, refuse: false }
    }

    /// Why it does.
    pub(crate) fn why(&self) -> Bypass {
        self.why
    }
}

/// Works out a request's tenant and key, or why it has none. `has_content` is for content that no
/// field announces.
pub(crate) fn admit(
    shared: &Shared,
    parts: &Parts,
    has_content: bool,
    prefix: Option<&str>,
    matched: Matched,
) -> Admission {
    with_full_path(&parts.uri, &parts.extensions, prefix, |path| match matched {
        Matched::Write => Admission::Write(Box::new(admit_write(shared, parts, path))),
        Matched::Read(route) => match admit_read(shared, parts, path, route, None) {
            Ok(read) if has_content && !read.route.method.has_content() => {
                Admission::Bypass(Passed::by(Bypass::Content, &read.route))
            }
            Ok(read) if read.route.method.has_content() => {
                Admission::Content(Contentless::new(read))
            }
            Ok(read) => Admission::Read(Box::new(read)),
            Err(why) => {
                let refuse = shared.settings.refuse_without_tenant
                    && matches!(why, Bypass::NoTenant | Bypass::BadTenant);
                Admission::Bypass(Passed {
                    route: Arc::clone(&shared.rules.routes[route]),
                    why,
                    refuse,
                })
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
    shared.telemetry.passed_by();
    let route = &passed.route;
    let rfc9111 = shared.settings.attitude == Attitude::Rfc9111;
    if rfc9111 && request_control(origin.headers()).only_if_cached {
        return Ok(not_cached(&shared, route));
    }
    if passed.refuse {
        let mut response = Response::new(ResponseBody::whole(Bytes::from_static(
            b"the request has no valid tenant\n",
        )));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        status::not_forwarded(&shared, route, response.headers_mut(), passed.why.as_str());
        return Ok(response);
    }
    let answer = origin.run_for(&shared, route).await;
    let mut response =
        answer.inspect_err(|_| status::erred(&shared, route))?.map(ResponseBody::pass);
    status::passed(&shared, route, response.headers_mut(), passed.why);
    Ok(response)
}

/// Works out the key of a read, in `space` whatever the request says of its tenant, if there is one.
pub(super) fn admit_read(
    shared: &Shared,
    parts: &Parts,
    path: &str,
    index: usize,
    space: Option<&Space>,
) -> Result<Read, Bypass> {
    let rfc9111 = shared.settings.attitude == Attitude::Rfc9111;
    let route = &shared.rules.routes[index];
    let fields = Glance::of(&parts.headers);
    if overrides_method(&fields) {
        return Err(Bypass::MethodOverride);
    }
    let wishes = wishes_of(&fields);
    let mut alone = match bypass_on(route, &parts.method, &fields, wishes.as_deref())? {
        None => None,
        // What is stored can answer these; a handler's answer to them is for one client.
        Some(RequestBypass::Range) => Some(Bypass::Range),
        // RFC 9111, section 4.3.2: they are for the origin, and this is not a part of it.
        Some(RequestBypass::Precondition) if rfc9111 => return Err(Bypass::Precondition),
        Some(RequestBypass::Precondition) => Some(Bypass::Precondition),
        Some(RequestBypass::Content) => return Err(Bypass::Content),
        Some(_) => return Err(Bypass::Upgrade),
    };
    let reads = shared.rules.reads.of(route.method);
    let found = reads.raw.at(path).map_err(|_| Bypass::MalformedEscape)?;
    let params = Params::new(found.params.iter());
    let space = match space {
        Some(space) => space.clone(),
        None => space_of(shared, parts, &params, route.tenantless)?,
    };
    // After the tenant, which has its own word for what is sent twice.
    if fields.is_ambiguous(&parts.uri) {
        return Err(Bypass::Ambiguous);
    }
    let mut variant = String::with_capacity(64);
    variant.push_str(route.method.as_str());
    push_identity(route, parts, &fields, &params, &mut variant, rfc9111)?;
    push_headers(route, parts, fields, &mut variant);
    if variant.len() > shared.settings.max_variant {
        let digest = blake3::hash(variant.as_bytes()).to_hex();
        variant = format!("{};@#{digest}", route.method);
    }
    let mut normal = String::with_capacity(path.len());
    normalize_path(path, &mut normal).map_err(|error| match error {
        PathError::DotSegment => Bypass::DotSegment,
        _ => Bypass::MalformedEscape,
    })?;
    // A router that matches literal segments as they stand takes `/users/m%65` for another route than
    // `/users/me`: the answer of one must not become that of the other.
    if path.contains('%') && reads.canonical.at(&normal).is_ok_and(|other| *other.value != index) {
        return Err(Bypass::Ambiguous);
    }
    let canonical = Canonical::strict(&params).map_err(|_| Bypass::MalformedEscape)?;
    let text = key_text(shared, route, &normal, &canonical, parts.uri.query())?;
    if text.len() > shared.settings.max_key {
        return Err(Bypass::KeyTooLong);
    }
    let ttl = match &route.ttl_with {
        None => route.ttl,
        Some(ttl_with) => ttl_with(parts).min(MAX_TTL),
    };
    if ttl.is_zero() && !rfc9111 {
        return Err(Bypass::NoTtl);
    }
    let is_said = matches!(route.query, Query::AsSaid);
    // The app's routes take all spellings of a target for one; another origin may not.
    let mut spelling = ((rfc9111 || shared.settings.exact_targets)
        && matches!(route.key, KeyTemplate::Path))
    .then(|| Spelling::new(path, parts.uri.query()));
    if let Some(spelling) = spelling.take_if(|_| !is_said) {
        spelling.push(kept_of(route), normal.len(), &text, &mut variant);
    }
    // Where a response says what of the query counts, only the path is known by now.
    let known = if is_said { &*normal } else { &*text };
    let mut names = Names::with_epoch_of(known, &space, &variant, &text);
    names.set_configured(shared.rules.configured(Some(index)));
    route.push_scopes(&mut names, &normal, &canonical);
    if shared.rules.all_tenants {
        names.push_all_tenants();
    }
    let search = is_said.then(|| {
        let search = Search::new(names.clone(), normal.len(), spelling);
        names = search.names(None);
        Box::new(search)
    });
    let head = parts.method == Method::HEAD;
    let wants = rfc9111.then(|| Box::new(request_control(&parts.headers)));
    if wants.as_ref().is_some_and(|wants| wants.no_store) {
        // RFC 9111, section 5.2.1.5: it may be answered from what is stored.
        alone.get_or_insert(Bypass::RequestNoStore);
    }
    // Of these RFC 9111 lets the response, or the request itself, keep the answer from all others.
    let is_personal = wants.as_ref().is_some_and(|wants| wants.no_store)
        || rfc9111 && has_own_authorization(route, &fields);
    Ok(Read {
        route: Arc::clone(route),
        names,
        search,
        variant: None,
        ttl,
        head,
        wishes,
        wants,
        alone,
        is_personal,
        is_value: false,
        reason: Fwd::Miss,
        passed: None,
        is_refresh: false,
        held: None,
        patience: Patience::default(),
    })
}

/// Whether a request has credentials that are no part of its key, and that count.
fn has_own_authorization(route: &CachedRoute, fields: &Glance<'_>) -> bool {
    fields.has(&AUTHORIZATION)
        && !route.refusals.ignore_authorization
        && !route.keyed_headers.contains(&AUTHORIZATION)
        && !matches!(route.users, Some(Users::Per(_)))
}

/// The fields that say under what condition, and what of it, a client wants the response.
fn wishes_of(fields: &Glance<'_>) -> Option<Box<HeaderMap>> {
    const WISHES: [HeaderName; 6] =
        [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
    let mut wishes: Option<Box<HeaderMap>> = None;
    for name in WISHES {
        if !fields.has(&name) {
            continue;
        }
        for value in fields.headers.get_all(&name) {
            wishes.get_or_insert_default().append(name.clone(), value.clone());
        }
    }
    wishes
}

fn key_text<'a>(
    shared: &Shared,
    route: &CachedRoute,
    path: &'a str,
    params: &Canonical<'_>,
    query: Option<&str>,
) -> Result<Cow<'a, str>, Bypass> {
    let limits = shared.settings.query_limits();
    let refused = |error| match error {
        QueryError::TooMany => Bypass::TooManyParameters,
        QueryError::TooLong => Bypass::KeyTooLong,
        _ => Bypass::MalformedEscape,
    };
    let whole = path.len() + query.map_or(0, |query| query.len() + 1);
    let mut text;
    match &route.key {
        KeyTemplate::Path => {
            let Some(query) = query else { return Ok(Cow::Borrowed(path)) };
            let keep = match &route.query {
                Query::All | Query::AsSaid => Keep::All,
                Query::Named(names) => Keep::Named(names),
            };
            text = String::with_capacity(whole);
            text.push_str(path);
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
            text = String::with_capacity(whole);
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
    Ok(Cow::Owned(text))
}

/// Which parts of a query as it came are in the key, if not all are.
fn kept_of(route: &CachedRoute) -> Option<(Keep<'_>, bool)> {
    match &route.query {
        Query::All | Query::AsSaid => None,
        Query::Named(names) => Some((Keep::Named(names), false)),
    }
}

/// Adds the identity to the variant, and sees to it that no credentials go unmentioned.
fn push_identity<'a>(
    route: &CachedRoute,
    parts: &'a Parts,
    fields: &Glance<'_>,
    params: &Params<'a>,
    variant: &mut String,
    rfc9111: bool,
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
            TenantId::check(&text).map_err(|_| Bypass::BadIdentity)?;
            variant.push_str(";@=");
            encode(text.as_bytes(), variant);
            Ok(())
        }
        None => {
            let carries = |name| fields.has(&name) && !route.keyed_headers.contains(&name);
            // RFC 9111, section 3.5, lets the response say whether others may have it.
            let ignores_authorization = route.refusals.ignore_authorization || rfc9111;
            if carries(AUTHORIZATION) && !ignores_authorization {
                return Err(Bypass::Authorization);
            }
            if carries(COOKIE) && !route.refusals.ignore_cookies {
                return Err(Bypass::Cookie);
            }
            Ok(())
        }
    }
}

/// Adds the declared request headers to the variant: `;name=value,value`, or `;name` for one that
/// the request does not have.
fn push_headers(route: &CachedRoute, parts: &Parts, fields: Glance<'_>, variant: &mut String) {
    for name in &route.keyed_headers {
        if *name == HOST {
            push_host(parts, variant);
        } else {
            push_header(name, parts, variant);
        }
    }
    if route.keyed_if_sent.has_host() {
        push_host(parts, variant);
    }
    for name in route.keyed_if_sent.found(fields) {
        push_header(name, parts, variant);
    }
}

fn push_header(name: &HeaderName, parts: &Parts, variant: &mut String) {
    variant.push(';');
    variant.push_str(name.as_str());
    let mut separator = '=';
    for value in parts.headers.get_all(name) {
        variant.push(separator);
        separator = ',';
        if *name == AUTHORIZATION || *name == COOKIE {
            // Names of keys are for operators to read; these are not.
            variant.push('#');
            variant.push_str(&blake3::hash(value.as_bytes()).to_hex());
        } else {
            encode(value.as_bytes(), variant);
        }
    }
}

/// Adds the host that the request was sent to. Where the target names one (RFC 9112, section 3.2.2;
/// HTTP/2's `:authority`), it counts, with its scheme, and a Host beside it is the same.
fn push_host(parts: &Parts, variant: &mut String) {
    let Some(authority) = parts.uri.authority() else {
        // Sent twice it has no key.
        if let Some(host) = parts.headers.get(HOST) {
            variant.push_str(";host=");
            encode(host.as_bytes(), variant);
        }
        return;
    };
    variant.push_str(";host=");
    encode(authority.as_str().as_bytes(), variant);
    if let Some(scheme) = parts.uri.scheme() {
        variant.push_str(";@scheme=");
        encode(scheme.as_str().as_bytes(), variant);
    }
}

/// The space of the request's tenant, or why it has none.
pub(super) fn space_of<'a>(
    shared: &Shared,
    parts: &'a Parts,
    params: &Params<'a>,
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
    TenantId::check(&text).map_err(|_| Bypass::BadTenant)?;
    Ok(Space::new(&rules.namespace, &text))
}
