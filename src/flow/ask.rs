//! The store is asked for leave to run the handler; other instances that have it are waited for.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::coalesce::Course;
use super::flights::{Ending, Lead, Seat};
use super::hit::Served;
use super::joined::{Looked, count, failed_course, is_for, look_again};
use super::lease::Lease;
use super::origin::Waiting;
use super::read::Read;
use super::run::Run;
use super::shared::Shared;
use super::step::{millis, step};
use crate::entry::Snapshot;
use crate::store::{self, LeaseToken, MissRequest};
use crate::telemetry::Bypass;

/// With what a request goes to the store for leave to run the handler.
pub(super) struct Asked {
    /// The flights whose joiners get the answer. Whatever this attempt learns of newer snapshots,
    /// they may have: what runs later than they asked is no older than they want.
    pub(super) leads: Vec<Lead>,
    pub(super) ignore_entry: bool,
    pub(super) alone: bool,
    pub(super) refresh: bool,
    pub(super) patience: Instant,
}

/// Asks the store for leave to run the handler, and waits for other instances that have it.
///
/// Breaks with what to do, or goes on with the snapshot that the store told: another flight of this
/// process goes under it, or the key has turned out to have variants.
pub(super) async fn ask(
    shared: &Arc<Shared>,
    read: &mut Read,
    waiting: &mut dyn Waiting,
    asked: Asked,
) -> ControlFlow<Course, Option<Snapshot>> {
    let settings = &shared.settings;
    let Asked { mut leads, mut ignore_entry, alone, refresh, patience } = asked;
    let patience = patience.min(Instant::now() + settings.lease_wait);
    let mut lease = (settings.leases && !alone).then(|| Lease::new(shared, &read.names));
    let mut holder: Option<LeaseToken> = None;
    let mut pause = Pause::default();
    loop {
        let request = MissRequest {
            lease: lease.as_ref().map(|lease| (lease.token(), millis(settings.lease_ttl))),
            keep: read.route.kept(read.ttl),
            scopes: read.names.scopes_digest(),
            ignore_entry,
        };
        // Given up if this is dropped here, or if it is not known what came of it.
        lease.iter_mut().for_each(Lease::take);
        let deadline = || read.patience.deadline(shared);
        let reply = step(shared, "miss", deadline, |store| store.miss(&read.names, &request)).await;
        if !matches!(reply, Ok(store::Miss::Granted(_)) | Err(_)) {
            lease.iter_mut().for_each(Lease::lose);
        }
        match reply {
            Err(_) => return ControlFlow::Break(Course::Blind(Bypass::Store)),
            Ok(store::Miss::Closed) => return ControlFlow::Break(Course::Blind(Bypass::Fenced)),
            Ok(store::Miss::Again) => match look_again(shared, read, waiting.headers()).await {
                Looked::Served(_) if refresh => return ControlFlow::Break(Course::Nothing),
                Looked::Served(entry) => {
                    for lead in &leads {
                        lead.land(&entry);
                    }
                    return ControlFlow::Break(Course::Serve(entry, Served::Hit));
                }
                // The flights and the lease are of other names.
                Looked::Missed { snapshot, moved: true, .. } => {
                    return ControlFlow::Continue(snapshot);
                }
                // The store takes it for fresh and we do not: it is no reason to wait.
                Looked::Missed { .. } => ignore_entry = true,
                Looked::Nothing => return ControlFlow::Break(Course::Blind(Bypass::Store)),
            },
            Ok(store::Miss::Granted(snapshot)) => {
                if !alone && !leads.iter().any(|lead| lead.is_of(&snapshot)) {
                    match shared.flights.board(&read.names, &snapshot, settings.max_waiters) {
                        Seat::Lead(lead) => leads.push(lead),
                        // With a lease, its leader is waiting for ours: we answer for him.
                        Seat::Join(flight) if lease.is_some() => {
                            leads.extend(flight.deputy(&shared.flights));
                        }
                        Seat::Join(_) if leads.is_empty() => {
                            return ControlFlow::Continue(Some(snapshot));
                        }
                        Seat::Full(why) => count(shared, why),
                        _ => {}
                    }
                }
                return ControlFlow::Break(Course::Run(Run::stored(snapshot, lease.take(), leads)));
            }
            Ok(store::Miss::Wait { .. }) if refresh => return ControlFlow::Break(Course::Nothing),
            Ok(store::Miss::Wait { snapshot, holder: now }) => {
                if !leads.iter().any(|lead| lead.is_of(&snapshot)) {
                    match shared.flights.board(&read.names, &snapshot, settings.max_waiters) {
                        Seat::Lead(lead) => leads.push(lead),
                        Seat::Join(_) if leads.is_empty() => {
                            return ControlFlow::Continue(Some(snapshot));
                        }
                        _ => {}
                    }
                }
                // A holder that has changed means that the one before gave up without storing:
                // there is no use in waiting for one after the other.
                let gave_up = holder.replace(now).is_some_and(|before| before != now);
                if gave_up || Instant::now() >= patience {
                    return ControlFlow::Break(Course::Run(Run::unshared().led(leads)));
                }
                waiting.rest();
                let answered = async {
                    match leads.first() {
                        Some(lead) => lead.ending().await,
                        None => std::future::pending().await,
                    }
                };
                let ending = tokio::select! {
                    biased;
                    ending = answered => ending,
                    () = pause.sleep() => {
                        read.patience.renew();
                        continue;
                    }
                };
                read.select(shared, waiting.headers());
                return ControlFlow::Break(match ending {
                    Ending::Landed(entry) if is_for(shared, &entry, read) => {
                        Course::Serve(entry, Served::Collapsed)
                    }
                    Ending::Landed(_) => return ControlFlow::Continue(Some(snapshot)),
                    Ending::Failed(entry) => failed_course(shared, &entry, read),
                    Ending::Shed => Course::Shed,
                    Ending::Private | Ending::Lost => Course::Run(Run::unshared()),
                });
            }
        }
    }
}

/// The pauses between two looks at a lease that another instance holds: from 3 ms, growing by half
/// each time to 60 ms, each drawn anew so that the instances do not keep step.
#[derive(Default)]
struct Pause(u32);

impl Pause {
    async fn sleep(&mut self) {
        let base = 3.0 * 1.5_f64.powi(i32::try_from(self.0.min(20)).unwrap_or(20));
        self.0 += 1;
        let millis = base.min(60.0) * (0.5 + fastrand::f64());
        tokio::time::sleep(Duration::from_secs_f64(millis / 1000.0)).await;
    }
}
