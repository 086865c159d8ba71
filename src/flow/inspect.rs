//! What is stored under a key and what it is worth, for people: nothing is served, counted as a hit
//! or a miss, or removed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use tokio::time::Instant;

use super::admit::admit_read;
use super::lookup::{Stamps, compare};
use super::shared::Shared;
use super::step::{after, long_step, step};
use crate::entry::{Content, Entry, Generation, Id, Millis};
use crate::key::{Glob, KeyTemplate, Names, ScopeNames, Space};
use crate::policy::{CachedRoute, Canonical, Params, ReadMethod};
use crate::store::{Found, KeyPage, StoreError, StoreErrorKind};
use crate::telemetry::Bypass;

/// How long people wait for a store that a request would not wait for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why there is no key to look at.
pub(crate) enum Uninspected {
    /// The path is on no cached route of this method.
    NoRoute,
    /// The route is of the other kind: it has a tenant, or it has none.
    OtherTenancy(Arc<CachedRoute>),
    /// The request's content is part of the key.
    Content(Arc<CachedRoute>),
    /// Such a request goes past the cache.
    Bypass(Arc<CachedRoute>, Bypass),
    /// Code of the app that reads a part of the request could not do without the rest.
    Unreadable(Arc<CachedRoute>),
    Store(StoreError),
}

/// What was found under a key.
pub(crate) struct Inspection {
    pub(crate) names: Names,
    pub(crate) route: Option<Arc<CachedRoute>>,
    /// Whether the answer came from the memory of this process.
    pub(crate) near: bool,
    pub(crate) bytes: usize,
    pub(crate) entry: Option<Entry>,
    pub(crate) worth: Worth,
    /// What it was stamped with, if the scopes are known.
    pub(crate) stamps: Vec<Stamp>,
}

/// What is found is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// Nothing is stored.
    Absent,
    /// It does not decode.
    Corrupt,
    /// It is the answer to something else.
    Mismatched,
    /// It was stored under other routes or rules than those of now.
    OtherConfiguration,
    /// It was stored in another run of the store.
    OtherRun,
    /// Something that it was made from has been invalidated.
    Invalidated,
    /// Which scopes it has can't be told from the text of its key.
    Unknown,
    /// It answers requests.
    Fresh,
    /// It may answer while a refresh runs.
    Stale,
    /// Its time is over.
    Expired,
}

/// One stamp of an entry.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    /// The text of the scope.
    pub(crate) scope: String,
    pub(crate) state: StampState,
    /// When the generation in force was made, by the store's clock.
    pub(crate) since: Option<Millis>,
}

/// How a stamp stands to the generation in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StampState {
    /// Equal.
    Valid,
    /// A soft invalidation has come since.
    Softened,
    /// An invalidation has come since.
    Moved,
    /// The store does not know the scope any more.
    Missing,
    /// A write is under way.
    Closed,
}

/// Looks at what a request of this method for `target` with these headers would find, in `space`
/// whatever target and headers say of a tenant.
pub(crate) async fn inspect_target(
    shared: &Arc<Shared>,
    space: &Space,
    tenantless: bool,
    method: Method,
    target: Uri,
    headers: HeaderMap,
) -> Result<Inspection, Uninspected> {
    let table = ReadMethod::of_request(&method).map(|method| shared.rules.reads.of(method));
    let found = table.and_then(|table| table.raw.at(target.path()).ok().map(|found| *found.value));
    let index = found.ok_or(Uninspected::NoRoute)?;
    let route = Arc::clone(&shared.rules.routes[index]);
    if route.uncached {
        return Err(Uninspected::NoRoute);
    }
    if route.tenantless != tenantless {
        return Err(Uninspected::OtherTenancy(route));
    }
    if route.method.has_content() {
        return Err(Uninspected::Content(route));
    }
    let mut parts = http::Request::new(()).into_parts().0;
    (parts.method, parts.uri, parts.headers) = (method, target, headers);
    let Parts { uri, headers, .. } = &parts;
    // An app's own code reads users and lifetimes from requests, and may take for granted what only
    // real ones have.
    let admitted = catch_unwind(AssertUnwindSafe(|| {
        admit_read(shared, &parts, uri.path(), index, Some(space))
    }));
    let mut read = match admitted {
        Err(_) => return Err(Uninspected::Unreadable(route)),
        Ok(Err(why)) => return Err(Uninspected::Bypass(route, why)),
        Ok(Ok(read)) => read,
    };
    read.select(shared, headers);
    // Once more if the key turns out to have variants.
    for _ in 0..2 {
        let found = look(shared, &read.names).await.map_err(Uninspected::Store)?;
        let entry = found.entry.clone().and_then(|frame| Entry::decode(frame).ok());
        if let Some(Entry { content: Content::Varies(by), .. }) = &entry
            && read.variant.is_none()
            && read.learn(shared, by).is_some()
            && read.select(shared, headers)
        {
            continue;
        }
        let names = Arc::unwrap_or_clone(read.names);
        return judge(shared, names, Some(route), found).await.map_err(Uninspected::Store);
    }
    Err(Uninspected::Store(StoreErrorKind::Protocol.into()))
}

