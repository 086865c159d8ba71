//! Asking the store, and judging what it has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::freshness::{self, Freshness};
use super::read::Read;
use super::shared::Shared;
use super::step::{after, step, take};
use crate::entry::{Content, DecodeError, Entry, Generation, Id, Millis, Snapshot};
use crate::key::{Names, ScopeNames};
use crate::protocol::Fwd;
use crate::store::{Found, StoreError, StoreErrorKind};
use crate::telemetry::Stopwatch;

/// What an entry is good for.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It answers the request.
    Fresh(Arc<Entry>),
    /// It answers the request, and this request is the one to refresh it before it expires.
    Due(Arc<Entry>),
    /// It may answer the request while a refresh runs.
    Stale(Arc<Entry>),
    /// There is none, or none that may be used.
    Miss {
        /// There are bytes that can't be used, so that finding them again proves nothing.
        unusable: bool,
        /// Why the handler is asked.
        reason: Fwd,
        /// What may still be of use once the handler has been asked.
        held: Option<Box<Held>>,
    },
}

/// A stored response that may not be served as it is.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) entry: Arc<Entry>,
    /// Its bytes, as they were found.
    pub(crate) frame: Bytes,
    /// Under what it was found valid: who has seen something newer has no right to it.
    pub(crate) snapshot: Option<Snapshot>,
    /// Whether it may be served if the handler fails.
    pub(crate) on_error: bool,
    /// Whether the handler may be asked if it is still good.
    pub(crate) revalidate: bool,
}

impl Verdict {
    fn miss(unusable: bool) -> Self {
        Self::Miss { unusable, reason: Fwd::Miss, held: None }
    }
}

/// What a look-up found out.
pub(crate) struct Seen {
    pub(crate) verdict: Verdict,
    /// The generations and the epoch, if all are known and open, and a run may need them.
    pub(crate) snapshot: Option<Snapshot>,
    /// When it was judged, by the store's clock.
    pub(crate) at: Millis,
}

/// Looks up what the store has for this request, and judges it. `headers` are the request's.
///
/// One round trip; another one if what is stored is in groups, and another one the first time that
/// this process meets a key whose responses vary.
pub(crate) async fn examine(
    shared: &Arc<Shared>,
    read: &mut Read,
    headers: &HeaderMap,
) -> Result<Seen, StoreError> {
    let watch = Stopwatch::start();
    read.select(shared, headers);
    loop {
        let found = look_up(shared, read).await?;
        let now = found.at.unwrap_or_else(|| shared.store.now());
        let verdict = judge_or_select(shared, read, headers, &found, now);
        let Some(verdict) = verdict else { continue };
        let Some(entry) = in_groups(&verdict) else {
            return Ok(seen(shared, read, verdict, (&found, now), watch));
        };
        let hold = groups_hold(shared, read, entry).await?;
        let verdict = if hold { verdict } else { Verdict::miss(true) };
        // What is said of its age is as of now, after the wait.
        return Ok(seen(shared, read, verdict, (&found, shared.store.now()), watch));
    }
}

/// The same, of what the store has at hand. `None` if it has nothing, or has to be asked for more.
pub(crate) fn glance(shared: &Arc<Shared>, read: &mut Read, headers: &HeaderMap) -> Option<Seen> {
    let watch = Stopwatch::start();
    read.select(shared, headers);
    loop {
        // Of groups the store has to be asked.
        let is_alone = |found: &Found| found.decoded.as_ref().is_none_or(|it| it.tags.is_empty());
        let found = take(shared, "lookup", |store| store.at_hand(&read.names).filter(is_alone))?;
        let now = found.at.unwrap_or_else(|| shared.store.now());
        let verdict = judge_or_select(shared, read, headers, &found, now);
        let Some(verdict) = verdict else { continue };
        if in_groups(&verdict).is_some() {
            return None;
        }
        if found.near {
            shared.telemetry.near(&read.route.telemetry);
        }
        return Some(seen(shared, read, verdict, (&found, now), watch));
    }
}

fn seen(
    shared: &Shared,
    read: &Read,
    verdict: Verdict,
    (found, at): (&Found, Millis),
    watch: Stopwatch,
) -> Seen {
    shared.telemetry.looked_up(&read.route.telemetry, watch);
    // A hit needs none.
    let is_over = matches!(verdict, Verdict::Fresh(_));
    Seen { verdict, snapshot: if is_over { None } else { found.snapshot() }, at }
}

