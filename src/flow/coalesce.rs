//! One run for all who miss together: a flight in this process, a lease across instances.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::ask::{Asked, ask};
use super::flights::{Ending, Lead, Seat};
use super::hit::{self, Served};
use super::joined::{Looked, count, failed, failed_course, is_for, look_again};
use super::origin::{Answer, Handler, Origin, Waiting};
use super::read::{Read, blind, shed};
use super::run::{self, Run};
use super::shared::Shared;
use super::solo::solo;
use crate::entry::{Entry, Snapshot};
use crate::telemetry::Bypass;

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
