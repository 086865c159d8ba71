//! A read on a cached route: look up, and hit, refresh or run.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use super::coalesce::{self, Miss};
use super::hit::{self, Served};
use super::lookup::{Verdict, judge, look_up};
use super::origin::{Answer, Handler, Origin};
use super::run::{self, Run};
use super::shared::Shared;
use super::status;
use crate::body::ResponseBody;
use crate::entry::{Entry, Snapshot};
use crate::key::Names;
use crate::policy::CachedRoute;
use crate::protocol::Fwd;
use crate::telemetry::Bypass;

/// An admitted read.
pub(crate) struct Read {
    pub(crate) route: Arc<CachedRoute>,
    pub(crate) names: Names,
    /// How long a response to this request stays fresh, unless the response says less.
    pub(crate) ttl: Duration,
    /// Whether the method is HEAD: answered from what GET stored, and never stored.
    pub(crate) head: bool,
    /// The request's conditions and its range, if it has any: for what is stored, not for the handler.
    pub(crate) wishes: Option<Box<HeaderMap>>,
    /// Why a miss is forwarded as it is: its answer can't be shared.
    pub(crate) alone: Option<Bypass>,
    /// What is served if the handler fails.
    pub(crate) fallback: Option<Fallback>,
}

/// An expired entry that may be served if the handler fails.
pub(crate) struct Fallback {
    pub(crate) entry: Box<Entry>,
    /// Under what it was found valid: who has seen something newer has no right to it.
    pub(crate) snapshot: Option<Snapshot>,
}

/// Answers a read.
pub(crate) async fn read<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    origin: Origin<S, B>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    if shared.dirty.covers(&read.names) {
        return blind(shared, read, origin, Bypass::Dirty).await;
    }
    let Ok(found) = look_up(&shared, &read.names).await else {
        return blind(shared, read, origin, Bypass::Store).await;
    };
    let (entry, unusable) = match judge(&shared, &read.names, &found) {
        Verdict::Fresh(entry) if read.head || !is_due_early(&shared, &read.route, &entry) => {
            return Ok(hit::respond(&shared, entry, &read, Served::Hit));
        }
        Verdict::Fresh(entry) => (Some((entry, Served::Hit)), false),
        Verdict::Stale(entry) => (Some((entry, Served::Stale)), false),
        Verdict::Miss { unusable, fallback } => {
            read.fallback = fallback.map(|entry| Fallback { entry, snapshot: found.snapshot() });
            (None, unusable)
        }
    };
    if let Some((entry, served)) = entry {
        let response = hit::respond(&shared, entry, &read, served);
        if !read.head {
            // The client has its answer; its request goes on as the refresh.
            let early = served == Served::Hit;
            let miss = Miss { snapshot: found.snapshot(), ignore_entry: early, refresh: true };
            let refresh = coalesce::refresh(Arc::clone(&shared), read, origin, miss);
            shared.work.spawn(refresh);
        }
        return Ok(response);
    }
    shared.counters.misses.increment();
    if read.head || read.alone.is_some() {
        let detail = read.alone.map(Bypass::as_str);
        return forward(&shared, origin, Fwd::Miss, detail).await;
    }
    let miss = Miss { snapshot: found.snapshot(), ignore_entry: unusable, refresh: false };
    coalesce::answer(shared, read, origin, miss).await
}

/// Answers a read of which nothing can be known: with a run that starts after it asked, and whose
/// response is not stored.
pub(super) async fn blind<S, B>(
    shared: Arc<Shared>,
    read: Box<Read>,
    origin: Origin<S, B>,
    why: Bypass,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    shared.counters.bypasses.increment();
    if read.head || read.alone.is_some() {
        return forward(&shared, origin, Fwd::Bypass, Some(why.as_str())).await;
    }
    if !shared.settings.coalesce_in_outage || shared.uncacheables.knows(&read.names) {
        return run::launch(shared, read, origin, Run::unstored(why)).await;
    }
    coalesce::next_run(shared, read, origin, why).await
}

/// Runs the handler as if there were no cache, and says why.
pub(super) async fn forward<S, B>(
    shared: &Shared,
    origin: Origin<S, B>,
    reason: Fwd,
    detail: Option<&str>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    let mut response = origin.run().await?.map(ResponseBody::pass);
    status::forwarded(shared, response.headers_mut(), reason, detail);
    Ok(response)
}

/// Whether this request is the one to refresh the entry before it expires.
///
/// "Optimal Probabilistic Cache Stampede Prevention" (Vattani, Chierichetti, Lowenstein, 2015):
/// each request draws for itself, with a chance that grows with the time the handler takes and
/// with the nearness of the expiry.
fn is_due_early(shared: &Shared, route: &CachedRoute, entry: &Entry) -> bool {
    let Some(beta) = route.early_refresh else { return false };
    let left = entry.head.fresh_until.saturating_sub(shared.store.now());
    #[allow(clippy::cast_precision_loss, reason = "both are far below 2^52")]
    let (left, cost) = (left as f64, f64::from(entry.cost) / 1000.0);
    // In (0, 1], so that the logarithm is finite.
    let draw = 1.0 - fastrand::f64();
    cost * beta * -draw.ln() >= left
}
