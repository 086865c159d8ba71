//! The layer fits wherever a tower layer goes, and costs nothing where it has nothing to do.

mod support;

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use axum::routing::get;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use support::Backend;
use support::app::{App, gym_cache, request};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_response_cache::{Cache, MemoryStore, Route, Tenant};

fn cache() -> Cache {
    Cache::builder(MemoryStore::new())
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/cached"))
        .route(Route::get("/v1/users"))
        .route(Route::get("/v2/users"))
        .route(Route::post("/search"))
        .route(Route::query_method("/search"))
        .build()
        .unwrap()
}

fn ask<B: Default>(target: &str) -> Request<B> {
    Request::get(target).header("x-gym-id", "4").body(B::default()).unwrap()
}

/// A body that may be sent to another thread, but not shared with one.
struct Unshared(Option<Bytes>, PhantomData<Cell<()>>);

impl http_body::Body for Unshared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn it_goes_into_a_service_builder_with_other_layers() {
    let service = ServiceBuilder::new()
        .concurrency_limit(8)
        .layer(cache().layer())
        .timeout(Duration::from_secs(5))
        .service(service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"x"))))
        }));
    let response = service.oneshot(ask("/cached")).await.unwrap();
    assert!(response.headers().contains_key("cache-status"));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
}

#[tokio::test]
async fn it_wraps_bodies_that_are_not_sync() {
    let service = cache().layer().layer(service_fn(async |_: Request<String>| {
        Ok::<_, Infallible>(Response::new(Unshared(Some(Bytes::from_static(b"x")), PhantomData)))
    }));
    for target in ["/cached", "/cached", "/other"] {
        let response = service.clone().oneshot(ask(target)).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "x");
    }
}

#[tokio::test]
async fn the_inner_error_type_is_kept() {
    #[derive(Debug, PartialEq)]
    struct OutOfOrder(u8);
    impl fmt::Display for OutOfOrder {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("out of order")
        }
    }
    let service = cache().layer().layer(service_fn(async |_: Request<String>| {
        Err::<Response<Full<Bytes>>, _>(OutOfOrder(7))
    }));
    for target in ["/cached", "/other"] {
        let error: OutOfOrder = service.clone().oneshot(ask(target)).await.unwrap_err();
        assert_eq!(error, OutOfOrder(7));
    }
}

/// Panics if it is called without having been polled ready.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, calls: Arc::clone(&self.calls) }
    }
}

impl Service<Request<String>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<String>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        self.calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn the_service_that_was_polled_ready_is_the_one_called() {
    let strict = Strict::default();
    let calls = Arc::clone(&strict.calls);
    let mut service = cache().layer().layer(strict);
    for target in ["/other", "/cached", "/cached?x", "/other"] {
        service.ready().await.unwrap().call(ask(target)).await.unwrap();
    }
    let write = Request::put("/cached").header("x-gym-id", "4").body(String::new()).unwrap();
    service.ready().await.unwrap().call(write).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 5);
}

#[tokio::test]
async fn a_request_on_no_configured_route_costs_no_allocation() {
    let inner = service_fn(|_: Request<String>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())))
    });
    let plain = cache().layer();
    let prefixed = cache().layer().prefix("/v1");
    for layer in [plain, prefixed] {
        let mut service = layer.layer(inner);
        let query = Method::from_bytes(b"QUERY").unwrap();
        for method in [Method::GET, Method::PUT, Method::POST, query, Method::OPTIONS] {
            let ask = || {
                let mut request = ask("/other/path?with=query");
                *request.method_mut() = method.clone();
                request
            };
            // Once before, for what a thread sets up once.
            service.call(ask()).await.unwrap();
            let request = ask();
            let mut future = None;
            let counted = allocation_counter::measure(|| future = Some(service.call(request)));
            assert_eq!(counted.count_total, 0, "{method}");
            let mut future = std::pin::pin!(future.unwrap());
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let counted = allocation_counter::measure(|| {
                assert!(future.as_mut().poll(&mut cx).is_ready());
            });
            assert_eq!(counted.count_total, 0, "{method}");
        }
    }
}

