//! The handler on a task of its own: whoever waits for it, and whoever leaves.

use std::any::Any;
use std::sync::Arc;

use http::Response;
use http::response::Parts;
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use super::collect::{Broken, collect};
use super::fill::{self, Plan};
use super::flights::Lead;
use super::hit::{self, Served};
use super::lease::{Lease, keep};
use super::origin::{Answer, Handler, Origin};
use super::pipe::pipe;
use super::read::Read;
use super::shared::Shared;
use super::status;
use crate::body::ResponseBody;
use crate::entry::Snapshot;
use crate::protocol::{Fwd, Uncacheable, conditional};
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

    /// Whether the run is its client's alone: nobody can wait for it, and nothing is stored.
    fn is_private(&self) -> bool {
        self.snapshot.is_none() && self.leads.is_empty()
    }

    /// Nobody can share the answer: the run leaves the map of flights, gives up what it was to
    /// store, and all waiters run their own, together.
    fn make_private(&mut self) {
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

type Reply<S, B> = oneshot::Sender<Answer<S, B>>;

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
    shared.counters.runs.increment();
    if !run.is_private() {
        // What a client asks of its own copy must not decide what others get.
        conditional::without_conditions(origin.request_mut().headers_mut());
    }
    let started = Instant::now();
    let deadline = started + shared.settings.run_deadline;
    let Some(answer) = head(&shared, &read, origin, &mut run, &mut reply, deadline).await else {
        return;
    };
    let failed = answer.as_ref().map_or(true, |response| response.status().is_server_error());
    if let Some(fallback) = read.fallback.take().filter(|_| failed) {
        // RFC 5861, section 4. Those who wait under the same snapshot have the same right to it.
        // A flight of a newer one may have joiners who began after an invalidation of it.
        let stale = Arc::new(*fallback.entry);
        for lead in run.leads.drain(..) {
            match &fallback.snapshot {
                Some(snapshot) if lead.is_of(snapshot) => lead.land(&stale),
                _ => lead.release(),
            }
        }
        let response = hit::respond(&shared, (*stale).clone(), &read, Served::Stale);
        let _ = reply.send(Ok(response));
        return;
    }
    let (parts, body) = match answer {
        Ok(response) => response.into_parts(),
        Err(error) => {
            leave_alone(&shared, &read, &mut run);
            let _ = reply.send(Err(error));
            return;
        }
    };
    let reason = if run.bypass.is_some() { Fwd::Bypass } else { Fwd::Miss };
    let plan = Plan::new(&shared, &read, &parts, &body.size_hint());
    let plan = match plan {
        Ok(plan) => plan,
        Err(why) => {
            give_up(&shared, &read, &mut run, why);
            let mut response = Response::from_parts(parts, ResponseBody::pass(body));
            let detail = run.bypass.map_or(why.as_str(), Bypass::as_str);
            status::forwarded(&shared, response.headers_mut(), reason, Some(detail));
            let _ = reply.send(Ok(response));
            return;
        }
    };
    if run.is_private() {
        // There is nobody to read ahead for.
        let mut response = Response::from_parts(parts, ResponseBody::pass(body));
        let detail = run.bypass.map(Bypass::as_str);
        status::forwarded(&shared, response.headers_mut(), reason, detail);
        let _ = reply.send(Ok(response));
        return;
    }
    let (writer, reader) = pipe(body.size_hint());
    let stored_parts = clone_parts(&parts);
    let mut parts_out = parts;
    if run.snapshot.is_some() {
        status::stored(&shared, &mut parts_out.headers, reason, plan.seconds());
    } else {
        let detail = run.bypass.map(Bypass::as_str);
        status::forwarded(&shared, &mut parts_out.headers, reason, detail);
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
    match collected {
        Ok(body) => match plan.entry(&read, &stored_parts, body, started.elapsed()) {
            Ok(entry) => fill::finish(&shared, &read, run.into_parts(), entry).await,
            Err(why) => give_up(&shared, &read, &mut run, why),
        },
        Err(Broken::Failed) => leave_alone(&shared, &read, &mut run),
        Err(Broken::Uncacheable(why)) => give_up(&shared, &read, &mut run, why),
    }
}

impl Run {
    fn into_parts(mut self) -> (Option<Snapshot>, Option<Lease>, Vec<Lead>) {
        (self.snapshot.take(), self.lease.take(), std::mem::take(&mut self.leads))
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
    let call = origin.run();
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
fn give_up(shared: &Shared, read: &Read, run: &mut Run, why: Uncacheable) {
    shared.counters.uncacheable.increment();
    tracing::debug!(route = %read.route.name, reason = why.as_str(), "response not stored");
    leave_alone(shared, read, run);
}

/// There is no answer to share: an error, a body that broke, or nothing in time. The next attempt
/// may end the same, so whoever waits, or comes soon, does not queue for it one after the other.
fn leave_alone(shared: &Shared, read: &Read, run: &mut Run) {
    shared.uncacheables.remember(&read.names, shared.settings.uncacheable_memory);
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
