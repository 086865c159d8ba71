//! One request, in words.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, Method};

use super::config::{is_reached, name, reaches};
use super::words;
use crate::flow::{Admission, Matched, Read, Shared, Write, admit, match_head, with_full_path};
use crate::key::{Keep, KeyTemplate, ScopeKind, ScopeTemplate, kept_pairs};
use crate::policy::{
    CLIENT_FIELDS, CachedRoute, OwnWrites, Query, ReadMethod, Source, TARGET_FIELDS, Tenant, Users,
    WriteRule,
};
use crate::protocol::Glance;
use crate::telemetry::Bypass;

/// What the cache would do with a request, without the store having been asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestExplanation {
    /// The request's method.
    pub method: Method,
    /// Its path, as it was before any router stripped a part of it.
    pub path: String,
    /// The cached route that it is on, as `GET /users/{id}`.
    pub route: Option<String>,
    /// What is done with it.
    pub treatment: Treatment,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Treatment {
    /// It goes to the app untouched.
    Untouched(NotCached),
    /// It goes past the cache, or is refused, since it has no tenant, as configured.
    Bypass(Bypass),
    /// It is looked up.
    Lookup(Box<LookupExplanation>),
    /// It may change what is cached.
    Write(WriteExplanation),
}

/// Why a request is on no cached route.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotCached {
    /// No template fits its path.
    NoTemplate,
    /// Templates fit its path, of routes with these methods.
    OtherMethod(Vec<Method>),
    /// Its route is declared not to be cached.
    Declared(String),
    /// The app has routed it elsewhere than to the route that its path fits.
    RoutedElsewhere(String),
}

/// How a request is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupExplanation {
    /// The tenant; `None` of a route that has none.
    pub tenant: Option<String>,
    /// The readable text of the key.
    pub key: String,
    /// Whether the request's content is in the key too.
    pub content_in_key: bool,
    /// The query parameters that are in the key, as they were sent.
    pub kept: Vec<String>,
    /// The query parameters that are not.
    pub dropped: Vec<String>,
    /// The request headers that are in the key: declared ones, those that say of the target what it
    /// is, where they were sent, and those by which the responses of
    /// this key are known to vary.
    pub headers: Vec<HeaderName>,
    /// Where the identity in the key comes from, if there is one.
    pub identity: Option<String>,
    /// How long a response would be fresh, unless it says less.
    pub ttl: Duration,
    /// Who may be served what is stored.
    pub shared_by: String,
    /// The writes that would invalidate it, and by what.
    pub invalidated_by: Vec<String>,
    /// Headers of the request that are not in the key, although handlers commonly read them.
    pub not_in_key: Vec<HeaderName>,
    /// Headers of the request that the handler does not see.
    pub removed: Vec<HeaderName>,
    /// Why a miss is answered for this request alone, and not stored.
    pub alone: Option<Bypass>,
    /// Why it goes past the cache at this moment.
    pub now_past: Option<Bypass>,
}

/// What a mutating request would invalidate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteExplanation {
    /// The rules that it fires, as `PUT /users/{id}`.
    pub rules: Vec<String>,
    /// The scopes that it moves, within its tenant.
    pub scopes: Vec<String>,
    /// Why rules that it fires move nothing.
    pub missed: Option<Bypass>,
}

/// Request headers that handlers commonly read, or frameworks for them, beside those that tell of the
/// target and of the client.
const COMMONLY_READ: [&str; 6] =
    ["accept", "accept-encoding", "accept-language", "origin", "user-agent", "x-requested-with"];

