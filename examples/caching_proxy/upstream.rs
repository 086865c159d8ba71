//! The origin: what stands behind the cache.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONNECTION, DATE, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;
use tower::Service;
use tower_response_cache::protocol::{RequestBypass, bypass_by_request, strip};

use crate::body::Timed;
use crate::tunnel;

/// How long a connection to the origin is kept without a request on it. Shorter than the limits that
/// servers have, or requests would be lost to connections that the origin is just closing.
const IDLE: Duration = Duration::from_secs(2);

/// What a client sends, or what the cache makes of it.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// Passes each request on to the origin, once.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, RequestBody>,
    authority: Authority,
    limit: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The origin could not be reached, closed the connection early, or spoke no HTTP.
    Failed(hyper_util::client::legacy::Error),
    TimedOut,
    /// The request's target is none that can be passed on.
    Target,
}

impl Upstream {
    pub(crate) fn new(authority: Authority, limit: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limit));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            // Another try is made only where nothing of the request was written: the connection
            // from the pool turned out to be closed.
            .retry_canceled_requests(true)
            .build(connector);
        Self { client, authority, limit }
    }
}

impl Service<Request<RequestBody>> for Upstream {
    type Response = Response<Timed<Incoming>>;
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAnswer>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoAnswer>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<RequestBody>) -> Self::Future {
        let Some(uri) = self.uri(request.uri()) else {
            return Box::pin(async { Err(NoAnswer::Target) });
        };
        *request.uri_mut() = uri;
        // Each hop has a version of its own (RFC 9110, section 2.5).
        *request.version_mut() = Version::HTTP_11;
        strip_but_upgrade(&mut request);
        let upgrade =
            request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let answer = self.client.request(request);
        let limit = self.limit;
        Box::pin(async move {
            let answer = timeout(limit, answer).await.map_err(|_| NoAnswer::TimedOut)?;
            let mut response = answer.map_err(NoAnswer::Failed)?;
            *response.version_mut() = Version::HTTP_11;
            match upgrade {
                Some(client) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    tunnel::join(client, hyper::upgrade::on(&mut response));
                }
                _ => date(response.headers_mut()),
            }
            Ok(response.map(|body| Timed::new(body, limit)))
        })
    }
}

impl Upstream {
    /// The target as the origin knows it; `OPTIONS *` stays what it is.
    fn uri(&self, target: &Uri) -> Option<Uri> {
        let path = match target.path_and_query() {
            Some(path) => path.clone(),
            // Of CONNECT, for which the front has an answer of its own.
            None => PathAndQuery::from_static("/"),
        };
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .ok()
    }
}

/// Removes what is for this hop alone (RFC 9110, section 7.6.1), but hands on a wish for another
/// protocol (section 7.8).
pub(crate) fn strip_but_upgrade<B>(request: &mut Request<B>) {
    let bypass = bypass_by_request(request.method(), request.headers());
    let wanted = (bypass == Some(RequestBypass::Upgrade))
        .then(|| request.headers().get(UPGRADE).cloned())
        .flatten();
    let headers = request.headers_mut();
    strip(headers);
    if let Some(protocol) = wanted {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
}

/// Dates a response that is not dated (RFC 9110, section 6.6.1): its age counts from here.
fn date(headers: &mut HeaderMap) {
    #[allow(clippy::disallowed_methods, reason = "it is the day that a field is to say")]
    let now = httpdate::fmt_http_date(SystemTime::now());
    if let Ok(now) = HeaderValue::try_from(now) {
        headers.entry(DATE).or_insert(now);
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(_) => "the origin did not answer",
            Self::TimedOut => "the origin did not answer in time",
            Self::Target => "the request's target can't be passed on",
        })
    }
}

impl Error for NoAnswer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::TimedOut | Self::Target => None,
        }
    }
}
