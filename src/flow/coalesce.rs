//! One run for all who miss together: a flight in this process, a lease across instances.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::flights::{Ending, Full, Lead, Seat};
use super::freshness::{may_share, may_share_on_error};
use super::hit::{self, Served};
use super::lease::Lease;
use super::lookup::{Seen, Verdict, examine, groups_of};
use super::origin::{Answer, Handler, Origin, Waiting};
use super::read::{Read, blind, shed};
use super::run::{self, Run};
use super::shared::Shared;
use super::solo::solo;
use super::step::{millis, step};
use crate::entry::{Entry, Snapshot};
use crate::store::{self, LeaseToken, MissRequest};
use crate::telemetry::{Bound, Bypass};

/// What a look-up that missed has learnt.
pub(crate) struct Miss {
    /// The generations and the epoch, if all are known and open.
    pub(crate) snapshot: Option<Snapshot>,
    /// What is stored is not to be used, however fresh it looks to the store.
    pub(crate) ignore_entry: bool,
    /// The client has been answered; this is for those who come after it.
    pub(crate) refresh: bool,
}

/// What a request that missed is to do.
#[allow(clippy::large_enum_variant, reason = "most are runs, and none is kept")]
pub(super) enum Course {
    /// Answer with this entry.
    Serve(Arc<Entry>, Served),
    /// Run the handler.
    Run(Run),
    /// Nothing can be known.
    Blind(Bypass),
    /// There was no room for the run that this one waited for.
    Shed,
    /// Somebody else refreshes already.
    Nothing,
}

/// Answers a request that missed.
pub(crate) async fn answer<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    mut origin: Origin<S, B>,
    miss: Miss,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    match settle(&shared, &mut read, &mut origin, miss).await {
        Course::Serve(entry, served) => Ok(hit::respond(&shared, entry, &read, served)),
        Course::Run(run) => run::launch(shared, read, origin, run).await,
        Course::Blind(why) => blind(shared, read, origin, why).await,
        Course::Shed => Ok(shed(&shared, &read)),
        Course::Nothing => run::launch(shared, read, origin, Run::unshared()).await,
    }
}

/// Refreshes an entry that has been served. Nobody waits for it.
pub(crate) async fn refresh<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    mut origin: Origin<S, B>,
    miss: Miss,
) where
    S: Handler<B>,
    B: Send + 'static,
{
    read.patience.renew();
    read.is_refresh = true;
    if let Course::Run(run) = settle(&shared, &mut read, &mut origin, miss).await {
        // The run goes on when its client is gone, which it is at once.
        drop(run::launch::<S, B>(shared, read, origin, run).await);
    }
}

/// Answers a request of which nothing can be known, with a run that starts after now.
pub(crate) async fn next_run<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    mut origin: Origin<S, B>,
    why: Bypass,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    if read.is_personal {
        return own_run(shared, read, origin, why, None).await;
    }
    match seat_next(&shared, &mut read, &mut origin).await {
        NextSeat::Run(lead) => own_run(shared, read, origin, why, lead).await,
        NextSeat::Served(entry) => Ok(hit::respond(&shared, entry, &read, Served::Collapsed)),
        NextSeat::Shed => Ok(shed(&shared, &read)),
    }
}

/// What a request does of which nothing can be known.
pub(super) enum NextSeat {
    /// It runs, be it for those too who wait for this.
    Run(Option<Lead>),
    /// A run that began after it asked has brought this.
    Served(Arc<Entry>),
    /// There was no room for the run that it waited for.
    Shed,
}

/// Waits for the run that starts next, unless it is the request's own.
pub(super) async fn seat_next(
    shared: &Arc<Shared>,
    read: &mut Read,
    waiting: &mut dyn Waiting,
) -> NextSeat {
    let patience = Instant::now() + shared.settings.wait_limit;
    let most = shared.settings.max_waiters;
    loop {
        match shared.flights.board_next(&read.names, most) {
            Seat::Lead(lead) => return NextSeat::Run(Some(lead)),
            Seat::LeadNext(lead, turn) => {
                waiting.rest();
                match timeout_at(patience, turn).await {
                    Ok(Ok(())) => return NextSeat::Run(Some(lead)),
                    Ok(Err(_)) => {}
                    Err(_) => return NextSeat::Run(None),
                }
            }
            Seat::Join(flight) => {
                waiting.rest();
                match timeout_at(patience, flight.ending()).await {
                    Ok(Ending::Landed(entry)) => {
                        let selected = read.select(shared, waiting.headers());
                        if is_for(shared, &entry, read) {
                            return NextSeat::Served(entry);
                        }
                        if !selected {
                            return NextSeat::Run(None);
                        }
                    }
                    Ok(Ending::Failed(entry)) => {
                        return failed(shared, &entry, read)
                            .map_or(NextSeat::Run(None), NextSeat::Served);
                    }
                    Ok(Ending::Lost) => {}
                    Ok(Ending::Shed) => return NextSeat::Shed,
                    Ok(Ending::Private) | Err(_) => return NextSeat::Run(None),
                }
            }
            Seat::Full(why) => {
                count(shared, why);
                return NextSeat::Run(None);
            }
        }
    }
}

/// Answers a request of which nothing can be known, with a run of its own, be it for the joiners of
/// `lead` too.
pub(crate) async fn own_run<S, B>(
    shared: Arc<Shared>,
    read: Box<Read>,
    origin: Origin<S, B>,
    why: Bypass,
    lead: Option<Lead>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    // What is held may be served if the handler fails, which is for a run to see.
    if read.held.is_none() && lead.as_ref().is_none_or(Lead::is_alone) {
        return solo(shared, read, origin, why, lead).await;
    }
    let run = Run::unstored(why).led(lead.into_iter().collect());
    Box::pin(run::launch(shared, read, origin, run)).await
}