/// Judges what was found. `None` if the key turns out to have variants: the names are those of the
/// one that the request selects then, of which nothing has been seen.
fn judge_or_select(
    shared: &Arc<Shared>,
    read: &mut Read,
    headers: &HeaderMap,
    found: &Found,
    now: Millis,
) -> Option<Verdict> {
    match judge(shared, read, found, now) {
        Ok(verdict) => Some(verdict),
        Err(Varies(by)) => {
            let is_another = read.learn(shared, &by).is_some() && read.select(shared, headers);
            (!is_another).then(|| Verdict::miss(true))
        }
    }
}

/// What is remembered of the key while the store can't be asked, if the app allows that and it may
/// answer. `headers` are the request's.
pub(crate) fn recall(
    shared: &Arc<Shared>,
    read: &mut Read,
    headers: &HeaderMap,
) -> Option<Arc<Entry>> {
    let span = shared.settings.stale_in_outage;
    if span.is_zero() {
        return None;
    }
    // Once more if the key turns out to have variants.
    for _ in 0..2 {
        let found = shared.store.recall(&read.names, span)?;
        let entry = match judge(shared, read, &found, shared.store.now()) {
            Ok(Verdict::Fresh(entry) | Verdict::Due(entry) | Verdict::Stale(entry)) => entry,
            Ok(Verdict::Miss { held, .. }) => held.filter(|held| held.on_error)?.entry,
            Err(Varies(by)) => {
                read.learn(shared, &by)?;
                if !read.select(shared, headers) {
                    return None;
                }
                continue;
            }
        };
        // Whether its groups have moved is known to the store alone.
        return entry.tags.is_empty().then_some(entry);
    }
    None
}

/// What a verdict is about, if that is in groups.
fn in_groups(verdict: &Verdict) -> Option<&Entry> {
    let entry = match verdict {
        Verdict::Fresh(entry) | Verdict::Due(entry) | Verdict::Stale(entry) => entry,
        Verdict::Miss { held, .. } => &held.as_ref()?.entry,
    };
    (!entry.tags.is_empty()).then_some(entry)
}

/// Whether none of the entry's groups has been invalidated since it was stored.
async fn groups_hold(shared: &Shared, read: &mut Read, entry: &Entry) -> Result<bool, StoreError> {
    let groups = groups_of(read, entry);
    if shared.dirty.covers_any(&groups) {
        return Ok(false);
    }
    let deadline = || read.patience.deadline(shared);
    let found = step(shared, "generations", deadline, |store| store.generations(&groups)).await?;
    // The connection may be another one than before, and its server too.
    let hold = found.run.is_none_or(|run| run == entry.head.run)
        && found.generations.len() == entry.tags.len()
        && entry
            .tags
            .iter()
            .zip(&*found.generations)
            .all(|((_, stamp), generation)| generation.current().as_ref() == Some(stamp));
    Ok(hold)
}

/// The names of the entry's groups.
pub(super) fn groups_of(read: &Read, entry: &Entry) -> ScopeNames {
    ScopeNames::groups(read.names.space(), entry.tags.iter().map(|(group, _)| group.as_str()))
}

/// Reads what the store has under these names, within the time that a look-up may take.
async fn look_up(shared: &Arc<Shared>, read: &mut Read) -> Result<Found, StoreError> {
    let deadline = || read.patience.deadline(shared);
    let mut at_once = false;
    let mut found = step(shared, "lookup", deadline, |store| {
        let found = store.lookup(&read.names);
        at_once = found.is_ready();
        found
    })
    .await;
    if let Ok(found) = &mut found
        && !at_once
    {
        // Time has passed since, whatever a store says that waits for another one.
        found.at = None;
    }
    match &found {
        Ok(found) if found.near => shared.telemetry.near(&read.route.telemetry),
        Err(error) if error.kind() == StoreErrorKind::Timeout => trim(shared, &read.names),
        Ok(_) | Err(_) => {}
    }
    found
}