/// What the cache would do with this request.
pub(crate) fn explain_request(shared: &Shared, parts: &Parts) -> RequestExplanation {
    let path = with_full_path(&parts.uri, &parts.extensions, None, str::to_owned);
    let matched = match_head(shared, &parts.method, &parts.uri, &parts.extensions, None);
    let Some(matched) = matched else {
        let treatment = Treatment::Untouched(why_not_cached(shared, parts, &path));
        return RequestExplanation { method: parts.method.clone(), path, route: None, treatment };
    };
    let route = match matched {
        Matched::Read(index) => Some(&shared.rules.routes[index]),
        Matched::Write => None,
    };
    let treatment = match admit(shared, parts, false, None, matched) {
        Admission::Bypass(passed) => Treatment::Bypass(passed.why()),
        Admission::Write(write) => Treatment::Write(written(shared, &write)),
        Admission::Read(read) => Treatment::Lookup(Box::new(looked_up(shared, parts, &path, read))),
        Admission::Content(read) => {
            Treatment::Lookup(Box::new(looked_up(shared, parts, &path, read.into_read())))
        }
    };
    let route = route.map(|route| name(route));
    RequestExplanation { method: parts.method.clone(), path, route, treatment }
}

fn why_not_cached(shared: &Shared, parts: &Parts, path: &str) -> NotCached {
    let reads = &shared.rules.reads;
    let own = ReadMethod::of_request(&parts.method)
        .and_then(|method| reads.of(method).raw.at(path).ok())
        .map(|found| &shared.rules.routes[*found.value]);
    match own {
        Some(route) if route.uncached => NotCached::Declared(name(route)),
        Some(route) => NotCached::RoutedElsewhere(name(route)),
        None => {
            let others = reads.tables().filter_map(|table| table.raw.at(path).ok());
            let others = others.map(|found| &shared.rules.routes[*found.value]);
            let methods: Vec<_> = others.map(|route| route.telemetry.method().clone()).collect();
            if methods.is_empty() { NotCached::NoTemplate } else { NotCached::OtherMethod(methods) }
        }
    }
}

fn written(shared: &Shared, write: &Write) -> WriteExplanation {
    let rules =
        write.rules.iter().map(|index| shared.rules.mutations[*index].declaration.to_string());
    let mut rules: Vec<_> = rules.collect();
    rules.dedup();
    let mut scopes = Vec::new();
    for known in &write.moves {
        let own = known.scopes.space().prefix('g');
        let names = known.scopes.generations().iter();
        scopes.extend(names.map(|name| name.strip_prefix(&own).unwrap_or(name).to_owned()));
        if known.scopes.all_tenants().is_some() {
            scopes.push("all tenants".to_owned());
        }
    }
    scopes.sort_unstable();
    scopes.dedup();
    WriteExplanation { rules, scopes, missed: write.missed }
}

fn looked_up(shared: &Shared, parts: &Parts, path: &str, mut read: Read) -> LookupExplanation {
    read.select(shared, &parts.headers);
    let route = Arc::clone(&read.route);
    let (kept, dropped) = parameters(&route, parts.uri.query().unwrap_or_default());
    let mut headers = route.keyed_headers.clone();
    headers.extend(in_key_if_sent(&route, parts));
    headers.extend(read.variant.iter().flat_map(|variant| variant.fields.iter().cloned()));
    let read_by = |source: Option<&Source>, name: &HeaderName| match source {
        Some(Source::Header(Ok(known))) => known == name,
        Some(Source::Subdomain(_)) => *name == "host",
        _ => false,
    };
    let mut seen = parts.headers.clone();
    route.removed.remove_from(&mut seen);
    let is_removed = |name: &HeaderName| !seen.contains_key(name);
    let removed = parts.headers.keys().filter(|name| is_removed(name)).cloned().collect();
    let identity = match &route.users {
        Some(Users::Per(identity)) => Some(identity.source()),
        _ => None,
    };
    let tenant = shared.rules.tenant.as_ref().filter(|_| !route.tenantless);
    let is_keyed = |name: &HeaderName| {
        headers.contains(name)
            || read_by(identity, name)
            || read_by(tenant.map(Tenant::source), name)
    };
    let is_commonly_read = |name: &&HeaderName| {
        let all = COMMONLY_READ.iter().chain(&TARGET_FIELDS).chain(&CLIENT_FIELDS);
        all.into_iter().any(|known| *name == known)
    };
    let sent = parts.headers.keys().filter(|name| !is_removed(name));
    let not_in_key = sent.filter(is_commonly_read).filter(|name| !is_keyed(name));
    let names = read.key();
    let mut invalidated_by: Vec<_> = shared
        .rules
        .mutations
        .iter()
        .filter(|rule| reaches(rule, &route))
        .filter_map(|rule| by_rule(rule, &route, path, names.text()))
        .collect();
    if route.own_writes == OwnWrites::Invalidate {
        invalidated_by.push("any write to its own path".to_owned());
    }
    LookupExplanation {
        tenant: tenant.map(|_| names.space().escaped_tenant().to_owned()),
        key: names.text().to_owned(),
        content_in_key: route.method.has_content(),
        kept,
        dropped,
        not_in_key: not_in_key.cloned().collect(),
        removed,
        headers,
        identity: identity.map(words::source),
        ttl: read.ttl,
        shared_by: words::shared_by(&route),
        invalidated_by,
        alone: read.alone,
        now_past: if shared.is_store_away() {
            Some(Bypass::Store)
        } else {
            shared.dirty.covers(&read.names).then_some(Bypass::Dirty)
        },
    }
}