/// Finds out what a request that missed is to do, waiting for others where that saves a run.
pub(super) async fn settle(
    shared: &Arc<Shared>,
    read: &mut Read,
    waiting: &mut dyn Waiting,
    miss: Miss,
) -> Course {
    let Miss { mut snapshot, mut ignore_entry, refresh } = miss;
    let patience = Instant::now() + shared.settings.wait_limit;
    // A key whose last answer could not be shared is not waited for.
    let is_known = shared.uncacheables.knows(&read.names);
    if is_known && refresh {
        // Nothing would hold one refresh back for another, and the last one came to nothing.
        return Course::Nothing;
    }
    let alone = is_known || read.is_personal;
    loop {
        let mut leads = Vec::new();
        let flight = match snapshot.as_ref().filter(|_| !alone) {
            Some(snapshot) => {
                match shared.flights.board(&read.names, snapshot, shared.settings.max_waiters) {
                    Seat::Join(_) | Seat::Full(_) if refresh => return Course::Nothing,
                    Seat::Join(flight) => Some(flight),
                    Seat::Full(why) => {
                        count(shared, why);
                        return Course::Run(Run::unshared());
                    }
                    Seat::Lead(lead) | Seat::LeadNext(lead, _) => {
                        leads.push(lead);
                        None
                    }
                }
            }
            None => None,
        };
        if let Some(flight) = flight {
            waiting.rest();
            let ending = timeout_at(patience, flight.ending()).await;
            read.patience.renew();
            match ending {
                Ok(Ending::Landed(entry)) => {
                    read.select(shared, waiting.headers());
                    if is_for(shared, &entry, read) {
                        return Course::Serve(entry, Served::Collapsed);
                    }
                }
                Ok(Ending::Failed(entry)) => return failed_course(shared, &entry, read),
                Ok(Ending::Private) | Err(_) => return Course::Run(Run::unshared()),
                Ok(Ending::Shed) => return Course::Shed,
                Ok(Ending::Lost) => {}
            }
            match look_again(shared, read, waiting.headers()).await {
                Looked::Served(entry) => return Course::Serve(entry, Served::Hit),
                Looked::Missed { snapshot: now, unusable, .. } => {
                    snapshot = now;
                    ignore_entry |= unusable;
                }
                Looked::Nothing => return Course::Blind(Bypass::Store),
            }
            continue;
        }
        let asked = Asked { leads, ignore_entry, alone, refresh, patience };
        match ask(shared, read, waiting, asked).await {
            ControlFlow::Break(course) => return course,
            ControlFlow::Continue(seen) => snapshot = seen,
        }
    }
}

/// With what a request goes to the store for leave to run the handler.
struct Asked {
    /// The flights whose joiners get the answer. Whatever this attempt learns of newer snapshots,
    /// they may have: what runs later than they asked is no older than they want.
    leads: Vec<Lead>,
    ignore_entry: bool,
    alone: bool,
    refresh: bool,
    patience: Instant,
}

/// Asks the store for leave to run the handler, and waits for other instances that have it.
///
/// Breaks with what to do, or goes on with the snapshot that the store told: another flight of this
/// process goes under it, or the key has turned out to have variants.
async fn ask(
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

fn count(shared: &Shared, why: Full) {
    match why {
        Full::Flight => shared.telemetry.over(Bound::Waiters),
        Full::Sky => shared.telemetry.over(Bound::Flights),
    }
}

/// What a request does that waited for a run which has failed.
fn failed_course(shared: &Shared, stale: &Arc<Entry>, read: &Read) -> Course {
    match failed(shared, stale, read) {
        Some(entry) => Course::Serve(entry, Served::Collapsed),
        None => Course::Run(Run::unshared()),
    }
}

/// What is stale, if this request may have it now that the run it waited for has failed.
fn failed(shared: &Shared, stale: &Arc<Entry>, read: &Read) -> Option<Arc<Entry>> {
    let may = is_selected(shared, stale, read) && may_share_on_error(shared, read, stale);
    may.then(|| Arc::clone(stale))
}

/// Whether the response of another request's run is what this request selects, and may have. What
/// of its query counts, what the key's responses vary by and the groups that they are in may not
/// have been known when it joined.
fn is_for(shared: &Shared, entry: &Entry, read: &Read) -> bool {
    is_selected(shared, entry, read) && may_share(shared, read, entry)
}

fn is_selected(shared: &Shared, entry: &Entry, read: &Read) -> bool {
    entry.name == read.names.entry_digest()
        && entry.selection == read.selection()
        && (entry.tags.is_empty() || !shared.dirty.covers_any(&groups_of(read, entry)))
}

/// What a second look-up gave.
enum Looked {
    Served(Arc<Entry>),
    Missed {
        snapshot: Option<Snapshot>,
        unusable: bool,
        /// The request has other names now, since the key has variants.
        moved: bool,
    },
    /// The store did not answer.
    Nothing,
}

async fn look_again(shared: &Arc<Shared>, read: &mut Read, headers: &HeaderMap) -> Looked {
    let before = read.names.entry_digest();
    let Ok(Seen { verdict, snapshot, .. }) = examine(shared, read, headers).await else {
        return Looked::Nothing;
    };
    let moved = read.names.entry_digest() != before;
    match verdict {
        Verdict::Fresh(entry) | Verdict::Due(entry) => Looked::Served(entry),
        Verdict::Stale(_) => Looked::Missed { snapshot, unusable: false, moved },
        Verdict::Miss { unusable, held, .. } => {
            // What was held may have gone, or been replaced.
            read.held = held.or(read.held.take());
            Looked::Missed { snapshot, unusable, moved }
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
