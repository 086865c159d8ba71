//! A value of the typed data cache: found, or the right and the duty to make it.
//!
//! The steps are those of a response. What makes the value is never put on a task of its own, so it
//! may borrow, and whoever waits for it looks again when it is dropped.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::coalesce::{self, Course, Miss, NextSeat};
use super::lookup::{Seen, Verdict, examine, recall};
use super::origin::Waiting;
use super::plan::Plan;
use super::read::Read;
use super::run::Run;
use super::shared::Shared;
use super::step::{Patience, after, millis, step};
use super::{fill, run};
use crate::entry::{Content, Entry, Head, Prepared, RunId};
use crate::key::{Names, ScopeNames};
use crate::protocol::Fwd;
use crate::store::{Filled, Miss as StoreMiss, MissRequest, Mode, Refusal, StoreError};
use crate::telemetry::{Answered, Bypass};

/// What came of asking for a value.
#[allow(clippy::large_enum_variant, reason = "most are runs, and none is kept")]
pub(crate) enum Obtained {
    /// It is there.
    Served(Arc<Entry>),
    /// It is to be made.
    Run(Run),
}

/// Nobody whose request could be put back.
struct Nobody(HeaderMap);

impl Waiting for Nobody {
    fn headers(&self) -> &HeaderMap {
        &self.0
    }

    fn rest(&mut self) {}
}

impl Read {
    /// The read of a value with these names, which is kept for so long.
    pub(crate) fn of_value(shared: &Shared, names: Names, ttl: Duration) -> Self {
        Self {
            route: Arc::clone(&shared.rules.values.route),
            names: Arc::new(names),
            search: None,
            variant: None,
            ttl,
            head: false,
            wishes: None,
            wants: None,
            alone: None,
            is_personal: false,
            is_value: true,
            is_refresh: false,
            passed: None,
            reason: Fwd::Miss,
            held: None,
            patience: Patience::default(),
        }
    }
}

/// The value that is stored, if it is valid and fresh.
pub(crate) async fn look(
    shared: &Arc<Shared>,
    read: &mut Read,
) -> Result<Option<Arc<Entry>>, StoreError> {
    if shared.dirty.covers(&read.names) {
        shared.telemetry.passed_by();
        return Ok(None);
    }
    let Seen { verdict, .. } = examine(shared, read, &HeaderMap::new()).await?;
    if let Verdict::Fresh(entry) | Verdict::Due(entry) = verdict {
        tell(shared, read, Answered::Hit, entry.cost);
        return Ok(Some(entry));
    }
    shared.telemetry.missed();
    Ok(None)
}

/// Looks the value up, and waits for whoever makes it already. `unusable` says that what is stored
/// has been looked at and is of no use.
pub(crate) async fn obtain(shared: &Arc<Shared>, read: &mut Read, unusable: bool) -> Obtained {
    let mut nobody = Nobody(HeaderMap::new());
    if shared.dirty.covers(&read.names) {
        return blind(shared, read, &mut nobody, Bypass::Dirty).await;
    }
    let miss = if unusable {
        Miss { snapshot: None, ignore_entry: true, refresh: false }
    } else {
        let Ok(Seen { verdict, snapshot, .. }) = examine(shared, read, &nobody.0).await else {
            if let Some(entry) = recall(shared, read, &nobody.0) {
                tell(shared, read, Answered::Recalled, entry.cost);
                return Obtained::Served(entry);
            }
            return blind(shared, read, &mut nobody, Bypass::Store).await;
        };
        match verdict {
            Verdict::Fresh(entry) | Verdict::Due(entry) => {
                tell(shared, read, Answered::Hit, entry.cost);
                return Obtained::Served(entry);
            }
            Verdict::Miss { unusable, .. } => {
                Miss { snapshot, ignore_entry: unusable, refresh: false }
            }
            Verdict::Stale(_) => Miss { snapshot, ignore_entry: true, refresh: false },
        }
    };
    shared.telemetry.missed();
    match coalesce::settle(shared, read, &mut nobody, miss).await {
        Course::Serve(entry, _) => {
            tell(shared, read, Answered::Collapsed, entry.cost);
            Obtained::Served(entry)
        }
        Course::Run(run) => Obtained::Run(run),
        Course::Blind(why) => blind(shared, read, &mut nobody, why).await,
        Course::Shed | Course::Nothing => Obtained::Run(Run::unshared()),
    }
}

/// Nothing can be known: the next run is shared, as for responses.
async fn blind(
    shared: &Arc<Shared>,
    read: &mut Read,
    nobody: &mut Nobody,
    why: Bypass,
) -> Obtained {
    shared.telemetry.passed_by();
    if !shared.settings.coalesce_in_outage || shared.uncacheables.knows(&read.names) {
        return Obtained::Run(Run::unstored(why));
    }
    match coalesce::seat_next(shared, read, nobody).await {
        NextSeat::Run(lead) => Obtained::Run(Run::unstored(why).led(lead.into_iter().collect())),
        NextSeat::Served(entry) => {
            tell(shared, read, Answered::Collapsed, entry.cost);
            Obtained::Served(entry)
        }
        NextSeat::Shed => Obtained::Run(Run::unstored(why)),
    }
}