#[tokio::test]
async fn nested_routers_keep_their_whole_paths() {
    let calls = Arc::new(AtomicUsize::new(0));
    let users = |version: &'static str| {
        let calls = Arc::clone(&calls);
        Router::new().route(
            "/users",
            get(move || {
                calls.fetch_add(1, Ordering::SeqCst);
                async move { version }
            }),
        )
    };
    // Inside each nested router, where the path has lost its beginning.
    let cache = cache();
    let app = Router::new()
        .nest("/v1", users("one").layer(cache.layer()))
        .nest("/v2", users("two").layer(cache.layer()));
    for _ in 0..2 {
        for (target, expected) in [("/v1/users", "one"), ("/v2/users", "two")] {
            let response = app.clone().oneshot(ask::<Body>(target)).await.unwrap();
            assert!(response.headers().contains_key("cache-status"));
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, expected);
        }
        cache.settled().await;
    }
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_prefix_stands_for_what_another_router_stripped() {
    let cache = cache();
    let echo = service_fn(async |request: Request<String>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(request.uri().path().to_owned()))))
    });
    for (prefix, stored) in [("/v1", true), ("/v2/", true), ("/v3", false)] {
        let service = cache.layer().prefix(prefix).layer(echo);
        let response = service.oneshot(ask("/users")).await.unwrap();
        assert_eq!(response.headers().contains_key("cache-status"), stored, "{prefix}");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "/users");
    }
}

#[tokio::test]
async fn it_answers_over_http_from_a_plain_hyper_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = cache().layer().layer(service_fn(async |_: Request<hyper::body::Incoming>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
    }));
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        hyper::server::conn::http1::Builder::new()
            .serve_connection(
                hyper_util::rt::TokioIo::new(stream),
                hyper_util::service::TowerToHyperService::new(service),
            )
            .await
            .unwrap();
    });
    let client = reqwest::Client::new();
    let mut last = String::new();
    for _ in 0..3 {
        let response = client
            .get(format!("http://{address}/cached"))
            .header("x-gym-id", "4")
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["content-length"], "5");
        last = response.headers()["cache-status"].to_str().unwrap().to_owned();
        assert_eq!(response.text().await.unwrap(), "hello");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(last.contains("; hit"), "{last}");
    let head = client
        .head(format!("http://{address}/cached"))
        .header("x-gym-id", "4")
        .send()
        .await
        .unwrap();
    assert_eq!(head.headers()["content-length"], "5");
    drop(client);
    server.abort();
}

/// The date that a hit tells is when its response was stored. In the second in which it was, something
/// may have been invalidated and stored anew: whoever asks by that date is not told that nothing has changed.
#[tokio::test]
async fn the_date_that_the_cache_adds_is_no_validator() {
    let cache = cache();
    let count = Arc::new(AtomicUsize::new(0));
    let handler = move || {
        let count = Arc::clone(&count);
        async move { count.fetch_add(1, Ordering::Relaxed).to_string() }
    };
    let router = Router::new().route("/cached", get(handler)).layer(cache.layer());
    let send = async |since: Option<&str>| {
        let mut asked = ask::<Body>("/cached");
        if let Some(since) = since {
            asked.headers_mut().insert("if-modified-since", since.parse().unwrap());
        }
        let answer = router.clone().oneshot(asked).await.unwrap();
        cache.settled().await;
        let date = answer.headers().get("date").map(|date| date.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        (status, date, answer.into_body().collect().await.unwrap().to_bytes())
    };
    send(None).await;
    let (_, date, body) = send(None).await;
    let date = date.expect("a hit tells its date");
    assert_eq!(body, "0");
    cache.tenant("4").unwrap().invalidate_all().await.unwrap();
    send(None).await;
    // A minute later by the client's clock, or by that of another instance.
    for since in [&*date, "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let (status, _, body) = send(Some(since)).await;
        assert_eq!((status, &*body), (200, &b"1"[..]), "{since}");
    }
}

#[tokio::test]
async fn one_cache_serves_several_layers() {
    let backend = Backend::memory();
    let cache = gym_cache(backend.store.clone()).build().unwrap();
    let source = support::app::Source::default();
    let apps: Vec<_> = (0..2)
        .map(|_| App {
            cache: cache.clone(),
            router: support::app::gym_routes(source.clone()).layer(cache.layer()),
            source: source.clone(),
        })
        .collect();
    apps[0].get("4", "/users/1").await.assert_miss();
    apps[1].get_settled("4", "/users/1").await.assert_hit();
    assert_eq!(apps[1].send(request(Method::GET, "4", "/users/1")).await.text(), "4/1=");
}
