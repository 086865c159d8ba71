//! How many runs of the handler may be under way for misses, where that is bounded.
//!
//! A run of a shared answer counts from before the handler is called until its body has come; any
//! other until its head has.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::shared::{Settings, Shared};
use super::status;
use crate::body::ResponseBody;
use crate::policy::CachedRoute;

/// The room for runs.
pub(crate) struct Capacity {
    /// `None` if there is no bound.
    places: Option<Arc<Semaphore>>,
    queue_timeout: Duration,
    shed: bool,
}

/// What a run gets.
pub(crate) enum Turn {
    /// It may call the handler. The place is given back when this is dropped.
    Run(Option<OwnedSemaphorePermit>),
    /// It must not.
    Shed,
}

impl Capacity {
    pub(crate) fn new(settings: &Settings) -> Self {
        let places = settings.max_runs.map(|most| Arc::new(Semaphore::new(most)));
        Self { places, queue_timeout: settings.run_queue_timeout, shed: settings.shed_load }
    }
}

/// Waits for a place, in the order of coming.
///
/// # Dropping
///
/// Gives the place in the queue up.
pub(crate) async fn turn(shared: &Shared) -> Turn {
    let capacity = &shared.capacity;
    let Some(places) = &capacity.places else { return Turn::Run(None) };
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Turn::Run(Some(place));
    }
    let queued = tokio::time::timeout(capacity.queue_timeout, Arc::clone(places).acquire_owned());
    if let Ok(Ok(place)) = queued.await {
        return Turn::Run(Some(place));
    }
    shared.telemetry.over_capacity();
    if capacity.shed { Turn::Shed } else { Turn::Run(None) }
}

/// What a request gets for which there is no room: 503, and when to come again (RFC 9110, section
/// 15.6.4).
pub(crate) fn shed<R: Body<Data = Bytes>>(
    shared: &Shared,
    route: &CachedRoute,
) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::whole(Bytes::new()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let seconds = shared.capacity.queue_timeout.as_secs().max(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    status::not_forwarded(shared, route, response.headers_mut(), "over-capacity");
    response
}
