//! The handler on a task of its own: whoever waits for it, and whoever leaves.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tower_service::Service;

use super::coalesce::millis;
use super::fill::{self, Plan};
use super::flights::Lead;
use super::hit::{self, Served};
use super::lookup::within;
use super::origin::Origin;
use super::pipe::{PipeWriter, pipe};
use super::read::Read;
use super::status;
use crate::body::ResponseBody;
use crate::cache::Shared;
use crate::entry::Snapshot;
use crate::key::Names;
use crate::protocol::{Fwd, Uncacheable};
use crate::store::LeaseToken;
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

    /// The run leaves the map of flights without an answer, and gives up what it was to store.
    fn retire(&mut self) {
        self.snapshot = None;
        self.lease = None;
        self.leads.clear();
    }

    /// Nobody can share the answer: all waiters run their own, together.
    fn make_private(&mut self) {
        self.snapshot = None;
        self.lease = None;
        self.leads.drain(..).for_each(Lead::release);
    }
}

/// A lease that may be held. Dropping it gives it up, in the background.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    names: Names,
    token: LeaseToken,
    spent: bool,
}

impl Lease {
    pub(crate) fn new(shared: &Arc<Shared>, names: &Names) -> Self {
        let (shared, names) = (Arc::clone(shared), names.clone());
        Self { shared, names, token: LeaseToken::random(), spent: false }
    }

    pub(crate) fn token(&self) -> LeaseToken {
        self.token
    }

    /// The fill has given it up.
    pub(crate) fn spend(&mut self) {
        self.spent = true;
    }

    /// Keeps the lease alive for as long as this is polled.
    async fn keep(&self) -> std::convert::Infallible {
        let ttl = self.shared.settings.lease_ttl;
        loop {
            tokio::time::sleep(ttl / 3).await;
            let step = self.shared.store.renew(&self.names, self.token, millis(ttl));
            if let Err(error) = within(self.shared.settings.fill_timeout, step).await {
                self.shared.note_error("renew", &error);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.spent || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (shared, names, token) = (Arc::clone(&self.shared), self.names.clone(), self.token);
        self.shared.work.spawn(async move {
            let step = shared.store.release(&names, token);
            if let Err(error) = within(shared.settings.fill_timeout, step).await {
                shared.note_error("release", &error);
            }
        });
    }
}

/// Runs the handler on a task of its own and answers with its response as soon as its head is
/// there.
///
/// # Dropping
///
/// The run goes on to its end, for those who wait for it and for the store.
pub(crate) async fn launch<S, B, R>(
    shared: Arc<Shared>,
    read: Box<Read>,
    origin: Origin<S, B>,
    run: Run,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    let (reply, head) = oneshot::channel();
    let work = shared.work.clone();
    let task = work.spawn(fly(shared, read, origin, run, reply));
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

type Reply<R, E> = oneshot::Sender<Result<Response<ResponseBody<R>>, E>>;

async fn fly<S, B, R>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    origin: Origin<S, B>,
    mut run: Run,
    mut reply: Reply<R, S::Error>,
) where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    shared.counters.runs.increment();
    let started = Instant::now();
    let deadline = started + shared.settings.run_deadline;
    let Some(answer) = head(origin, &mut run, &mut reply, deadline).await else { return };
    let failed = answer.as_ref().map_or(true, |response| response.status().is_server_error());
    if let Some(stale) = read.fallback.take().filter(|_| failed) {
        // RFC 5861, section 4. Those who saw the same snapshot have the same right to it; others
        // joined a later one, which this entry may not be valid under.
        let entry = Arc::new(*stale.entry);
        for lead in run.leads.drain(..) {
            if stale.snapshot.as_ref().is_some_and(|snapshot| lead.is_of(snapshot)) {
                lead.land(&entry);
            } else {
                lead.release();
            }
        }
        let response = hit::respond(&shared, (*entry).clone(), false, Served::Stale);
        let _ = reply.send(Ok(response));
        return;
    }
    let (parts, body) = match answer {
        Ok(response) => response.into_parts(),
        Err(error) => {
            // An error can't be shared, and the next attempt may end the same: all together.
            shared.uncacheables.remember(&read.names, shared.settings.uncacheable_memory);
            run.make_private();
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
    let (writer, reader) = pipe(body.size_hint());
    let mut parts_out = clone_parts(&parts);
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
        Ok(body) => match plan.entry(&shared, &read, &parts, body, started.elapsed()) {
            Ok(entry) => fill::finish(&shared, &read, run.into_parts(), entry).await,
            Err(why) => give_up(&shared, &read, &mut run, why),
        },
        Err(Broken::Failed) => run.retire(),
        Err(Broken::Uncacheable(why)) => give_up(&shared, &read, &mut run, why),
    }
}

impl Run {
    fn into_parts(mut self) -> (Option<Snapshot>, Option<Lease>, Vec<Lead>) {
        (self.snapshot.take(), self.lease.take(), std::mem::take(&mut self.leads))
    }
}

/// The handler's answer, or `None` if nobody wants it any more.
async fn head<S, B, R>(
    origin: Origin<S, B>,
    run: &mut Run,
    reply: &mut Reply<R, S::Error>,
    deadline: Instant,
) -> Option<Result<Response<R>, S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    let call = origin.run();
    tokio::pin!(call);
    tokio::select! {
        biased;
        answer = &mut call => return Some(answer),
        () = tokio::time::sleep_until(deadline) => {}
        never = keep(run.lease.as_ref()) => match never {},
    }
    // Past its deadline the run is its client's alone, for as long as there is one.
    run.retire();
    tokio::select! {
        biased;
        answer = &mut call => Some(answer),
        () = reply.closed() => None,
    }
}

async fn keep(lease: Option<&Lease>) -> std::convert::Infallible {
    match lease {
        Some(lease) => lease.keep().await,
        None => std::future::pending().await,
    }
}

/// Why a body did not become an entry.
enum Broken {
    /// It failed, or came too late.
    Failed,
    Uncacheable(Uncacheable),
}

/// Reads the body to its end, passing on each frame as it comes.
async fn collect<R: Body<Data = Bytes>>(
    mut body: std::pin::Pin<Box<R>>,
    writer: PipeWriter<R>,
    most: usize,
    deadline: Instant,
) -> Result<Vec<Bytes>, Broken> {
    let mut chunks = Vec::new();
    let mut size = 0;
    loop {
        let next = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx));
        let Ok(next) = tokio::time::timeout_at(deadline, next).await else {
            writer.hand_over(body);
            return Err(Broken::Failed);
        };
        match next {
            None => {
                writer.close(None);
                return Ok(chunks);
            }
            Some(Err(error)) => {
                writer.close(Some(error));
                return Err(Broken::Failed);
            }
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    // Trailers may hold anything, and a stored response has no place for them.
                    writer.push(frame);
                    writer.hand_over(body);
                    return Err(Broken::Uncacheable(Uncacheable::Trailers));
                };
                size += data.len();
                chunks.push(data.clone());
                writer.push(frame);
                if size > most {
                    writer.hand_over(body);
                    return Err(Broken::Uncacheable(Uncacheable::TooLarge));
                }
            }
        }
    }
}

/// The response can't be shared: waiters go their own way, and so does who comes soon.
fn give_up(shared: &Shared, read: &Read, run: &mut Run, why: Uncacheable) {
    shared.counters.uncacheable.increment();
    tracing::debug!(route = %read.route.name, reason = why.as_str(), "response not stored");
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
