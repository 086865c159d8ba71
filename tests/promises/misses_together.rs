//! P6, P12, P13, P16: what those who wait for one run get when it fails.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::app::{App, request};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users()
}

/// Runs of a handler that wait to be told their response, in the order in which they began.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<VecDeque<oneshot::Sender<Response<Body>>>>>);

impl Desk {
    fn router(&self) -> Router {
        let desk = self.clone();
        let handler = move || {
            let (reply, told) = oneshot::channel();
            desk.0.lock().push_back(reply);
            async move { told.await.unwrap() }
        };
        Router::new().route("/", get(handler))
    }

    /// The next run, once there is one.
    async fn next(&self) -> oneshot::Sender<Response<Body>> {
        for _ in 0..400 {
            if let Some(run) = self.0.lock().pop_front() {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no run");
    }
}

fn text(text: &'static str) -> Response<Body> {
    Response::new(Body::from(text))
}

fn failure() -> Response<Body> {
    let mut response = text("failed");
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// A body that waits for a word before it fails.
fn breaking() -> (mpsc::UnboundedSender<()>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|word: Option<()>| {
            word.map(|()| Err::<Frame<Bytes>, _>(std::io::Error::other("cut")))
        })
    });
    (sender, Body::new(StreamBody::new(stream)))
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(60)).await;
}

on_each_store! {
    async fn p6_a_fallback_from_before_an_invalidation_is_not_given_to_who_came_after(backend: Backend) {
        let desk = Desk::default();
        let route = Route::get("/")
            .ttl(Duration::from_millis(50))
            .stale_if_error(Duration::from_secs(60));
        let app = App::of(cache(backend.store.clone()).route(route), desk.router());
        let ask = || {
            let app = app.clone();
            tokio::spawn(async move { app.get("4", "/").await })
        };

        let warm = ask();
        desk.next().await.send(text("old")).unwrap();
        assert_eq!(warm.await.unwrap().text(), "old");
        app.cache.settled().await;
        pause().await;

        // Two wait for one run, both with the expired entry in their hands.
        let first = app.clone();
        let first = tokio::spawn(async move { first.open(request(Method::GET, "4", "/")).await });
        let run = desk.next().await;
        let second = ask();
        pause().await;
        app.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
        // The run breaks, so the second looks again, and leads under the new generations.
        let (cut, body) = breaking();
        run.send(Response::new(body)).unwrap();
        let first = first.await.unwrap();
        cut.send(()).unwrap();
        let run = desk.next().await;
        let third = ask();
        pause().await;
        run.send(failure()).unwrap();
        // Whether it shares the failing run or not, it runs on with what is new.
        while !third.is_finished() {
            let next = desk.0.lock().pop_front();
            if let Some(run) = next {
                run.send(failure()).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let third = third.await.unwrap();
        assert_ne!(third.text(), "old", "{third:?}");
        drop((first, second));
    }

    async fn p16_those_who_wait_for_a_body_that_breaks_are_released_together(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                let stream = futures_util::stream::once(async {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Err::<Frame<Bytes>, _>(std::io::Error::other("cut"))
                });
                Response::new(Body::new(StreamBody::new(stream)))
            }
        };
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")),
            Router::new().route("/", get(handler)),
        );
        let began = Instant::now();
        let all = (0..20).map(|_| app.open(request(Method::GET, "4", "/")));
        let all = futures_util::future::join_all(all).await;
        assert_eq!(all.len(), 20);
        // One after the other would take 20 times 100 ms.
        assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
        assert_eq!(runs.load(Ordering::SeqCst), 20);
    }

    async fn p16_a_run_past_its_deadline_is_not_waited_for_again(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                let stream = futures_util::stream::once(async {
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"slow")))
                });
                Response::new(Body::new(StreamBody::new(stream)))
            }
        };
        let app = App::of(
            cache(backend.store.clone())
                .route(Route::get("/"))
                .run_deadline(Duration::from_millis(100)),
            Router::new().route("/", get(handler)),
        );
        let began = Instant::now();
        let all = (0..10).map(|_| app.open(request(Method::GET, "4", "/")));
        let kept = futures_util::future::join_all(all).await;
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
        assert_eq!(runs.load(Ordering::SeqCst), 10);
        drop(kept);
    }

    async fn p12_a_refresh_that_fails_is_not_tried_by_every_request(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move { if run == 0 { text("old") } else { failure() } }
        };
        let route = Route::get("/")
            .ttl(Duration::from_millis(50))
            .stale_while_revalidate(Duration::from_secs(60));
        let app = App::of(
            cache(backend.store.clone()).route(route),
            Router::new().route("/", get(handler)),
        );
        app.get("4", "/").await;
        app.cache.settled().await;
        pause().await;
        for _ in 0..20 {
            assert_eq!(app.get_settled("4", "/").await.text(), "old");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    async fn p14_a_run_for_one_client_alone_ends_with_it(backend: Backend) {
        struct Gone(Arc<AtomicBool>);
        impl Drop for Gone {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let gone = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&gone);
        let handler = move || {
            let guard = Gone(Arc::clone(&mark));
            async move {
                tokio::time::sleep(Duration::from_secs(5)).await;
                drop(guard);
                Response::new(Body::from("x"))
            }
        };
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")).max_waiters(0),
            Router::new().route("/", get(handler)),
        );
        let lead = app.clone();
        let lead = tokio::spawn(async move { lead.get("4", "/").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let alone = app.clone();
        let alone = tokio::spawn(async move { alone.get("4", "/").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        alone.abort();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(gone.load(Ordering::SeqCst));
        lead.abort();
    }

    async fn p12_one_refresh_runs_however_few_may_wait(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move || {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(if run == 0 { 0 } else { 300 })).await;
                text("old")
            }
        };
        let route = Route::get("/")
            .ttl(Duration::from_millis(50))
            .stale_while_revalidate(Duration::from_secs(60));
        let app = App::of(
            cache(backend.store.clone()).route(route).max_waiters(0),
            Router::new().route("/", get(handler)),
        );
        app.get("4", "/").await;
        app.cache.settled().await;
        pause().await;
        for _ in 0..10 {
            assert_eq!(app.get("4", "/").await.text(), "old");
        }
        app.cache.settled().await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    async fn p13_cold_misses_run_once_without_leases_too(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(Duration::from_millis(200)).await;
                "x"
            }
        };
        for leases in [true, false] {
            let cache = cache(backend.store.clone())
                .namespace(if leases { "with" } else { "without" })
                .leases(leases)
                .route(Route::get("/"));
            let app = App::of(cache, Router::new().route("/", get(handler.clone())));
            runs.store(0, Ordering::SeqCst);
            // Nothing is known of this tenant yet, so nobody's look-up finds a generation.
            let all = (0..20).map(|_| app.get("4", "/"));
            for answer in futures_util::future::join_all(all).await {
                assert_eq!(answer.text(), "x");
            }
            assert_eq!(runs.load(Ordering::SeqCst), 1, "leases: {leases}");
        }
    }
}
