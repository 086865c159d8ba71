//! Asking the store, and judging what it has.

use std::sync::Arc;

use super::shared::Shared;
use super::step::within;
use crate::entry::{Content, Entry, Generation, Id, Millis};
use crate::key::Names;
use crate::store::{Found, StoreError};

/// What an entry is good for.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It answers the request.
    Fresh(Entry),
    /// It may answer the request while a refresh runs.
    Stale(Entry),
    /// There is none, or none that may be used.
    Miss {
        /// There are bytes that can never be used, so that finding them again proves nothing.
        unusable: bool,
        /// What may be served if the handler fails.
        fallback: Option<Box<Entry>>,
    },
}

impl Verdict {
    fn miss(unusable: bool) -> Self {
        Self::Miss { unusable, fallback: None }
    }
}

/// Reads what the store has under these names, within the time that a look-up may take.
pub(crate) async fn look_up(shared: &Shared, names: &Names) -> Result<Found, StoreError> {
    let found = within(shared.settings.lookup_timeout, shared.store.lookup(names)).await;
    if let Err(error) = &found {
        shared.note_error("lookup", error);
    }
    found
}

/// Judges what was found, and has what is unusable removed.
pub(crate) fn judge(shared: &Arc<Shared>, names: &Names, found: &Found) -> Verdict {
    let Some(frame) = &found.entry else { return Verdict::miss(false) };
    let entry = match Entry::decode(frame.clone()) {
        Ok(entry) => entry,
        Err(error) => {
            shared.counters.corrupt.increment();
            tracing::warn!(error = %error, "a stored entry does not decode; removing it");
            let (shared, names, seen) = (Arc::clone(shared), names.clone(), frame.clone());
            shared.clone().work.spawn(async move {
                let limit = shared.settings.fill_timeout;
                if let Err(error) = within(limit, shared.store.discard(&names, &seen)).await {
                    shared.note_error("discard", &error);
                }
            });
            return Verdict::miss(true);
        }
    };
    if entry.name != names.entry_digest() {
        // A reply that was meant for another request, or bytes that somebody moved: this
        // connection's next reply can't be trusted either.
        shared.counters.mismatched.increment();
        tracing::error!("the store answered with the entry of another key");
        shared.store.distrust(found);
        return Verdict::miss(true);
    }
    if entry.head.scopes != names.scopes_digest()
        || !matches!(entry.content, Content::Response { .. })
    {
        return Verdict::miss(true);
    }
    if entry.head.run != found.run {
        return Verdict::miss(false);
    }
    let softened_at = match compare(&entry.head.stamps, &found.generations) {
        Stamps::Equal => None,
        Stamps::Behind(since) => Some(since),
        Stamps::Differ => return Verdict::miss(false),
    };
    freshness(entry, softened_at, shared.store.now())
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

fn freshness(mut entry: Entry, softened_at: Option<Millis>, now: Millis) -> Verdict {
    let fresh_until = entry.head.fresh_until;
    let window = entry.stale_until.saturating_sub(fresh_until);
    let stale_from = softened_at.map_or(fresh_until, |at| at.min(fresh_until));
    if softened_at.is_none() && now < fresh_until {
        return Verdict::Fresh(entry);
    }
    // What the client is told of its freshness.
    entry.head.fresh_until = stale_from.min(now);
    if now < stale_from.saturating_add(window) {
        Verdict::Stale(entry)
    } else if now < stale_from.saturating_add(entry.error_until.saturating_sub(fresh_until)) {
        Verdict::Miss { unusable: false, fallback: Some(Box::new(entry)) }
    } else {
        Verdict::miss(false)
    }
}