/// A value that is too large to come in time would let every look-up of it fail, and with those that
/// wait behind it on the connection open the breaker: it would never be seen, and so never be
/// removed. So its size is asked for. One at a time, since most look-ups that take too long do so for
/// other reasons.
fn trim(shared: &Arc<Shared>, names: &Names) {
    let Ok(turn) = Arc::clone(&shared.trims).try_acquire_owned() else { return };
    let (shared, names) = (Arc::clone(shared), names.clone());
    shared.clone().work.spawn(async move {
        let _turn = turn;
        // What has been asked for is still on its way.
        let _ = tokio::time::timeout(LONG / 2, shared.gate.passable()).await;
        let most = shared.max_frame() as u64;
        let trimmed = step(&shared, "trim", after(LONG), |store| store.trim(&names, most)).await;
        if let Ok(true) = trimmed {
            shared.telemetry.oversized();
            tracing::warn!("a stored value was larger than any entry, and has been removed");
        }
    });
}

/// How long the removal of what is too large may take.
const LONG: Duration = Duration::from_secs(10);

/// The responses of the key are stored by what the request says in these fields.
struct Varies(Vec<HeaderName>);

/// Judges what was found, and has what is unusable removed.
fn judge(shared: &Arc<Shared>, read: &Read, found: &Found, now: Millis) -> Result<Verdict, Varies> {
    let miss = |unusable| Ok(Verdict::miss(unusable));
    let names = &read.names;
    let Some(frame) = &found.entry else { return miss(false) };
    if frame.len() > shared.max_frame() {
        // Not even to be looked through: nothing that is stored here is so large.
        shared.telemetry.oversized();
        tracing::warn!(bytes = frame.len(), "a stored value is larger than any entry; removing it");
        discard(shared, names, frame);
        return miss(true);
    }
    let entry = match decoded(shared, found, frame) {
        Ok(entry) => entry,
        Err(error) => {
            shared.telemetry.corrupt(error);
            tracing::warn!(error = %error, "a stored entry does not decode; removing it");
            discard(shared, names, frame);
            return miss(true);
        }
    };
    if entry.name != names.entry_digest() {
        // A reply that was meant for another request, or bytes that somebody moved: this
        // connection's next reply can't be trusted either.
        shared.telemetry.mismatched();
        tracing::error!("the store answered with the entry of another key");
        shared.store.distrust(found);
        // Bytes that were moved stay where no answer is stored over them. If the reply was another's
        // they are not there, and nothing is removed.
        discard(shared, names, frame);
        return miss(true);
    }
    match &entry.content {
        Content::Response { .. } if !read.is_value => {}
        Content::Value if read.is_value => {}
        Content::Varies(by) if read.variant.is_none() => return Err(Varies(by.clone())),
        _ => return miss(true),
    }
    if entry.head.scopes != names.scopes_digest() || entry.selection != read.selection() {
        return miss(true);
    }
    if entry.head.run != found.run {
        return miss(false);
    }
    let softened_at = match compare(&entry.head.stamps, &found.generations) {
        Stamps::Equal => None,
        Stamps::Behind(since) => Some(since),
        Stamps::Differ => return miss(false),
    };
    let freshness = freshness::judge(shared, read, &entry, softened_at, now);
    Ok(match freshness {
        Freshness::Fresh if is_due_early(read, &entry, now) => Verdict::Due(entry),
        Freshness::Fresh => Verdict::Fresh(entry),
        Freshness::Stale { since } => Verdict::Stale(stale_since(entry, since)),
        Freshness::Unfit { since, on_error, revalidate } => {
            // To the store it may look fresh all the same.
            let unusable = entry.head.fresh_until > now;
            let held = Held {
                entry: stale_since(entry, since),
                frame: frame.clone(),
                snapshot: found.snapshot(),
                on_error,
                revalidate,
            };
            let of_use = on_error || revalidate;
            let reason = if softened_at.is_none() && unusable {
                Fwd::Request
            } else if of_use {
                Fwd::Stale
            } else {
                Fwd::Miss
            };
            Verdict::Miss { unusable, reason, held: of_use.then(|| Box::new(held)) }
        }
    })
}