/// Looks at what is stored under a name, as a list of keys gives it.
pub(crate) async fn inspect_stored(
    shared: &Arc<Shared>,
    space: &Space,
    variant: &str,
    text: &str,
) -> Result<Inspection, StoreError> {
    let mut bare = Names::new(space, variant, text);
    let mut found = look(shared, &bare).await?;
    // Where responses say what of the query counts, a key is in the slot of its path.
    if found.entry.is_none()
        && space.is_spread()
        && let Some((path, _)) = text.split_once('?')
    {
        let of_path = Names::with_epoch_of(path, space, variant, text);
        let there = look(shared, &of_path).await?;
        if there.entry.is_some() {
            (bare, found) = (of_path, there);
        }
    }
    let mut names = bare.clone();
    let route = push_scopes(shared, &mut names, variant, text);
    let stored = found.entry.clone().and_then(|frame| Entry::decode(frame).ok());
    if stored.is_some_and(|entry| entry.head.scopes == names.scopes_digest()) {
        let found = look(shared, &names).await?;
        return judge(shared, names, route, found).await;
    }
    // These are not the names that requests for it have: asked for under them, a near-cache would
    // keep the answer, and requests would trip over it.
    let mut inspection = judge(shared, bare, route, found).await?;
    if inspection.worth == Worth::Unknown && inspection.route.is_some() {
        inspection.worth = Worth::OtherConfiguration;
    }
    Ok(inspection)
}

/// One page of a tenant's keys.
pub(crate) async fn list(
    shared: &Shared,
    space: &Space,
    glob: &Glob,
    cursor: Option<&str>,
    limit: usize,
) -> Result<KeyPage, StoreError> {
    long_step(shared, "keys", |store| store.keys(space, glob, cursor, limit)).await
}

/// How long the store takes to answer at all.
pub(crate) async fn ping(shared: &Shared) -> Result<Duration, StoreError> {
    let began = Instant::now();
    step(shared, "ping", after(PATIENCE), |store| store.ping()).await?;
    Ok(began.elapsed())
}

/// Adds the scopes of a key that is known by its name alone, if its text is that of a path, or if it is
/// a value without tags of its own.
fn push_scopes(
    shared: &Shared,
    names: &mut Names,
    variant: &str,
    text: &str,
) -> Option<Arc<CachedRoute>> {
    let (method, _) = variant.split_once(';').unwrap_or((variant, ""));
    let (path, _) = text.split_once('?').unwrap_or((text, ""));
    let is_tenantless = *names.space() == shared.rules.tenantless_space();
    #[cfg(feature = "data")]
    if variant == "value" {
        shared.rules.push_value_scopes(names, is_tenantless, &[]);
        return None;
    }
    let method = ReadMethod::of_route(&Method::from_bytes(method.as_bytes()).ok()?)?;
    let found = shared.rules.reads.of(method).canonical.at(path).ok()?;
    let index = *found.value;
    let route = Arc::clone(&shared.rules.routes[index]);
    let of_another_kind = !matches!(route.key, KeyTemplate::Path)
        || route.uncached
        || is_tenantless != route.tenantless;
    if of_another_kind {
        return None;
    }
    let params = Canonical::strict(&Params::new(found.params.iter())).ok()?;
    names.set_configured(shared.rules.configured(Some(index)));
    route.push_scopes(names, path, &params);
    if shared.rules.all_tenants {
        names.push_all_tenants();
    }
    Some(route)
}

