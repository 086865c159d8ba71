//! The handler on a task of its own: whoever waits for it, and whoever leaves.

use std::any::Any;
use std::sync::Arc;

use http::response::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tracing::Instrument;

use super::capacity::{self, Turn};
use super::collect::{Broken, collect};
use super::confirm::confirm;
use super::fill;
use super::flights::Lead;
use super::freshen::conditions;
use super::hit::{self, Served};
use super::lease::{Lease, keep};
use super::origin::{Answer, Handler, Origin};
use super::pipe::pipe;
use super::plan::Plan;
use super::read::{Read, has_failed, shed};
use super::shared::Shared;
use super::status;
use crate::body::ResponseBody;
use crate::entry::Snapshot;
use crate::protocol::{Uncacheable, conditional};
use crate::telemetry::Bypass;

/// What a run is for.
#[derive(Default)]
pub(crate) struct Run {
    /// Under what the response is stored; `None` if it is not.
    snapshot: Option<Snapshot>,
    lease: Option<Lease>,
    /// Those who wait for the response.
    leads: Vec<Lead>,
    /// Why the cache was passed by, if it was.
    bypass: Option<Bypass>,
}

impl Run {
    /// One whose response is stored.
    pub(crate) fn stored(snapshot: Snapshot, lease: Option<Lease>, leads: Vec<Lead>) -> Self {
        Self { snapshot: Some(snapshot), lease, leads, bypass: None }
    }

    /// One for the caller alone, after a miss.
    pub(crate) fn unshared() -> Self {
        Self::default()
    }

    /// One past the store.
    pub(crate) fn unstored(why: Bypass) -> Self {
        Self { bypass: Some(why), ..Self::default() }
    }

    /// The same, for those too who wait for these flights.
    pub(crate) fn led(self, leads: Vec<Lead>) -> Self {
        Self { leads, ..self }
    }

    /// Keeps the lease alive for as long as this is polled.
    #[cfg(feature = "data")]
    pub(super) async fn keep_lease(&self) -> std::convert::Infallible {
        keep(self.lease.as_ref()).await
    }

    /// Whether the run is its client's alone: nobody can wait for it, and nothing is stored.
    fn is_private(&self) -> bool {
        self.snapshot.is_none() && self.leads.is_empty()
    }

    /// There is no room for the run, nor for one of those who wait for it.
    fn make_shed(&mut self) {
        self.snapshot = None;
        self.lease = None;
        self.leads.drain(..).for_each(Lead::shed);
    }

    /// What it goes on with once there is something to store.
    pub(super) fn into_parts(mut self) -> (Option<Snapshot>, Option<Lease>, Vec<Lead>) {
        (self.snapshot.take(), self.lease.take(), std::mem::take(&mut self.leads))
    }

    /// Nobody can share the answer: the run leaves the map of flights, gives up what it was to
    /// store, and all waiters run their own, together.
    pub(super) fn make_private(&mut self) {
        self.snapshot = None;
        self.lease = None;
        self.leads.drain(..).for_each(Lead::release);
    }
}

/// Runs the handler on a task of its own and answers with its response as soon as its head is
/// there.
///
/// # Dropping
///
/// The run goes on to its end, for those who wait for it and for the store. One that is for
/// neither ends.
pub(crate) async fn launch<S, B>(
    shared: Arc<Shared>,
    read: Box<Read>,
    origin: Origin<S, B>,
    run: Run,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    let (reply, head) = oneshot::channel();
    let work = shared.work.clone();
    let task = work.spawn(fly(shared, read, origin, run, reply).in_current_span());
    if let Ok(answer) = head.await {
        return answer;
    }
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        // As if the handler had panicked here, where it would have without a cache.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        _ => std::panic::resume_unwind(
            Box::new("the runtime is shutting down") as Box<dyn Any + Send>
        ),
    }
}

pub(super) type Reply<S, B> = oneshot::Sender<Answer<S, B>>;

