//! A read on a cached route: look up, and hit, refresh or run.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;
use tracing::Instrument;

use super::capacity::{self, Turn};
use super::coalesce::{self, Miss};
use super::freshen;
use super::hit::{self, Served};
use super::lookup::{Held, Seen, Verdict, examine, glance, recall};
use super::origin::{Answer, Handler, Origin};
use super::search::Search;
use super::shared::Shared;
use super::status;
use super::step::Patience;
use super::variants::Variant;
use crate::body::ResponseBody;
use crate::key::Names;
use crate::policy::CachedRoute;
use crate::protocol::{CacheControl, Fwd};
use crate::telemetry::Bypass;

/// An admitted read.
#[allow(clippy::struct_excessive_bools, reason = "each is another matter")]
pub(crate) struct Read {
    pub(crate) route: Arc<CachedRoute>,
    /// What the store is asked for.
    pub(crate) names: Arc<Names>,
    /// What the names are made from, if responses may say what of the query counts.
    pub(crate) search: Option<Box<Search>>,
    /// Which of the key's variants the names are of, if its responses vary.
    pub(crate) variant: Option<Box<Variant>>,
    /// How long a response to this request stays fresh, unless the response says less.
    pub(crate) ttl: Duration,
    /// Whether the method is HEAD: answered from what GET stored, and never stored.
    pub(crate) head: bool,
    /// The request's conditions and its range, if it has any: for what is stored, not for the handler.
    pub(crate) wishes: Option<Box<HeaderMap>>,
    /// The request's own directives, where they count.
    pub(crate) wants: Option<Box<CacheControl>>,
    /// Why a miss is forwarded as it is: its answer can't be shared.
    pub(crate) alone: Option<Bypass>,
    /// Whether an answer may be for this client alone by what the request says: nobody waits for it.
    pub(crate) is_personal: bool,
    /// Whether it is of a value of the typed data cache, and not of a response.
    pub(crate) is_value: bool,
    /// Why the handler is asked.
    pub(crate) reason: Fwd,
    /// Why nothing can be known of what is stored, if so.
    pub(crate) passed: Option<Bypass>,
    /// Whether the client has been answered, and this goes on for those who come after it.
    pub(crate) is_refresh: bool,
    /// What is stored, may not be served as it is, and may be of use all the same.
    pub(crate) held: Option<Box<Held>>,
    /// How long it may still wait for the store.
    pub(crate) patience: Patience,
}

impl Read {
    /// Whether the handler must not be asked (`only-if-cached`, RFC 9111, section 5.2.1.7).
    fn is_confined(&self) -> bool {
        self.wants.as_ref().is_some_and(|wants| wants.only_if_cached)
    }
}

/// Answers a read with what the store has at hand, if it is a hit: most are, of a store in this
/// process, and need no future. If it is none, says what has been seen, if anything has. `headers` are
/// the request's.
pub(crate) fn at_once<R: Body<Data = Bytes>>(
    shared: &Arc<Shared>,
    read: &mut Read,
    headers: &HeaderMap,
) -> ControlFlow<Response<ResponseBody<R>>, Option<Box<Seen>>> {
    if shared.dirty.covers(&read.names) {
        return ControlFlow::Continue(None);
    }
    match glance(shared, read, headers) {
        Some(Seen { verdict: Verdict::Fresh(entry), at, .. }) => {
            ControlFlow::Break(hit::respond_at(shared, entry, read, Served::Hit, at))
        }
        seen => ControlFlow::Continue(seen.map(Box::new)),
    }
}