/// What the bytes say: as the store has read them already, if it keeps them in this process.
fn decoded(shared: &Shared, found: &Found, frame: &Bytes) -> Result<Arc<Entry>, DecodeError> {
    if let Some(entry) = &found.decoded {
        return Ok(Arc::clone(entry));
    }
    let watch = Stopwatch::start();
    let entry = Entry::decode(frame.clone());
    shared.telemetry.decoded(watch);
    entry.map(Arc::new)
}

/// Whether this request is the one to refresh the entry before it expires.
///
/// "Optimal Probabilistic Cache Stampede Prevention" (Vattani, Chierichetti, Lowenstein, 2015):
/// each request draws for itself, with a chance that grows with the time the handler takes and
/// with the nearness of the expiry.
fn is_due_early(read: &Read, entry: &Entry, now: Millis) -> bool {
    let Some(beta) = read.route.early_refresh.filter(|_| !read.head) else { return false };
    let left = entry.head.fresh_until.saturating_sub(now);
    #[allow(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let (left, cost) = (left as f64, f64::from(entry.cost) / 1000.0);
    // In (0, 1], so that the logarithm is finite.
    let draw = 1.0 - fastrand::f64();
    cost * beta * -draw.ln() >= left
}

/// Has what was found removed, if it is still there unchanged. Nobody waits for it.
fn discard(shared: &Arc<Shared>, names: &Names, seen: &Bytes) {
    let (shared, names, seen) = (Arc::clone(shared), names.clone(), seen.clone());
    shared.clone().work.spawn(async move {
        let deadline = after(shared.settings.fill_timeout);
        let _ = step(&shared, "discard", deadline, |store| store.discard(&names, &seen)).await;
    });
}

/// With what the client is told of its freshness.
fn stale_since(mut entry: Arc<Entry>, since: Millis) -> Arc<Entry> {
    if entry.head.fresh_until != since {
        Arc::make_mut(&mut entry).head.fresh_until = since;
    }
    entry
}

/// How an entry's stamps stand to the generations in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamps {
    Equal,
    /// Soft invalidations have come since, the first of them at this moment.
    Behind(Millis),
    Differ,
}

pub(crate) fn compare(stamps: &[Id], generations: &[Generation]) -> Stamps {
    if stamps.len() != generations.len() {
        return Stamps::Differ;
    }
    let mut behind_since: Option<Millis> = None;
    for (stamp, generation) in stamps.iter().zip(generations) {
        let Generation::Open { current, behind } = generation else { return Stamps::Differ };
        if stamp == current {
            continue;
        }
        let Some(place) = behind.iter().position(|id| id.as_ref() == Some(stamp)) else {
            return Stamps::Differ;
        };
        // The id in front of the stamp is the one that made it stale.
        let successor = if place == 0 { Some(*current) } else { behind[place - 1] };
        let Some(successor) = successor else { return Stamps::Differ };
        let at = successor.minted_at();
        behind_since = Some(behind_since.map_or(at, |since| since.min(at)));
    }
    behind_since.map_or(Stamps::Equal, Stamps::Behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_compared_with_what_soft_invalidations_left_behind() {
        let id = |micros: u64| Id::mint(micros * 1000, [0; 8]);
        let open = |ids: &[u64]| Generation::Open {
            current: id(ids[0]),
            behind: [1, 2, 3].map(|place| ids.get(place).map(|micros| id(*micros))),
        };
        let rows = [
            (vec![1], vec![open(&[1])], Stamps::Equal),
            (vec![1], vec![open(&[2])], Stamps::Differ),
            (vec![1], vec![open(&[5, 1])], Stamps::Behind(5)),
            (vec![1], vec![open(&[9, 5, 1])], Stamps::Behind(5)),
            (vec![1, 2], vec![open(&[9, 1]), open(&[5, 2])], Stamps::Behind(5)),
            (vec![1, 2], vec![open(&[9, 1]), open(&[5])], Stamps::Differ),
            (vec![1], vec![Generation::Missing], Stamps::Differ),
            (vec![1], vec![Generation::Closed], Stamps::Differ),
            (vec![1], vec![], Stamps::Differ),
        ];
        for (stamps, generations, expected) in rows {
            let stamps: Vec<_> = stamps.into_iter().map(id).collect();
            assert_eq!(compare(&stamps, &generations), expected, "{generations:?}");
        }
    }
}