/// The headers of the request that are in the key since they were sent.
fn in_key_if_sent(route: &CachedRoute, parts: &Parts) -> Vec<HeaderName> {
    let fields = Glance::of(&parts.headers);
    let mut found: Vec<_> = route.keyed_if_sent.found(fields).cloned().collect();
    if route.keyed_if_sent.has_host() && parts.headers.contains_key(HOST) {
        found.push(HOST);
    }
    found
}

/// The query parameters that are in the key, and those that are not.
fn parameters(route: &CachedRoute, query: &str) -> (Vec<String>, Vec<String>) {
    let owned = |pairs: Vec<&str>| pairs.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let all: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    let named: Vec<String>;
    let keep = match (&route.key, &route.query) {
        (KeyTemplate::Text(template), _) => {
            named = template.params().map(str::to_owned).collect();
            Keep::Named(&named)
        }
        (KeyTemplate::Path, Query::All | Query::AsSaid) => return (owned(all), Vec::new()),
        (KeyTemplate::Path, Query::Named(kept)) => Keep::Named(kept),
    };
    let kept = kept_pairs(query, keep).unwrap_or_default();
    let mut dropped = all;
    for pair in &kept {
        if let Some(place) = dropped.iter().position(|known| known == pair) {
            dropped.remove(place);
        }
    }
    (owned(kept), owned(dropped))
}

/// How a rule reaches this key, if it does.
fn by_rule(rule: &WriteRule, route: &CachedRoute, path: &str, text: &str) -> Option<String> {
    if rule.all_tenants {
        return Some(format!("{}, by all tenants", rule.declaration));
    }
    if rule.tenant {
        return Some(format!("{}, by the whole tenant", rule.declaration));
    }
    rule.targets.iter().find_map(|target| {
        let values = values(target, route, path, text)?;
        let name = &rule.declaration;
        Some(match values.as_slice() {
            [] => format!("{name}, by {target}"),
            values => format!("{name}, by {target} where {}", words::list(values)),
        })
    })
}

