//! The handler behind the layer, with the request that waits for it.

use std::future::poll_fn;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::matching::{Handled, Mark};
use super::shared::Shared;
use crate::policy::CachedRoute;

/// What a service must be for its handler to run on a task of its own.
pub(crate) trait Handler<B>:
    Service<
        Request<B>,
        Response = Response<<Self as Handler<B>>::Body>,
        Error: Send + 'static,
        Future: Send + 'static,
    > + Clone
    + Send
    + 'static
{
    type Body: Body<Data = Bytes, Error: Send + 'static> + Send + 'static;
}

impl<S, B, R> Handler<B> for S
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    type Body = R;
}

/// What a flow answers a request with.
pub(crate) type Answer<S, B> = Result<
    Response<crate::body::ResponseBody<<S as Handler<B>>::Body>>,
    <S as Service<Request<B>>>::Error,
>;

/// An inner service that was polled ready, and the request it was made ready for.
pub(crate) struct Origin<S, B> {
    service: S,
    request: Request<B>,
    /// Which cache reads for the request, if one does.
    mark: Option<Mark>,
    is_resting: bool,
}

impl<S: Handler<B>, B> Origin<S, B> {
    /// `mark` is that of a cache that reads: a layer of the same one further in must not.
    pub(crate) fn new(service: S, request: Request<B>, mark: Option<Mark>) -> Self {
        Self { service, request, mark, is_resting: false }
    }

    /// The request's headers, as the client sent them.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The service, its request, and which cache reads for it.
    pub(crate) fn into_parts(self) -> (S, Request<B>, Option<Mark>) {
        (self.service, self.request, self.mark)
    }

    /// The request, to be changed before the handler sees it.
    pub(crate) fn request_mut(&mut self) -> &mut Request<B> {
        &mut self.request
    }

    /// Runs the handler, once it is ready.
    pub(crate) async fn run(mut self) -> Result<Response<S::Body>, S::Error> {
        // It is, but for those who have rested; to ask again costs the others nothing.
        poll_fn(|cx| self.service.poll_ready(cx)).await?;
        if let Some(mark) = self.mark {
            Handled::mark(mark, self.request.extensions_mut());
        }
        self.service.call(self.request).await
    }

    /// The same, on a cached route.
    pub(crate) async fn run_for(
        self,
        shared: &Shared,
        route: &CachedRoute,
    ) -> Result<Response<S::Body>, S::Error> {
        let began = Instant::now();
        let answer = self.run().await;
        shared.telemetry.handled(&route.telemetry, began.elapsed());
        answer
    }
}

/// A request that may have to wait for the run of another.
pub(crate) trait Waiting: Send {
    /// Its headers, as the client sent them.
    fn headers(&self) -> &HeaderMap;

    /// Gives back what makes the service ready, such as a permit of a concurrency limit: that is
    /// for who runs, not for who waits.
    fn rest(&mut self);
}

impl<S: Handler<B>, B: Send> Waiting for Origin<S, B> {
    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    fn rest(&mut self) {
        if !std::mem::replace(&mut self.is_resting, true) {
            // A clone is not ready, whatever it is a clone of.
            self.service = self.service.clone();
        }
    }
}