/// Answers a read, of which this has been seen already.
pub(crate) async fn read<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    seen: Option<Box<Seen>>,
    origin: Origin<S, B>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    // What is seldom or slow has a future of its own, so that a hit's is small.
    if seen.is_none() && shared.dirty.covers(&read.names) {
        return Box::pin(blind(shared, read, origin, Bypass::Dirty)).await;
    }
    let seen = match seen {
        Some(seen) => Ok(*seen),
        None => examine(&shared, &mut read, origin.headers()).await,
    };
    let Ok(Seen { verdict, snapshot, at }) = seen else {
        return match recall(&shared, &mut read, origin.headers()) {
            Some(entry) => Ok(hit::respond(&shared, entry, &read, Served::Recalled)),
            None => Box::pin(blind(shared, read, origin, Bypass::Store)).await,
        };
    };
    let (entry, served) = match verdict {
        Verdict::Fresh(entry) => {
            return Ok(hit::respond_at(&shared, entry, &read, Served::Hit, at));
        }
        Verdict::Due(entry) => (entry, Served::Hit),
        Verdict::Stale(entry) => (entry, Served::Stale),
        Verdict::Miss { unusable, reason, held } => {
            shared.telemetry.missed();
            read.held = held;
            read.reason = reason;
            if read.is_confined() {
                return Ok(not_cached(&shared, &read.route));
            }
            if read.head {
                return Box::pin(freshen::by_head(shared, read, origin, snapshot)).await;
            }
            if let Some(why) = read.alone {
                return forward_miss(&shared, &read, origin, Some(why.as_str())).await;
            }
            let miss = Miss { snapshot, ignore_entry: unusable, refresh: false };
            return Box::pin(coalesce::answer(shared, read, origin, miss)).await;
        }
    };
    let no_refresh =
        read.wants.as_ref().is_some_and(|wants| wants.only_if_cached || wants.no_store);
    if read.head || no_refresh {
        return Ok(hit::respond(&shared, entry, &read, served));
    }
    read.held = freshen::held_for_refresh(&shared, &read, &entry, snapshot.as_ref());
    let response = hit::respond(&shared, entry, &read, served);
    // The client has its answer; its request goes on as the refresh.
    let early = served == Served::Hit;
    let miss = Miss { snapshot, ignore_entry: early, refresh: true };
    let refresh = coalesce::refresh(Arc::clone(&shared), read, origin, miss);
    shared.work.spawn(refresh.in_current_span());
    Ok(response)
}

/// Answers a read of which nothing can be known: with a run that starts after it asked, and whose
/// response is not stored.
pub(super) async fn blind<S, B>(
    shared: Arc<Shared>,
    mut read: Box<Read>,
    origin: Origin<S, B>,
    why: Bypass,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    shared.telemetry.passed_by();
    if read.is_confined() {
        return Ok(not_cached(&shared, &read.route));
    }
    read.reason = Fwd::Bypass;
    read.passed = Some(why);
    if read.head || read.alone.is_some() {
        return forward_miss(&shared, &read, origin, Some(why.as_str())).await;
    }
    if !shared.settings.coalesce_in_outage || shared.uncacheables.knows(&read.names) {
        return coalesce::own_run(shared, read, origin, why, None).await;
    }
    coalesce::next_run(shared, read, origin, why).await
}

/// Runs the handler for a request whose answer nobody shares, if there is room for a run.
pub(super) async fn forward_miss<S, B>(
    shared: &Shared,
    read: &Read,
    origin: Origin<S, B>,
    detail: Option<&str>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    match capacity::turn(shared).await {
        Turn::Run(_place) => {
            let answer = origin.run_for(shared, &read.route).await;
            let status = answer.as_ref().ok().map(Response::status);
            if let Some(held) = read.held.as_deref()
                && held.on_error
                && has_failed(status)
            {
                let entry = Arc::clone(&held.entry);
                return Ok(hit::respond(shared, entry, read, Served::Failed(status)));
            }
            let answer = answer.inspect_err(|_| status::erred(shared, &read.route));
            let mut response = answer?.map(ResponseBody::pass);
            status::forwarded(shared, read, response.headers_mut(), detail);
            Ok(response)
        }
        Turn::Shed => Ok(shed(shared, read)),
    }
}

/// Whether an answer with this status, or an error, is a failure in the sense of RFC 5861, section 4.
pub(super) fn has_failed(status: Option<StatusCode>) -> bool {
    status.is_none_or(|status| matches!(status.as_u16(), 500 | 502 | 503 | 504))
}

/// What a request gets for whose run there is no room.
pub(super) fn shed<R: Body<Data = Bytes>>(
    shared: &Shared,
    read: &Read,
) -> Response<ResponseBody<R>> {
    match read.held.as_deref().filter(|held| held.on_error) {
        // RFC 5861, section 4.
        Some(held) => hit::respond(shared, Arc::clone(&held.entry), read, Served::Shed),
        None => capacity::shed(shared, &read.route),
    }
}

/// What a request gets that wants what is stored and nothing else, where that can't be had.
pub(super) fn not_cached<R: Body<Data = Bytes>>(
    shared: &Shared,
    route: &CachedRoute,
) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::whole(Bytes::new()));
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    status::not_forwarded(shared, route, response.headers_mut(), "only-if-cached");
    response
}
