//! What stands before the cache: requests as it wants them, and an answer to every one.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{Either, Full};
use tower::Service;
use tower_response_cache::protocol::strip;

use crate::upstream::{NoAnswer, strip_but_upgrade};

/// Turns a missing answer into 502 or 504: here and not behind the cache, so that the cache learns
/// of the error, and answers with what it has where it may.
#[derive(Clone)]
pub(crate) struct Front<S> {
    inner: S,
}

impl<S> Front<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

type Body<R> = Either<R, Full<Bytes>>;

impl<S, B, R> Service<Request<B>> for Front<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = NoAnswer>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes>,
{
    type Response = Response<Body<R>>;
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAnswer>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if request.method() == Method::CONNECT {
            return Box::pin(async {
                Ok(own(StatusCode::NOT_IMPLEMENTED, "no tunnels to elsewhere"))
            });
        }
        own_fields(&mut request);
        name_host(&mut request);
        if request.version() == Version::HTTP_2 {
            join_cookies(request.headers_mut());
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            Ok(match answer.await {
                Ok(mut response) => {
                    // The cache strips what it stores; this is for what only passed through it.
                    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                        strip(response.headers_mut());
                    }
                    response.map(Either::Left)
                }
                Err(error) => {
                    let cause = error.source().map(tracing::field::display);
                    tracing::warn!(cause, "{error}");
                    let status = match &error {
                        NoAnswer::Failed(_) => StatusCode::BAD_GATEWAY,
                        NoAnswer::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                        NoAnswer::Target => StatusCode::BAD_REQUEST,
                    };
                    own(status, &error.to_string())
                }
            })
        })
    }
}

/// An answer of the proxy's own.
fn own<R>(status: StatusCode, why: &str) -> Response<Body<R>> {
    let mut response = Response::new(Either::Right(Full::from(format!("{why}\n"))));
    *response.status_mut() = status;
    response
}

/// Removes what is for this hop alone before the cache sees it: its keys must hold what the origin
/// will see. A client that has `Connection` name `Accept-Language` would otherwise store the origin's
/// answer to no language as the answer to the one that it names. Host is no option of a connection.
fn own_fields<B>(request: &mut Request<B>) {
    let host = request.headers().get(HOST).cloned();
    strip_but_upgrade(request);
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
}

/// Makes Host what the target says (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1): it is part of
/// the key, and the origin is to see the same.
fn name_host<B>(request: &mut Request<B>) {
    let Some(authority) = request.uri().authority() else { return };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(HOST, host);
        // However it was said, it is one target.
        if let Some(path) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = path.into();
        }
    }
}

/// RFC 9113, section 8.2.3: in HTTP/2 cookies may come one a line, elsewhere in one.
fn join_cookies(headers: &mut HeaderMap) {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if lines.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}
