//! What is wrong with a single declaration, or with two of them together.

use std::time::Duration;

use http::Method;

use super::draft::Draft;
use crate::key::{
    KeyTemplate, PathTemplate, ScopeTemplate, Segment, TemplateError, encode, normalize_value_lossy,
};
use crate::policy::compile::Declarations;
use crate::policy::identity::Source;
use crate::policy::{ConfigError, Effect, MAX_TTL, ReadMethod, Route};
use crate::store::Mode;

pub(super) fn parse_path(path: &str) -> Result<PathTemplate, ConfigError> {
    PathTemplate::parse(path).map_err(malformed(path, path))
}

pub(super) fn malformed<'a>(
    declaration: &'a str,
    template: &'a str,
) -> impl FnOnce(TemplateError) -> ConfigError + 'a {
    move |source| ConfigError::Template {
        declaration: declaration.to_owned(),
        template: template.to_owned(),
        source,
    }
}

pub(super) fn encoded(text: &str) -> String {
    let mut out = String::new();
    encode(text.as_bytes(), &mut out);
    out
}

pub(super) fn within(setting: &str, ttl: Duration) -> Result<(), ConfigError> {
    if ttl < Duration::from_millis(1) || ttl > MAX_TTL {
        let setting = setting.to_owned();
        return Err(ConfigError::OutOfRange { setting, allowed: "1 ms to 365 days" });
    }
    Ok(())
}

pub(super) fn check_source(source: &Source) -> Result<(), ConfigError> {
    match source {
        Source::Header(Err(text)) => Err(ConfigError::Header(text.clone())),
        _ => Ok(()),
    }
}

/// Whether the parameter that a source reads is one of the path's; answers which it is.
pub(super) fn check_parameter(
    source: &Source,
    path: &PathTemplate,
) -> Result<Option<String>, ConfigError> {
    let Source::Parameter(name) = source else { return Ok(None) };
    if path.params().any(|param| param == name) {
        return Ok(Some(name.clone()));
    }
    let path = path.as_str().to_owned();
    Err(ConfigError::NoSuchParameter { path, parameter: name.clone() })
}

pub(super) fn check_tenancy(
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

pub(super) fn check_effect(declaration: &str, effect: &Effect) -> Result<(), ConfigError> {
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

pub(super) fn check_bound(
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

pub(super) fn check_key_texts(drafts: &[Draft<'_>]) -> Result<(), ConfigError> {
    for (index, one) in drafts.iter().enumerate() {
        for other in &drafts[index + 1..] {
            if one.method == other.method
                && one.route.tenantless == other.route.tenantless
                && one.key.may_collide(&other.key)
            {
                return Err(ConfigError::AmbiguousKey {
                    path: one.route.path.clone(),
                    other: other.route.path.clone(),
                });
            }
        }
    }
    Ok(())
}

/// The method of a route, if a cache can read by it as the route says.
pub(super) fn check_method(route: &Route) -> Result<ReadMethod, ConfigError> {
    let Some(method) = ReadMethod::of_route(&route.method) else {
        let (path, method) = (route.path.clone(), route.method.to_string());
        return Err(ConfigError::RouteMethod { path, method });
    };
    let contradiction = |reason| {
        let path = format!("{method} {}", route.path);
        Err(ConfigError::Contradiction { path, reason })
    };
    if !method.has_content() && route.max_request_body.is_some() {
        return contradiction(
            "only the content of QUERY and POST is read: remove `.max_request_body(…)`",
        );
    }
    // RFC 9110, section 13.1.2: to another method than GET the answer would be 412.
    if method == ReadMethod::Post && route.revalidate.is_some_and(|window| !window.is_zero()) {
        return contradiction(
            "a POST can't ask whether a response is still good: remove `.revalidate(…)`",
        );
    }
    Ok(method)
}

/// Refuses a rule whose requests would be taken for reads of a cached route, so that a write would
/// invalidate nothing.
///
/// As in routers the narrower of two templates wins: a route may be a special case of the rule, and
/// the rule a special case of a route where one that is not cached stands in between.
pub(super) fn check_reads(
    declaration: &str,
    method: &Method,
    path: &PathTemplate,
    drafts: &[Draft<'_>],
) -> Result<(), ConfigError> {
    let rule = path.segments();
    let of_method =
        || drafts.iter().filter(|draft| Some(draft.method) == ReadMethod::of_route(method));
    let (uncached, cached): (Vec<_>, Vec<_>) = of_method()
        .map(|draft| (draft.route.uncached, draft.path.segments()))
        .partition(|(uncached, _)| *uncached);
    let is_cleared = uncached.iter().any(|(_, read)| covers(rule, read) && covers(read, rule));
    for (_, read) in cached {
        let is_narrower = covers(rule, read) && !covers(read, rule);
        let is_wider = covers(read, rule) && !covers(rule, read);
        if may_meet(rule, read) && !is_narrower && !(is_wider && is_cleared) {
            return Err(ConfigError::Contradiction {
                path: declaration.to_owned(),
                reason: "a cached route of the same method says that such requests change nothing: \
                         remove one of the two, or declare a route for this path as `.uncached()`",
            });
        }
    }
    Ok(())
}

/// Whether some path fits both templates.
fn may_meet(one: &[Segment], other: &[Segment]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([], _) | (_, []) => false,
        ([Segment::Rest(_), ..], _) | (_, [Segment::Rest(_), ..]) => true,
        ([Segment::Literal(one), ..], [Segment::Literal(other), ..])
            if canonical(one) != canonical(other) =>
        {
            false
        }
        ([_, one @ ..], [_, other @ ..]) => may_meet(one, other),
    }
}

/// Whether each path that fits the narrow template fits the wide one.
fn covers(wide: &[Segment], narrow: &[Segment]) -> bool {
    match (wide, narrow) {
        ([], []) => true,
        ([], _) | (_, []) => false,
        ([Segment::Rest(_), ..], _) => true,
        (_, [Segment::Rest(_), ..]) | ([Segment::Literal(_), ..], [Segment::Param(_), ..]) => false,
        ([Segment::Literal(wide), ..], [Segment::Literal(narrow), ..])
            if canonical(wide) != canonical(narrow) =>
        {
            false
        }
        ([_, wide @ ..], [_, narrow @ ..]) => covers(wide, narrow),
    }
}

fn canonical(literal: &str) -> String {
    let mut text = String::with_capacity(literal.len());
    normalize_value_lossy(literal, &mut text);
    text
}

/// Whether two tags, each with some values, can be the same text.
pub(crate) fn may_be_equal(one: &ScopeTemplate, other: &ScopeTemplate) -> bool {
    match (KeyTemplate::parse(one.as_str()), KeyTemplate::parse(other.as_str())) {
        (Ok(one), Ok(other)) => one.may_collide(&other),
        _ => one.as_str() == other.as_str(),
    }
}
