//! The attitude of RFC 9111: who shares the answer to another request, and what a client can do to
//! the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::future::join_all;
use tower_response_cache::{Cache, CacheBuilder, On, Route, Store};

use crate::support::app::{Answer, App};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).rfc9111().route(Route::get("/{*path}").tenantless())
}

/// An origin that takes a while, answers with the number of the run, and fails while it is told to.
/// What needs credentials answers 401 without.
#[derive(Clone, Default)]
struct Slow {
    control: &'static str,
    needs_credentials: bool,
    runs: Arc<AtomicUsize>,
    fails: Arc<AtomicUsize>,
}

impl Slow {
    fn new(control: &'static str) -> Self {
        Self { control, ..Self::default() }
    }

    fn router(&self) -> Router {
        let slow = self.clone();
        Router::new().fallback(move |headers: HeaderMap| async move {
            let run = slow.runs.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            if slow.fails.load(Ordering::SeqCst) > 0 {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            let who = headers.get(header::AUTHORIZATION).map_or("", |who| who.to_str().unwrap());
            if slow.needs_credentials && who.is_empty() {
                return StatusCode::UNAUTHORIZED.into_response();
            }
            let fields = [(header::CACHE_CONTROL, slow.control), (header::ETAG, "\"1\"")];
            (fields, format!("{who}{run}")).into_response()
        })
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

fn asking(fields: &[(&'static str, &'static str)]) -> Request<Body> {
    let mut request = Request::get("/a").body(Body::empty()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

/// The answers to these requests, each sent a little after the one before.
async fn together(app: &App, asks: &[&[(&'static str, &'static str)]]) -> Vec<Answer> {
    join_all(asks.iter().enumerate().map(|(index, fields)| async move {
        tokio::time::sleep(Duration::from_millis(10 * index as u64)).await;
        app.send(asking(fields)).await
    }))
    .await
}

on_each_store! {
    async fn what_must_be_validated_first_is_not_shared_with_who_waits(backend: Backend) {
        let slow = Slow {
            needs_credentials: true,
            ..Slow::new("must-revalidate, max-age=0")
        };
        let app = App::of(cache(backend.store.clone()), slow.router());
        // 4.2.4, 3.5: it may be stored, and answers nobody before the origin was asked.
        let answers = together(&app, &[&[("authorization", "me ")], &[], &[]]).await;
        assert_eq!(answers[0].text(), "me 0");
        for other in &answers[1..] {
            assert_eq!(other.status, StatusCode::UNAUTHORIZED, "{other:?}");
        }
        app.cache.settled().await;
        assert_eq!(app.send(asking(&[])).await.status, StatusCode::UNAUTHORIZED);
        // 5.2.2.4, and 5.2.1.4 of the request.
        let rows: [(&str, &[(&str, &str)]); 2] =
            [("no-cache", &[]), ("max-age=100", &[("cache-control", "no-cache")])];
        for (control, fields) in rows {
            let slow = Slow::new(control);
            let builder = cache(backend.another().await).namespace(control.replace('=', "-"));
            let app = App::of(builder, slow.router());
            let answers = together(&app, &[&[], fields, fields]).await;
            let texts: Vec<_> = answers.iter().map(Answer::text).collect();
            assert_eq!(slow.runs(), 3, "{control}: {texts:?}");
        }
    }

    async fn what_is_stale_on_an_error_is_for_those_who_may_have_it(backend: Backend) {
        let slow = Slow::new("max-age=1, stale-if-error=100");
        let app = App::of(cache(backend.store.clone()), slow.router());
        app.send(asking(&[])).await;
        app.cache.settled().await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        slow.fails.store(1, Ordering::SeqCst);
        let demanding: &[(&str, &str)] = &[("cache-control", "no-cache")];
        let answers = together(&app, &[&[], &[], demanding]).await;
        assert_eq!(answers[0].text(), "0");
        // The origin was asked: RFC 9211, section 2.1.
        let status = answers[0].cache_status();
        assert!(status.contains("; fwd=stale; fwd-status=500; ttl=-"), "{status}");
        assert_eq!(answers[1].text(), "0");
        assert!(answers[1].cache_status().contains("; collapsed"), "{:?}", answers[1]);
        assert_eq!(answers[2].status, StatusCode::INTERNAL_SERVER_ERROR);
        // Who asks for a part, or for the head alone, fares no worse.
        app.cache.settled().await;
        let part = app.send(asking(&[("range", "bytes=0-0")])).await;
        assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "0"));
        let mut head = asking(&[]);
        *head.method_mut() = Method::HEAD;
        assert_eq!(app.send(head).await.status, StatusCode::OK);
    }

    async fn who_can_not_share_holds_nobody_up(backend: Backend) {
        for personal in [("authorization", "x"), ("cache-control", "no-store")] {
            let slow = Slow::new("max-age=100");
            let builder = cache(backend.another().await).namespace(personal.0);
            let app = App::of(builder, slow.router());
            // One run for the one, and one for all the others together.
            let personal = [personal];
            let asks: Vec<&[_]> =
                std::iter::once(&personal[..]).chain([&[][..]; 9]).collect();
            together(&app, &asks).await;
            assert_eq!(slow.runs(), 2, "{personal:?}");
            // Nor is it remembered that the key could not be shared.
            app.cache.settled().await;
            app.send(asking(&[])).await.assert_hit();
        }
    }

    async fn who_can_not_share_keeps_nothing_stale(backend: Backend) {
        let slow = Slow::new("max-age=1, stale-while-revalidate=100");
        let app = App::of(cache(backend.store.clone()), slow.router());
        app.send(asking(&[])).await;
        app.cache.settled().await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        for _ in 0..3 {
            app.send(asking(&[("authorization", "x")])).await.assert_hit();
            app.send(asking(&[("cache-control", "no-store")])).await.assert_hit();
            app.send(asking(&[("cache-control", "only-if-cached")])).await.assert_hit();
            app.cache.settled().await;
        }
        app.send(asking(&[])).await.assert_hit();
        app.cache.settled().await;
        let answer = app.send(asking(&[])).await;
        assert!(answer.cache_status().contains("; hit; ttl="), "{answer:?}");
        assert!(!answer.cache_status().contains("ttl=-"), "{answer:?}");
    }

    async fn max_stale_takes_nothing_that_was_invalidated_longer_ago_than_the_window(backend: Backend) {
        let slow = Slow::new("max-age=100, stale-while-revalidate=1");
        let builder = cache(backend.store.clone())
            .invalidate(On::post("/change").subtree("/a").soft().tenantless());
        let app = App::of(builder, slow.router());
        app.send(asking(&[])).await;
        app.cache.settled().await;
        let change = Request::post("/change").body(Body::empty()).unwrap();
        app.send(change).await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        let answer = app.send(asking(&[("cache-control", "max-stale")])).await;
        assert!(!answer.is_hit(), "{answer:?}");
    }

    async fn only_if_cached_never_reaches_the_origin(backend: Backend) {
        let slow = Slow::new("max-age=100");
        let app = App::of(cache(backend.store.clone()), slow.router());
        for more in [("cookie", "a=1"), ("range", "bytes=0-0"), ("if-match", "\"1\"")] {
            let answer = app.send(asking(&[("cache-control", "only-if-cached"), more])).await;
            assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT, "{more:?}");
        }
        assert_eq!(slow.runs(), 0);
    }

    async fn a_304_that_forbids_storing_ends_what_is_stored(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counter = runs.clone();
        let handler = move |headers: HeaderMap| async move {
            counter.fetch_add(1, Ordering::SeqCst);
            if headers.contains_key(header::IF_NONE_MATCH) {
                let fields = [(header::CACHE_CONTROL, "private"), (header::ETAG, "\"1\"")];
                return (StatusCode::NOT_MODIFIED, fields).into_response();
            }
            // The weak form of a tag whose strong form the 304 has confirms it all the same.
            ([(header::CACHE_CONTROL, "max-age=100"), (header::ETAG, "W/\"1\"")], "x").into_response()
        };
        let app = App::of(cache(backend.store.clone()), Router::new().fallback(handler));
        app.send(asking(&[])).await;
        app.cache.settled().await;
        let answer = app.send(asking(&[("cache-control", "no-cache")])).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "x"));
        assert!(answer.cache_status().contains("fwd-status=304"), "{answer:?}");
        app.cache.settled().await;
        assert!(!app.send(asking(&[])).await.is_hit());
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    async fn a_method_that_nobody_knows_closes_nothing(backend: Backend) {
        let slow = Slow::new("max-age=100");
        let builder = cache(backend.store.clone()).hold_after_lost(Duration::from_secs(60));
        let app = App::of(builder, slow.router());
        let lose = async |method: &str| {
            let mut request = asking(&[]);
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            let lost = app.send(request);
            assert!(tokio::time::timeout(Duration::from_millis(20), lost).await.is_err());
            app.cache.settled().await;
            app.send(asking(&[])).await;
            app.cache.settled().await;
            app.send(asking(&[])).await
        };
        lose("FOO").await.assert_hit();
        lose("PUT").await.assert_bypass("fenced");
    }
}

#[tokio::test]
async fn content_that_no_field_announces_is_content() {
    use axum::http::Version;
    use tower_response_cache::MemoryStore;

    let router = Router::new().fallback(async |body: String| body);
    let builder = Cache::builder(MemoryStore::new())
        .route(Route::get("/a").tenantless().same_for_all_users());
    let app = App::of(builder, router);
    let ask = async |version: Version, body: &'static str| {
        let mut request = asking(&[]);
        *request.version_mut() = version;
        *request.body_mut() =
            Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(
                axum::body::Bytes::from_static(body.as_bytes()),
            )]));
        app.send(request).await
    };
    ask(Version::HTTP_2, "evil").await.assert_bypass("content");
    let mut empty = asking(&[]);
    *empty.version_mut() = Version::HTTP_2;
    assert_eq!(app.send(empty).await.text(), "");
    app.cache.settled().await;
    app.send(asking(&[])).await.assert_hit();
}

#[tokio::test]
async fn a_method_that_the_server_does_not_know_has_changed_nothing() {
    use tower_response_cache::MemoryStore;

    let handler = async |method: Method| match method {
        Method::GET => StatusCode::OK,
        _ => StatusCode::NOT_IMPLEMENTED,
    };
    let builder = Cache::builder(MemoryStore::new())
        .route(Route::get("/a").tenantless().same_for_all_users());
    let app = App::of(builder, Router::new().fallback(handler));
    app.send(asking(&[])).await;
    app.cache.settled().await;
    let mut unknown = asking(&[]);
    *unknown.method_mut() = Method::from_bytes(b"FOO").unwrap();
    assert_eq!(app.send(unknown).await.status, StatusCode::NOT_IMPLEMENTED);
    app.send(asking(&[])).await.assert_hit();
}