async fn look(shared: &Shared, names: &Names) -> Result<Found, StoreError> {
    step(shared, "lookup", after(PATIENCE), |store| store.lookup(names)).await
}

async fn judge(
    shared: &Shared,
    names: Names,
    route: Option<Arc<CachedRoute>>,
    found: Found,
) -> Result<Inspection, StoreError> {
    let bytes = found.entry.as_ref().map_or(0, bytes::Bytes::len);
    let near = found.near;
    let made = |entry, worth, stamps| Inspection {
        names: names.clone(),
        route: route.clone(),
        near,
        bytes,
        entry,
        worth,
        stamps,
    };
    let Some(frame) = found.entry else { return Ok(made(None, Worth::Absent, Vec::new())) };
    let Ok(entry) = Entry::decode(frame) else {
        return Ok(made(None, Worth::Corrupt, Vec::new()));
    };
    if entry.name != names.entry_digest() {
        // Not even its metadata: it may be another tenant's.
        return Ok(made(None, Worth::Mismatched, Vec::new()));
    }
    if names.scope_count() == 0 {
        let worth = if entry.head.run == found.run { Worth::Unknown } else { Worth::OtherRun };
        return Ok(made(Some(entry), worth, Vec::new()));
    }
    if entry.head.scopes != names.scopes_digest() {
        return Ok(made(Some(entry), Worth::OtherConfiguration, Vec::new()));
    }
    let own = names.space().prefix('g');
    let scopes = names.scopes().map(|name| name.strip_prefix(&own).unwrap_or("all tenants"));
    let mut stamps: Vec<Stamp> = scopes
        .zip(entry.head.stamps.iter().zip(&*found.generations))
        .map(|(scope, (stamp, generation))| Stamp::of(scope, stamp, generation))
        .collect();
    let mut run = found.run;
    if !entry.tags.is_empty() {
        let tags = entry.tags.iter().map(|(group, _)| group.as_str());
        let groups = ScopeNames::groups(names.space(), tags);
        let known =
            step(shared, "generations", after(PATIENCE), |s| s.generations(&groups)).await?;
        let pairs = entry.tags.iter().zip(&known.generations);
        stamps.extend(pairs.map(|((group, stamp), generation)| {
            Stamp::of(&format!("group:{group}"), stamp, generation)
        }));
        run = known.run.unwrap_or(run);
    }
    let softened = match compare(&entry.head.stamps, &found.generations) {
        Stamps::Behind(since) => Some(since),
        Stamps::Equal | Stamps::Differ => None,
    };
    let worth = if entry.head.run != run {
        Worth::OtherRun
    } else if stamps.iter().any(|stamp| stamp.state.is_over()) {
        Worth::Invalidated
    } else {
        by_time(&entry, softened, shared.store.now())
    };
    Ok(made(Some(entry), worth, stamps))
}

fn by_time(entry: &Entry, softened: Option<Millis>, now: Millis) -> Worth {
    let fresh_until = entry.head.fresh_until;
    // Whatever is stale has been so by now, though our estimate of the store's clock be behind.
    let since = softened.unwrap_or(fresh_until).min(fresh_until).min(now);
    if softened.is_none() && now < fresh_until {
        Worth::Fresh
    } else if now < since.saturating_add(entry.stale_until.saturating_sub(fresh_until)) {
        Worth::Stale
    } else {
        Worth::Expired
    }
}

impl Stamp {
    fn of(scope: &str, stamp: &Id, generation: &Generation) -> Self {
        let (state, since) = match generation {
            Generation::Missing => (StampState::Missing, None),
            Generation::Closed => (StampState::Closed, None),
            Generation::Open { current, behind } => {
                let state = if current == stamp {
                    StampState::Valid
                } else if behind.iter().flatten().any(|id| id == stamp) {
                    StampState::Softened
                } else {
                    StampState::Moved
                };
                (state, Some(current.minted_at()))
            }
        };
        Self { scope: scope.to_owned(), state, since }
    }
}

impl StampState {
    /// Whether what has this stamp is not valid any more.
    fn is_over(self) -> bool {
        !matches!(self, Self::Valid | Self::Softened)
    }
}
