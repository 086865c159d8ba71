//! The response future: the inner service's own, or the flow of one request through the cache.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::ResponseBody;

type Flow<R, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<R>>, E>> + Send>>;

pin_project! {
    /// The future of [`CacheService`](crate::CacheService).
    ///
    /// Dropping it abandons the client's answer and nothing else: a fill that it began goes on,
    /// and a mutating handler that had begun to run is followed by its invalidation.
    pub struct ResponseFuture<F, R: Body, E> {
        #[pin]
        kind: Kind<F, R, E>,
    }
}

pin_project! {
    #[project = KindProject]
    enum Kind<F, R: Body, E> {
        Pass { #[pin] inner: F },
        Ready { answer: Option<Response<ResponseBody<R>>> },
        Flow { flow: Flow<R, E> },
    }
}

impl<F, R: Body, E> ResponseFuture<F, R, E> {
    pub(crate) fn pass(inner: F) -> Self {
        Self { kind: Kind::Pass { inner } }
    }

    pub(crate) fn ready(answer: Response<ResponseBody<R>>) -> Self {
        Self { kind: Kind::Ready { answer: Some(answer) } }
    }

    pub(crate) fn flow(
        flow: impl Future<Output = Result<Response<ResponseBody<R>>, E>> + Send + 'static,
    ) -> Self {
        Self { kind: Kind::Flow { flow: Box::pin(flow) } }
    }
}

impl<F, R: Body, E> Future for ResponseFuture<F, R, E>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    /// # Panics
    ///
    /// If polled again after it has answered.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProject::Pass { inner } => {
                inner.poll(cx).map(|answer| answer.map(|response| response.map(ResponseBody::pass)))
            }
            KindProject::Ready { answer } => {
                Poll::Ready(Ok(answer.take().expect("polled after completion")))
            }
            KindProject::Flow { flow } => flow.as_mut().poll(cx),
        }
    }
}

impl<F, R: Body, E> fmt::Debug for ResponseFuture<F, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
