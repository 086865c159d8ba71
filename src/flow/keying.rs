//! The key of a read: from the texts that say what it is of to the names of all that is stored for it.

use std::borrow::Cow;
use std::sync::Arc;

use super::search::Search;
use super::shared::{Attitude, Shared};
use super::spelling::Spelling;
use crate::key::{
    Keep, KeyTemplate, Names, PathError, QueryError, Space, encode, normalize_path,
    normalize_query, template_value,
};
use crate::policy::{CachedRoute, Canonical, Params, Query, Rules};
use crate::telemetry::Bypass;

/// All that a key is made of. Two that are equal have the same key: beside them it depends on the
/// configuration alone.
pub(super) struct Said<'a> {
    /// The route's place in the configuration.
    pub(super) index: usize,
    pub(super) whose: &'a Whose<'a>,
    /// The full path and the query, as they came.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// Identity and header fields.
    pub(super) beside: &'a [u8],
}

/// Whose a request is.
pub(super) enum Whose<'a> {
    Nobody,
    /// A valid tenant.
    Tenant(Cow<'a, str>),
    /// Whatever the request says.
    Space(&'a Space),
}

impl Whose<'_> {
    pub(super) fn space(&self, rules: &Rules) -> Space {
        match self {
            Self::Nobody => rules.tenantless_space(),
            Self::Tenant(text) => rules.space(text),
            Self::Space(space) => (*space).clone(),
        }
    }
}

/// Works a key out, and remembers it. `variant` is the text of what it says beside path and query.
///
/// Where responses say what of the query counts, its search comes with it, and it is not remembered: it is not
/// the last word.
pub(super) fn key_of(
    shared: &Shared,
    said: &Said<'_>,
    variant: &str,
    params: &Params<'_>,
) -> Result<(Arc<Names>, Option<Box<Search>>), Bypass> {
    let &Said { index, whose, path, query, .. } = said;
    let (rules, settings) = (&shared.rules, &shared.settings);
    let route = &rules.routes[index];
    let mut normal = String::with_capacity(path.len());
    normalize_path(path, &mut normal).map_err(|error| match error {
        PathError::DotSegment => Bypass::DotSegment,
        _ => Bypass::MalformedEscape,
    })?;
    // A router that matches literal segments as they stand takes `/users/m%65` for another route than
    // `/users/me`: the answer of one must not become that of the other.
    let canonical = &rules.reads.of(route.method).canonical;
    if path.contains('%') && canonical.at(&normal).is_ok_and(|other| *other.value != index) {
        return Err(Bypass::Ambiguous);
    }
    let params = Canonical::strict(params).map_err(|_| Bypass::MalformedEscape)?;
    let text = key_text(shared, route, &normal, &params, query)?;
    if text.len() > settings.max_key {
        return Err(Bypass::KeyTooLong);
    }
    let is_said = matches!(route.query, Query::AsSaid);
    // The app's routes take all spellings of a target for one; another origin may not.
    let tells_apart = settings.attitude == Attitude::Rfc9111 || settings.exact_targets;
    let mut spelling =
        (tells_apart && matches!(route.key, KeyTemplate::Path)).then(|| Spelling::new(path, query));
    let mut variant = Cow::Borrowed(variant);
    if let Some(spelling) = spelling.take_if(|_| !is_said) {
        spelling.push(kept_of(route), normal.len(), &text, variant.to_mut());
    }
    // Where a response says what of the query counts, only the path is known by now.
    let known = if is_said { &*normal } else { &*text };
    let mut names = Names::with_epoch_of(known, &whose.space(rules), &variant, &text);
    names.set_configured(rules.configured(Some(index)));
    route.push_scopes(&mut names, &normal, &params);
    if rules.all_tenants {
        names.push_all_tenants();
    }
    if is_said {
        let search = Search::new(names, normal.len(), spelling);
        return Ok((Arc::new(search.names(None)), Some(Box::new(search))));
    }
    let names = Arc::new(names);
    shared.known_keys.remember(said, &names);
    Ok((names, None))
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
