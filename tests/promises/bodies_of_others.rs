//! Request bodies that are not axum's, and what `build()` says of routes of other methods.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_response_cache::{
    Cache, CacheBuilder, ConfigError, MemoryStore, On, ReplayBody, Route, Tenant,
};

fn base() -> CacheBuilder {
    Cache::builder(MemoryStore::new()).tenant(Tenant::header("x-gym-id")).same_for_all_users()
}

fn cache() -> Cache {
    let cache = base().route(Route::query_method("/search")).route(Route::post("/search"));
    crate::support::app::patient(cache).build().unwrap()
}

fn ask<B>(method: &str, body: B) -> Request<B> {
    Request::builder().method(method).uri("/search").header("x-gym-id", "4").body(body).unwrap()
}

async fn text<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(
    response: Response<B>,
) -> (String, String) {
    let status = response.headers()["cache-status"].to_str().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_type_that_nobody_replays_goes_past_the_cache() {
    let service = cache().layer().layer(service_fn(async |request: Request<String>| {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(request.into_body()))))
    }));
    for _ in 0..2 {
        for method in ["QUERY", "POST"] {
            let answer = service.clone().oneshot(ask(method, "a".to_owned())).await.unwrap();
            let (status, body) = text(answer).await;
            assert!(status.contains("fwd=bypass; detail=body-type"), "{status}");
            assert_eq!(body, "a");
        }
    }
}

/// Whole, or as the cache has read it.
enum Own {
    Whole(Full<Bytes>),
    Replayed(Box<ReplayBody<Own>>),
}

impl http_body::Body for Own {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => std::pin::Pin::new(body).poll_frame(cx),
            Self::Replayed(body) => std::pin::Pin::new(body).poll_frame(cx),
        }
    }
}

#[tokio::test]
async fn a_type_of_the_apps_own_can_be_replayed() {
    let cache = cache();
    let layer = cache.layer().replay(|body| Own::Replayed(Box::new(body)));
    let service = layer.layer(service_fn(async |request: Request<Own>| {
        let body = request.into_body().collect().await?.to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(body)))
    }));
    for expected in ["fwd=miss", "hit"] {
        let body = Own::Whole(Full::new(Bytes::from_static(b"a")));
        let (status, body) = text(service.clone().oneshot(ask("QUERY", body)).await.unwrap()).await;
        assert!(status.contains(expected), "{status}");
        assert_eq!(body, "a");
        cache.settled().await;
    }
}

type Boxed = UnsyncBoxBody<Bytes, hyper::Error>;

/// A plain hyper server behind a boxed body; answers with what it was asked.
async fn serve(runs: Arc<AtomicUsize>, cache: Cache) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let handler = service_fn(move |request: Request<Boxed>| {
        runs.fetch_add(1, Ordering::SeqCst);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>(Response::new(Full::new(body)))
        }
    });
    let service = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(Boxed::new))
        .layer(cache.layer().replay(Boxed::new))
        .service(handler);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(async move {
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(stream, service)
                    .await;
            });
        }
    });
    address
}