/// Polls what makes the value, keeping the lease alive. Past its deadline nobody waits for it any
/// more, and it goes on for its caller alone.
pub(crate) async fn make<T>(
    shared: &Shared,
    read: &Read,
    run: &mut Run,
    making: impl Future<Output = T>,
) -> T {
    shared.telemetry.ran();
    let began = Instant::now();
    tokio::pin!(making);
    let made = {
        let deadline = tokio::time::sleep(shared.settings.run_deadline);
        tokio::select! {
            biased;
            made = &mut making => ControlFlow::Break(made),
            () = deadline => ControlFlow::Continue(()),
            never = run.keep_lease() => match never {},
        }
    };
    let made = match made {
        ControlFlow::Break(made) => made,
        ControlFlow::Continue(()) => {
            run::leave_alone(shared, read, run);
            making.await
        }
    };
    shared.telemetry.handled(&read.route.telemetry, began.elapsed());
    tell(shared, read, Answered::Miss, 0);
    made
}

/// Who asked for the value has it, or is about to.
fn tell(shared: &Shared, read: &Read, how: Answered, cost: u32) {
    let route = &read.route.telemetry;
    shared.telemetry.served(route, how, cost);
    shared.telemetry.answered_value(route, how);
    shared.tenants.answered(read.names.space(), how);
}

/// The value could not be made: whoever waits makes its own, at once.
pub(crate) fn failed(run: &mut Run) {
    run.make_private();
}

/// Gives the value to those who wait for it, and stores it for `ttl`, in the background.
pub(crate) fn finish(
    shared: &Arc<Shared>,
    read: Box<Read>,
    run: Run,
    json: Bytes,
    ttl: Duration,
    began: Instant,
) {
    let (plan, entry) = planned(shared, &read.names, json, ttl, began.elapsed());
    let shared_by_task = Arc::clone(shared);
    shared.work.spawn(async move {
        fill::finish(&shared_by_task, &read, run.into_parts(), plan, entry).await;
    });
}

/// Stores a value under what is in force now.
pub(crate) async fn set(
    shared: &Arc<Shared>,
    read: &Read,
    json: Bytes,
    ttl: Duration,
) -> Result<Option<Refusal>, StoreError> {
    end_others(shared, &read.names).await?;
    let deadline = after(shared.settings.fill_timeout);
    let request = MissRequest {
        lease: None,
        keep: read.route.kept(ttl),
        scopes: read.names.scopes_digest(),
        ignore_entry: true,
    };
    let reply = step(shared, "miss", deadline, |store| store.miss(&read.names, &request)).await?;
    let snapshot = match reply {
        StoreMiss::Granted(snapshot) | StoreMiss::Wait { snapshot, .. } => snapshot,
        StoreMiss::Closed | StoreMiss::Again => return Ok(Some(Refusal::Stamp)),
    };
    let (plan, mut entry) = planned(shared, &read.names, json, ttl, Duration::ZERO);
    entry.head.run = snapshot.run;
    entry.head.stamps = snapshot.stamps.clone();
    let keep = plan.keep(&entry, shared.store.now());
    let deadline = after(shared.settings.fill_timeout);
    let frame = entry.encode();
    let filled = step(shared, "fill", deadline, |store| {
        store.fill(&read.names, &snapshot, None, frame, keep)
    });
    match filled.await? {
        Filled::Stored => {
            shared.telemetry.stored(&read.route.telemetry);
            Ok(None)
        }
        Filled::Refused(why) => {
            shared.telemetry.refused(&read.route.telemetry, why);
            Ok(Some(why))
        }
    }
}

/// Removes a value. Answers whether there was one.
pub(crate) async fn remove(shared: &Arc<Shared>, names: &Names) -> Result<bool, StoreError> {
    end_others(shared, names).await?;
    let deadline = after(shared.settings.invalidate_timeout);
    step(shared, "remove", deadline, |store| store.remove(names)).await
}

/// Another configuration may have the value under another name: where there is one, as during a deploy
/// or before one is taken back, all of the tenant moves.
async fn end_others(shared: &Shared, names: &Names) -> Result<(), StoreError> {
    if !shared.sees_others() {
        return Ok(());
    }
    let mut scopes = ScopeNames::new(names.space());
    scopes.set_configuration(shared.rules.fingerprint);
    let deadline = after(shared.settings.invalidate_timeout);
    step(shared, "invalidate", deadline, |store| store.invalidate(&scopes, Mode::Hard))
        .await
        .map(drop)
}

fn planned(
    shared: &Shared,
    names: &Names,
    json: Bytes,
    ttl: Duration,
    took: Duration,
) -> (Plan, Entry) {
    let now = shared.store.now();
    let fresh_until = now.saturating_add(millis(ttl).max(1));
    let entry = Entry {
        head: Head {
            run: RunId([0; 8]),
            scopes: names.scopes_digest(),
            stamps: Box::default(),
            fresh_until,
        },
        name: names.entry_digest(),
        stored_at: now,
        age: 0,
        stale_until: fresh_until,
        error_until: fresh_until,
        cost: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
        tags: Vec::new(),
        selection: None,
        content: Content::Value,
        body: json,
        prepared: Prepared::default(),
    };
    (Plan::of_value(now, fresh_until), entry)
}
