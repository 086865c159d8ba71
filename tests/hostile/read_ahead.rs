//! The bound on what all runs together read ahead of clients that do not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::future::join_all;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

use crate::support::app::{App, request};

const CHUNK: usize = 8 << 10;
const CHUNKS: usize = 8;
const BODY: usize = CHUNK * CHUNKS;

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/{id}"))
}

/// A body in chunks, of no announced length.
async fn handler() -> Response<Body> {
    let chunk = |number: usize| {
        let byte = u8::try_from(number).unwrap();
        Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![byte; CHUNK])))
    };
    let chunks = futures_util::stream::iter((0..CHUNKS).map(chunk));
    Response::new(Body::new(StreamBody::new(chunks)))
}

fn app(builder: CacheBuilder) -> App {
    App::of(builder, Router::new().route("/{id}", get(handler)))
}

async fn open(app: &App, id: usize) -> Response<Body> {
    app.open(request(Method::GET, "4", &format!("/{id}"))).await
}

async fn is_whole(response: Response<Body>) -> bool {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    body.len() == BODY && body.chunks(CHUNK).enumerate().all(|(n, chunk)| chunk[0] as usize == n)
}

async fn until(app: &App, expected: usize) {
    let began = Instant::now();
    while app.cache.stats().read_ahead != expected {
        let held = app.cache.stats().read_ahead;
        assert!(began.elapsed() < Duration::from_secs(10), "{held} and not {expected}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

on_each_store! {
    async fn slow_clients_together_hold_no_more_than_the_bound(backend: Backend) {
        const MOST: usize = 3 * BODY;
        let app = app(cache(backend.store.clone()).max_read_ahead(MOST));
        let responses = join_all((0..20).map(|id| open(&app, id))).await;
        app.cache.settled().await;
        let stats = app.cache.stats();
        // Each run may go over it by the frame that it has in its hands.
        assert!(stats.read_ahead <= MOST + 20 * CHUNK, "{stats:?}");
        assert!(stats.read_ahead >= MOST, "{stats:?}");
        assert_eq!(stats.stored + stats.over_read_ahead, 20, "{stats:?}");
        assert!((1..=3).contains(&stats.stored), "{stats:?}");
        for whole in join_all(responses.into_iter().map(is_whole)).await {
            assert!(whole, "what was not stored comes all the same");
        }
        until(&app, 0).await;
        // Nothing is remembered of it.
        for id in 0..20 {
            assert!(is_whole(open(&app, id).await).await);
            app.get_settled("4", &format!("/{id}")).await.assert_hit();
        }
    }

    async fn what_a_client_has_read_or_left_does_not_count(backend: Backend) {
        let app = app(cache(backend.store.clone()).max_read_ahead(10 * BODY));
        let mut first = open(&app, 1).await;
        let second = open(&app, 2).await;
        app.cache.settled().await;
        assert_eq!(app.cache.stats().read_ahead, 2 * BODY);
        first.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(app.cache.stats().read_ahead, 2 * BODY - CHUNK);
        drop(second);
        assert_eq!(app.cache.stats().read_ahead, BODY - CHUNK);
        drop(first);
        assert_eq!(app.cache.stats().read_ahead, 0);
        assert_eq!(app.cache.stats().over_read_ahead, 0);
        app.get("4", "/1").await.assert_hit();
    }

    async fn a_client_that_leaves_at_once_leaves_nothing_behind(backend: Backend) {
        let app = app(cache(backend.store.clone()));
        for id in 0..20 {
            drop(open(&app, id).await);
        }
        app.cache.settled().await;
        assert_eq!(app.cache.stats().read_ahead, 0);
        app.get("4", "/19").await.assert_hit();
    }

    async fn a_body_over_its_own_limit_is_let_go_of(backend: Backend) {
        let app = app(cache(backend.store.clone()).max_body(3 * CHUNK));
        let response = open(&app, 1).await;
        app.cache.settled().await;
        assert_eq!(app.cache.stats().read_ahead, 4 * CHUNK);
        assert!(is_whole(response).await);
        assert_eq!(app.cache.stats().read_ahead, 0);
    }
}

/// Where nothing is stored, a run reads ahead for the sake of those who wait for it to end.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_past_the_store_count_too() {
    let mut backend = crate::support::Backend::redis().await;
    let app = app(cache(backend.store.clone()).max_read_ahead(2 * BODY));
    backend.server.as_mut().unwrap().stop();
    let responses = join_all((0..10).map(|id| open(&app, id))).await;
    app.cache.settled().await;
    let stats = app.cache.stats();
    assert!(stats.read_ahead <= 2 * BODY + 10 * CHUNK, "{stats:?}");
    assert!(stats.over_read_ahead >= 7, "{stats:?}");
    assert!(join_all(responses.into_iter().map(is_whole)).await.into_iter().all(|whole| whole));
    assert_eq!(app.cache.stats().read_ahead, 0);
}
