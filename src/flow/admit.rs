//! Which route, which tenant, which key; or why not.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use tracing::Span;

use super::admit_write::admit_write;
use super::content::{Contentless, bypass_on};
use super::keying::{Said, Whose, key_of};
use super::matching::{Matched, with_full_path};
use super::origin::{Answer, Handler, Origin};
use super::read::{Read, not_cached};
use super::shared::{Attitude, Shared};
use super::status;
use super::step::Patience;
use super::variant_text::{self, Raw, Text};
use super::write::Write;
use crate::body::ResponseBody;
use crate::key::{Space, TenantId};
use crate::policy::{CachedRoute, MAX_TTL, Params, Unreadable, Users, overrides_method};
use crate::protocol::serve::request_control;
use crate::protocol::{Fwd, Glance, RequestBypass, Several};
use crate::telemetry::{Bypass, span};

/// Which way a request on a configured route goes.
#[allow(clippy::large_enum_variant, reason = "most are reads, and most of them end as they are")]
pub(crate) enum Admission {
    Read(Read),
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
            Ok(read) => Admission::Read(read),
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
    let params_of = || -> Result<Params<'_>, Bypass> {
        let found = reads.raw.at(path).map_err(|_| Bypass::MalformedEscape)?;
        Ok(Params::new(found.params.iter()))
    };
    // Most requests say in their fields whose they are, and their key is known.
    let in_path =
        route.identity_in_path() || !route.tenantless && shared.rules.has_tenant_in_path();
    let params = in_path.then(params_of).transpose()?;
    let none = Params::default();
    let told = params.as_ref().unwrap_or(&none);
    let whose = match space {
        Some(space) => Whose::Space(space),
        None => whose_of(shared, parts, told, route.tenantless)?,
    };
    // After the tenant, which has its own word for what is sent twice.
    if fields.is_ambiguous(&parts.uri) {
        return Err(Bypass::Ambiguous);
    }
    let identity = variant_text::identity(route, parts, &fields, told, rfc9111)?;
    let mut raw = Raw::begin();
    variant_text::write(route, parts, fields, identity.as_deref(), &mut raw);
    raw.shorten();
    let said = Said { index, whose: &whose, path, query: parts.uri.query(), beside: &raw.0 };
    let (names, search) = if let Some(names) = shared.known_keys.get(&said) {
        (names, None)
    } else {
        let mut variant = Text::new(route.method.as_str());
        variant_text::write(route, parts, fields, identity.as_deref(), &mut variant);
        let variant = variant.within(shared.settings.max_variant, route.method.as_str());
        key_of(shared, &said, &variant, &params.map_or_else(params_of, Ok)?)?
    };
    raw.end();
    let ttl = match &route.ttl_with {
        None => route.ttl,
        Some(ttl_with) => ttl_with(parts).min(MAX_TTL),
    };
    if ttl.is_zero() && !rfc9111 {
        return Err(Bypass::NoTtl);
    }
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
    static WISHES: LazyLock<Several> = LazyLock::new(|| {
        Several::new([
            IF_MATCH,
            IF_NONE_MATCH,
            IF_MODIFIED_SINCE,
            IF_UNMODIFIED_SINCE,
            IF_RANGE,
            RANGE,
        ])
    });
    let mut wishes: Option<Box<HeaderMap>> = None;
    for name in fields.some_of(&WISHES) {
        for value in fields.headers.get_all(name) {
            wishes.get_or_insert_default().append(name.clone(), value.clone());
        }
    }
    wishes
}

/// The space of the request's tenant, or why it has none.
pub(super) fn space_of<'a>(
    shared: &Shared,
    parts: &'a Parts,
    params: &Params<'a>,
    tenantless: bool,
) -> Result<Space, Bypass> {
    whose_of(shared, parts, params, tenantless).map(|whose| whose.space(&shared.rules))
}

/// Whose the request is, or why it is nobody's.
fn whose_of<'a>(
    shared: &Shared,
    parts: &'a Parts,
    params: &Params<'a>,
    tenantless: bool,
) -> Result<Whose<'a>, Bypass> {
    if tenantless {
        return Ok(Whose::Nobody);
    }
    let source = shared.rules.tenant.as_ref().ok_or(Bypass::NoTenant)?.source();
    let text = source.read(parts, params).map_err(|why| match why {
        Unreadable::Missing => Bypass::NoTenant,
        Unreadable::Malformed => Bypass::BadTenant,
    })?;
    TenantId::check(&text).map_err(|_| Bypass::BadTenant)?;
    Ok(Whose::Tenant(text))
}
