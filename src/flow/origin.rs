//! The handler behind the layer, with the request that waits for it.

use http::{Request, Response};
use tower_service::Service;

/// An inner service that was polled ready, and the request it was made ready for.
pub(crate) struct Origin<S, B> {
    service: S,
    request: Request<B>,
}

impl<S, B> Origin<S, B> {
    pub(crate) fn new(service: S, request: Request<B>) -> Self {
        Self { service, request }
    }

    /// Runs the handler.
    pub(crate) async fn run<R>(mut self) -> Result<Response<R>, S::Error>
    where
        S: Service<Request<B>, Response = Response<R>>,
    {
        self.service.call(self.request).await
    }
}
