//! The service: decides in `call` which way a request goes.

use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Version};
use http_body::Body;
use tower_service::Service;
use tracing::Instrument;

use crate::body::ResponseBody;
use crate::cache::Cache;
use crate::flow::{self, Admission, Mark, Origin};
use crate::future::ResponseFuture;
use crate::replay::Replayers;

/// A service that answers from the cache, and from `S` where it can't.
///
/// Made by [`CacheLayer`](crate::CacheLayer). `S` is cloned only for requests on configured routes,
/// and the instance that was polled ready is the one that is called.
///
/// On a cached route that misses, the inner service runs on a task of its own, so that a client
/// who leaves takes nothing from the others who wait for the same answer. This needs the tokio
/// runtime, and a service whose future is `Send`. Where nobody can share the answer, as mostly without
/// the store, it runs where it is called.
#[derive(Clone, Debug)]
pub struct CacheService<S> {
    inner: S,
    setup: Arc<Setup>,
}

/// What all services of a layer have in common: behind one pointer, since routers clone them for each
/// request.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) cache: Cache,
    pub(crate) prefix: Option<Box<str>>,
    pub(crate) replayers: Replayers,
}

impl<S> CacheService<S> {
    pub(crate) fn new(inner: S, setup: Arc<Setup>) -> Self {
        Self { inner, setup }
    }
}

impl<S, B, R> Service<Request<B>> for CacheService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body + Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Send + 'static,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.setup.cache.shared();
        let prefix = self.setup.prefix.as_deref();
        let Some(matched) = flow::match_route(shared, &request, prefix) else {
            return ResponseFuture::pass(self.inner.call(request));
        };
        let (mut parts, body) = request.into_parts();
        let mut admission =
            flow::admit(shared, &parts, has_content(&parts, &body), prefix, matched);
        let span = admission.span();
        let mark = admission.route().map(|route| {
            // Now that the tenant and the key have been read. Variants are told apart by what is left.
            route.removed.remove_from(&mut parts.headers);
            Mark::of(shared)
        });
        let mut seen = None;
        if let Admission::Read(read) = &mut admission {
            let mut at_once = || flow::at_once(shared, read, &parts.headers);
            // Cheaper than to enter one that nobody sees.
            let answered = if span.is_disabled() { at_once() } else { span.in_scope(at_once) };
            match answered {
                ControlFlow::Continue(known) => seen = known,
                ControlFlow::Break(response) => {
                    // Nobody calls the instance that was polled ready: whatever makes it so is given
                    // back.
                    self.inner = self.inner.clone();
                    return ResponseFuture::ready(response);
                }
            }
        }
        let request = Request::from_parts(parts, body);
        let shared = Arc::clone(shared);
        // The instance that was polled ready is the one to call; its clone takes its place.
        let clone = self.inner.clone();
        let origin = Origin::new(mem::replace(&mut self.inner, clone), request, mark);
        match admission {
            Admission::Read(read) => {
                let read = Box::new(read);
                ResponseFuture::flow(flow::read(shared, read, seen, origin).instrument(span))
            }
            Admission::Content(read) => {
                let replayer = self.setup.replayers.of::<B>();
                let flow = flow::read_content(shared, read, replayer, origin);
                ResponseFuture::flow(flow.instrument(span))
            }
            Admission::Write(write) => {
                ResponseFuture::flow(flow::write(shared, write, origin).instrument(span))
            }
            Admission::Bypass(passed) => {
                ResponseFuture::flow(flow::bypass(shared, passed, origin).instrument(span))
            }
        }
    }
}

/// Whether a request has content that its fields need not announce: from HTTP/2 on frames say where
/// it ends (RFC 9113, section 8.1).
fn has_content(parts: &Parts, body: &impl Body) -> bool {
    parts.version >= Version::HTTP_2 && !body.is_end_stream() && body.size_hint().exact() != Some(0)
}
