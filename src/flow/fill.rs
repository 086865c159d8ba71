//! A whole response is stored, and given to those who wait for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::flights::Lead;
use super::lease::Lease;
use super::plan::Plan;
use super::read::Read;
use super::shared::Shared;
use super::step::{after, step};
use super::variants::Variant;
use crate::entry::{Content, Entry, Millis, Prepared, Snapshot};
use crate::key::{Names, ScopeNames};
use crate::store::{Filled, Refusal, Stamped, StoreError};
use crate::telemetry::Stopwatch;

/// How long a group's generation outlives what is stamped with it: more than a fill may take.
const SLACK: Millis = 60_000;

/// Gives the response to those who wait for it, and stores it.
pub(crate) async fn finish(
    shared: &Arc<Shared>,
    read: &Read,
    (snapshot, mut lease, leads): (Option<Snapshot>, Option<Lease>, Vec<Lead>),
    plan: Plan,
    mut entry: Entry,
) {
    shared.uncacheables.forget(&read.names);
    if let Some(snapshot) = &snapshot {
        entry.head.run = snapshot.run;
        entry.head.stamps = snapshot.stamps.clone();
    }
    let keep = plan.keep(&entry, shared.store.now());
    shared.longest_kept.fetch_max(keep, Ordering::Relaxed);
    let entry = Arc::new(entry);
    for lead in &leads {
        lead.land(&entry);
    }
    if let Some(snapshot) = snapshot {
        let watch = Stopwatch::start();
        store(shared, read, &plan, &snapshot, lease.as_mut(), (entry, keep)).await;
        shared.telemetry.filled(&read.route.telemetry, watch);
    }
    // Only now, so that whoever comes in between joins the flight and does not run again.
    drop(leads);
}

/// What stands under the key's own name where its responses vary.
fn signpost(entry: &Entry, variant: &Variant) -> Entry {
    Entry {
        name: variant.key.entry_digest(),
        tags: Vec::new(),
        selection: None,
        content: Content::Varies(variant.fields.to_vec()),
        body: Bytes::new(),
        prepared: Prepared::default(),
        ..entry.clone()
    }
}

/// Stores a response under the snapshot that it carries, and if it has turned out to be a variant
/// the word that there are some.
async fn store(
    shared: &Arc<Shared>,
    read: &Read,
    plan: &Plan,
    snapshot: &Snapshot,
    mut lease: Option<&mut Lease>,
    (entry, keep): (Arc<Entry>, Millis),
) {
    let names = plan.place.as_ref().map_or(&*read.names, |place| &place.names);
    let mut entry = Arc::unwrap_or_clone(entry);
    let stamped = stamp(shared, names, snapshot, &mut entry, keep).await;
    // The variant before the word that there are variants.
    let mut frames = Vec::with_capacity(2);
    frames.push((names, entry.encode()));
    if let Some(variant) = plan.place.as_ref().and_then(|place| place.variant.as_ref()) {
        frames.push((&variant.key, signpost(&entry, variant).encode()));
    }
    for (index, (names, frame)) in frames.into_iter().enumerate() {
        // The lease is of the names under which the request looked.
        let lease = if *names == *read.names { lease.as_deref_mut() } else { None };
        let filled = match &stamped {
            Ok(None) => fill(shared, names, snapshot, lease, frame, keep).await,
            Ok(Some(refusal)) => Ok(Filled::Refused(*refusal)),
            Err(_) => return,
        };
        match filled {
            Ok(Filled::Stored) if index == 0 => shared.telemetry.stored(&read.route.telemetry),
            Ok(Filled::Refused(why @ Refusal::Space)) => {
                shared.telemetry.refused(&read.route.telemetry, why);
                tracing::warn!("the store has no room for an entry");
            }
            Ok(Filled::Refused(why)) => {
                shared.telemetry.refused(&read.route.telemetry, why);
                tracing::debug!(route = %read.route.name, reason = why.as_str(), "fill refused");
                return;
            }
            Ok(Filled::Stored) | Err(_) => {}
        }
    }
}

/// Gives the entry the stamps of its groups, if it has any, or answers why there are none.
async fn stamp(
    shared: &Shared,
    names: &Names,
    snapshot: &Snapshot,
    entry: &mut Entry,
    keep: Millis,
) -> Result<Option<Refusal>, StoreError> {
    if entry.tags.is_empty() {
        return Ok(None);
    }
    let groups = entry.tags.iter().map(|(group, _)| group.as_str());
    let groups = ScopeNames::groups(names.space(), groups);
    let deadline = after(shared.settings.fill_timeout);
    let keep = keep.saturating_add(SLACK);
    let stamp =
        step(shared, "stamp", deadline, |store| store.stamp(names, snapshot, &groups, keep));
    match stamp.await? {
        Stamped::Refused(refusal) => Ok(Some(refusal)),
        Stamped::Stamps(stamps) => {
            for ((_, stamp), given) in entry.tags.iter_mut().zip(stamps) {
                *stamp = given;
            }
            Ok(None)
        }
    }
}

async fn fill(
    shared: &Shared,
    names: &Names,
    snapshot: &Snapshot,
    lease: Option<&mut Lease>,
    frame: Bytes,
    keep: Millis,
) -> Result<Filled, StoreError> {
    let token = lease.as_ref().map(|lease| lease.token());
    let deadline = after(shared.settings.fill_timeout);
    let fill =
        step(shared, "fill", deadline, |store| store.fill(names, snapshot, token, frame, keep));
    let filled = fill.await;
    if let (Ok(Filled::Stored), Some(lease)) = (&filled, lease) {
        lease.lose();
    }
    filled
}