#[tokio::test]
async fn hyper_bodies_are_replayed_once_they_are_boxed() {
    let (runs, cache) = (Arc::new(AtomicUsize::new(0)), cache());
    let address = serve(Arc::clone(&runs), cache.clone()).await;
    let client = reqwest::Client::new();
    let large = "x".repeat(200_000);
    for method in ["QUERY", "POST"] {
        let send = |body: reqwest::Body| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = client.request(method, format!("http://{address}/search"));
            async {
                cache.settled().await;
                let answer = request.header("x-gym-id", "4").body(body).send().await.unwrap();
                let status = answer.headers()["cache-status"].to_str().unwrap().to_owned();
                (status, answer.text().await.unwrap())
            }
        };
        let chunked = |body: &str| {
            let chunks: Vec<_> = body
                .as_bytes()
                .chunks(1000)
                .map(|chunk| Ok::<_, Infallible>(chunk.to_vec()))
                .collect();
            reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
        };
        for (body, expected) in
            [("a", "fwd=miss"), ("a", "hit"), ("b", "fwd=miss"), ("", "fwd=miss")]
        {
            let (status, answer) = send(body.into()).await;
            assert!(status.contains(expected), "{method} {body}: {status}");
            assert_eq!(answer, body);
        }
        let (status, answer) = send(chunked("a")).await;
        assert!(status.contains("hit"), "{status}");
        assert_eq!(answer, "a");
        for body in [chunked(&large), large.clone().into()] {
            let (status, answer) = send(body).await;
            assert!(status.contains("request-too-large"), "{status}");
            assert_eq!(answer, large);
        }
    }
    assert_eq!(runs.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn who_waits_for_100_gets_it_and_who_leaves_midway_leaves_nothing() {
    let (runs, cache) = (Arc::new(AtomicUsize::new(0)), cache());
    let address = serve(Arc::clone(&runs), cache.clone()).await;
    let head = "QUERY /search HTTP/1.1\r\nhost: x\r\nx-gym-id: 4\r\ncontent-length: 4\r\n";
    let mut waits = tokio::net::TcpStream::connect(address).await.unwrap();
    waits.write_all(format!("{head}expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    let mut buffer = vec![0; 1000];
    let read = tokio::time::timeout(Duration::from_secs(10), waits.read(&mut buffer));
    let length = read.await.unwrap().unwrap();
    assert!(buffer[..length].starts_with(b"HTTP/1.1 100"), "{:?}", &buffer[..length]);
    waits.write_all(b"abcd").await.unwrap();
    let length = waits.read(&mut buffer).await.unwrap();
    assert!(buffer[..length].starts_with(b"HTTP/1.1 200"), "{:?}", &buffer[..length]);
    cache.settled().await;
    assert_eq!(cache.stats().stored, 1);

    let mut leaves = tokio::net::TcpStream::connect(address).await.unwrap();
    leaves.write_all(format!("{head}\r\nab").as_bytes()).await.unwrap();
    drop(leaves);
    tokio::time::sleep(Duration::from_millis(100)).await;
    cache.settled().await;
    assert_eq!(cache.stats().stored, 1);
    assert!(format!("{cache:?}").contains("flights: 0"));
}

#[test]
fn build_refuses_what_can_not_be_meant() {
    let search = || base().route(Route::post("/search/{id}"));
    let refusals = [
        (base().route(Route::method(Method::PUT, "/x")), "PUT /x"),
        (base().route(Route::method(Method::HEAD, "/x")), "HEAD /x"),
        (base().route(Route::get("/x").max_request_body(1)), "max_request_body"),
        (base().route(Route::post("/x").max_request_body(1 << 30)), "16 MiB"),
        (base().max_request_body(1 << 30), "16 MiB"),
        (base().request_body_timeout(Duration::ZERO), "request_body_timeout"),
        (base().route(Route::post("/x")).rfc9111(), "9.3.3"),
        (base().route(Route::post("/x").revalidate(Duration::from_secs(1))), "revalidate"),
        (base().route(Route::post("/x")).route(Route::post("/x")), "/x"),
        (search().invalidate(On::post("/search/{other}").tenant()), "POST /search/{other}"),
        // A write that would be taken for a read.
        (search().invalidate(On::post("/search/new").tenant()), "POST /search/new"),
        (search().invalidate(On::post("/{any}/new").tenant()), "POST /{any}/new"),
        (
            base().route(Route::post("/a/{*rest}")).invalidate(On::post("/a/b/c").tenant()),
            "POST /a/b/c",
        ),
    ];
    for (builder, expected) in refusals {
        let error: ConfigError = builder.build().unwrap_err();
        assert!(error.to_string().contains(expected), "{error}: lacks {expected}");
    }
    let accepted = [
        search().route(Route::get("/search/{id}")).route(Route::query_method("/search/{id}")),
        // As in a router, the narrower one wins.
        search().invalidate(On::post("/{*rest}").tenant()),
        search().invalidate(On::post("/search/{id}/x").tenant()),
        search().invalidate(On::post("/other/{id}").tenant()),
        search().invalidate(On::put("/search/{id}").tenant()),
        search()
            .route(Route::post("/search/new").uncached())
            .invalidate(On::post("/search/new").tenant()),
        base().route(Route::query_method("/x")).rfc9111(),
        base()
            .route(Route::get("/x").key("x"))
            .route(Route::post("/y").key("x"))
            .invalidate(On::put("/z").pattern("x")),
    ];
    for builder in accepted {
        builder.build().unwrap();
    }
}