/// With what values of its parameters a target reaches a key, if it does.
fn values(
    target: &ScopeTemplate,
    route: &CachedRoute,
    path: &str,
    text: &str,
) -> Option<Vec<String>> {
    let captures = match target.kind() {
        ScopeKind::Path | ScopeKind::Subtree => {
            let mut normal = String::with_capacity(path.len());
            crate::key::normalize_path_lossy(path, &mut normal);
            target.bind_from_path(&normal).map(|found| owned(found.values()))
        }
        ScopeKind::Pattern => target.bind_from_text(text).map(|found| owned(found.values())),
        ScopeKind::Tag => is_reached(target, route).then(Vec::new),
    };
    // A path is reached with all of its queries, and by nothing below it.
    let values = captures?;
    let said = target.params().zip(values).map(|(name, value)| format!("{name} is {value}"));
    Some(said.collect())
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Each sentence on a line of its own, the last one too.
impl fmt::Display for RequestExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.method, self.path)?;
        match (&self.route, &self.treatment) {
            (_, Treatment::Untouched(why)) => writeln!(f, "is not cached: {why}."),
            (Some(route), Treatment::Bypass(why)) => {
                writeln!(f, "is on {route} and goes past the cache ({}): {why}.", why.as_str())
            }
            (None, Treatment::Bypass(why)) => writeln!(f, "goes past the cache: {why}."),
            (Some(route), Treatment::Lookup(lookup)) => {
                write!(f, "is on {route} and is looked up.\n{lookup}")
            }
            (None, Treatment::Lookup(lookup)) => write!(f, "is looked up.\n{lookup}"),
            (_, Treatment::Write(write)) => write!(f, "may change what is cached.\n{write}"),
        }
    }
}

impl fmt::Display for NotCached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTemplate => f.write_str("no template of a route or rule fits its path"),
            Self::OtherMethod(methods) => {
                write!(f, "the route that its path fits is of {}", words::list(methods))
            }
            Self::Declared(route) => write!(f, "{route} is declared not to be cached"),
            Self::RoutedElsewhere(route) => {
                write!(f, "its path fits {route}, and the app has routed it elsewhere")
            }
        }
    }
}

impl fmt::Display for LookupExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tenant {
            Some(tenant) => writeln!(f, "Its tenant is {tenant}.")?,
            None => writeln!(f, "It belongs to no tenant.")?,
        }
        write!(f, "Its key is {}", self.key)?;
        if self.content_in_key {
            f.write_str(", with its content")?;
        }
        if !self.headers.is_empty() {
            write!(f, ", with {}", words::list(&self.headers))?;
        }
        if let Some(identity) = &self.identity {
            write!(f, ", with the user's identity by {identity}")?;
        }
        f.write_str(".\n")?;
        if !self.kept.is_empty() {
            writeln!(f, "In the key of its query: {}.", words::list(&self.kept))?;
        }
        if !self.dropped.is_empty() {
            writeln!(f, "Not in the key of its query: {}.", words::list(&self.dropped))?;
        }
        if !self.not_in_key.is_empty() {
            let headers = words::list(&self.not_in_key);
            writeln!(f, "Not in the key, though handlers commonly read them: {headers}.")?;
        }
        if !self.removed.is_empty() {
            writeln!(f, "The handler does not see: {}.", words::list(&self.removed))?;
        }
        writeln!(f, "A response is fresh for {}, unless it says less.", words::span(self.ttl))?;
        writeln!(f, "What is stored is served to {}.", self.shared_by)?;
        match self.invalidated_by.as_slice() {
            [] => writeln!(f, "No write invalidates it.")?,
            by => writeln!(f, "It is invalidated by {}.", by.join("; "))?,
        }
        if let Some(why) = self.alone {
            writeln!(f, "If nothing is stored, the handler answers it alone: {why}.")?;
        }
        if let Some(why) = self.now_past {
            writeln!(f, "At this moment it goes past the cache: {why}.")?;
        }
        Ok(())
    }
}

impl fmt::Display for WriteExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rules.as_slice() {
            [] => writeln!(f, "No rule is for it; its own path is of a cached route.")?,
            rules => writeln!(f, "It fires {}.", words::list(rules))?,
        }
        writeln!(f, "It moves {}.", words::list(&self.scopes))?;
        if let Some(why) = self.missed {
            writeln!(f, "Some of its rules move nothing: {why}.")?;
        }
        Ok(())
    }
}