async fn fly<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    mut origin: Origin<S, B>,
    mut run: Run,
    mut reply: Reply<S, B>,
) where
    S: Handler<B>,
    B: Send + 'static,
{
    let Some(place) = place::<S, B>(&shared, &mut run, &mut reply).await else {
        let _ = reply.send(Ok(shed(&shared, &read)));
        return;
    };
    shared.telemetry.ran();
    let asked = origin.headers().clone();
    let mut asks_if_good = false;
    if !run.is_private() {
        let headers = origin.request_mut().headers_mut();
        // What a client asks of its own copy must not decide what others get.
        conditional::without_conditions(headers);
        let conditions = conditions(read.held.as_deref(), run.snapshot.as_ref());
        asks_if_good = !conditions.is_empty();
        headers.extend(conditions);
    }
    let (started, requested_at) = (Instant::now(), shared.store.now());
    let deadline = started + shared.settings.run_deadline;
    let Some(answer) = head(&shared, &read, origin, &mut run, &mut reply, deadline).await else {
        return;
    };
    let status = answer.as_ref().ok().map(Response::status);
    let held = read.held.take();
    if let Some(held) = held.as_ref().filter(|held| has_failed(status) && held.on_error) {
        // RFC 5861, section 4. Those who wait under the same snapshot have the same right to it.
        // A flight of a newer one may have joiners who began after an invalidation of it.
        let stale = &held.entry;
        for lead in run.leads.drain(..) {
            match &held.snapshot {
                Some(snapshot) if lead.is_of(snapshot) => lead.fail(stale),
                _ => lead.release(),
            }
        }
        let response = hit::respond(&shared, Arc::clone(stale), &read, Served::Failed(status));
        let _ = reply.send(Ok(response));
        return;
    }
    let (parts, body) = match answer {
        Ok(response) => response.into_parts(),
        Err(error) => {
            leave_alone(&shared, &read, &mut run);
            if !read.is_refresh {
                status::erred(&shared, &read.route);
            }
            let _ = reply.send(Err(error));
            return;
        }
    };
    let asked = (&asked, requested_at);
    if let Some(held) = held.filter(|_| asks_if_good && parts.status == StatusCode::NOT_MODIFIED) {
        drop(body);
        confirm::<S, B>(&shared, &read, run, &held, &parts, (asked, started), reply).await;
        return;
    }
    let plan = match Plan::new(&shared, &read, &parts, &body.size_hint(), asked) {
        Ok(plan) => plan,
        Err(why) => {
            give_up(&shared, &read, &mut run, why);
            let mut response = Response::from_parts(parts, ResponseBody::pass(body));
            let detail = run.bypass.map_or(why.as_str(), Bypass::as_str);
            status::forwarded(&shared, &read, response.headers_mut(), Some(detail));
            let _ = reply.send(Ok(response));
            return;
        }
    };
    if run.is_private() {
        // There is nobody to read ahead for.
        let mut response = Response::from_parts(parts, ResponseBody::pass(body));
        let detail = run.bypass.map(Bypass::as_str);
        status::forwarded(&shared, &read, response.headers_mut(), detail);
        let _ = reply.send(Ok(response));
        return;
    }
    let (writer, reader) = pipe(body.size_hint(), &shared.read_ahead);
    // Until the response is stored, or is not to be.
    let _held = writer.hold();
    let stored_parts = clone_parts(&parts);
    let mut parts_out = parts;
    if run.snapshot.is_some() {
        status::stored(&shared, &read, &mut parts_out.headers, plan.seconds());
    } else {
        let detail = run.bypass.map(Bypass::as_str);
        status::forwarded(&shared, &read, &mut parts_out.headers, detail);
    }
    let _ = reply.send(Ok(Response::from_parts(parts_out, ResponseBody::piped(reader))));
    let body = Box::pin(body);
    let collected = {
        let lease = run.lease.as_ref();
        let collect = collect(body, writer, plan.max_body(), deadline);
        tokio::select! {
            biased;
            collected = collect => collected,
            never = keep(lease) => match never {},
        }
    };
    // Storing it is not the handler's work.
    drop(place);
    match collected {
        Ok(body) => match plan.entry(&read, &stored_parts, body, started.elapsed()) {
            Ok(entry) => fill::finish(&shared, &read, run.into_parts(), plan, entry).await,
            Err(why) => give_up(&shared, &read, &mut run, why),
        },
        Err(Broken::Failed) => leave_alone(&shared, &read, &mut run),
        Err(Broken::Uncacheable(why)) => give_up(&shared, &read, &mut run, why),
    }
}

/// A place among the runs; `None` if there is no room, or if nobody wants it any more.
async fn place<S: Handler<B>, B>(
    shared: &Shared,
    run: &mut Run,
    reply: &mut Reply<S, B>,
) -> Option<Option<OwnedSemaphorePermit>> {
    let turn = capacity::turn(shared);
    tokio::pin!(turn);
    let turn = if run.is_private() {
        tokio::select! {
            biased;
            turn = &mut turn => turn,
            () = reply.closed() => Turn::Shed,
        }
    } else {
        tokio::select! {
            biased;
            turn = &mut turn => turn,
            never = keep(run.lease.as_ref()) => match never {},
        }
    };
    match turn {
        Turn::Run(place) => Some(place),
        Turn::Shed => {
            run.make_shed();
            None
        }
    }
}

/// The handler's answer, or `None` if nobody wants it any more.
async fn head<S, B>(
    shared: &Shared,
    read: &Read,
    origin: Origin<S, B>,
    run: &mut Run,
    reply: &mut Reply<S, B>,
    deadline: Instant,
) -> Option<Result<Response<S::Body>, S::Error>>
where
    S: Handler<B>,
    B: Send + 'static,
{
    let call = origin.run_for(shared, &read.route);
    tokio::pin!(call);
    if !run.is_private() {
        tokio::select! {
            biased;
            answer = &mut call => return Some(answer),
            () = tokio::time::sleep_until(deadline) => {}
            never = keep(run.lease.as_ref()) => match never {},
        }
        // Past its deadline the run is its client's alone.
        leave_alone(shared, read, run);
    }
    // As without a cache: it ends with its client.
    tokio::select! {
        biased;
        answer = &mut call => Some(answer),
        () = reply.closed() => None,
    }
}

/// The response can't be shared: waiters go their own way, and so does who comes soon.
pub(super) fn give_up(shared: &Shared, read: &Read, run: &mut Run, why: Uncacheable) {
    shared.telemetry.uncacheable(&read.route.telemetry, why);
    tracing::debug!(route = %read.route.name, reason = why.as_str(), "response not stored");
    if why.is_of_request() {
        // The next request may have what this one could not.
        return run.make_private();
    }
    leave_alone(shared, read, run);
}

/// There is no answer to share: an error, a body that broke, or nothing in time. The next attempt
/// may end the same, so whoever waits, or comes soon, does not queue for it one after the other.
pub(super) fn leave_alone(shared: &Shared, read: &Read, run: &mut Run) {
    shared.remember_uncacheable(&read.names);
    run.make_private();
}

/// `Parts` without its extensions, which belong to the first response alone.
fn clone_parts(parts: &Parts) -> Parts {
    let mut response = Response::new(());
    *response.status_mut() = parts.status;
    *response.version_mut() = parts.version;
    *response.headers_mut() = parts.headers.clone();
    response.into_parts().0
}
