//! P18: how many handlers run for misses at once can be bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tower_response_cache::{Cache, CacheBuilder, ConfigError, MemoryStore, Route, Store, Tenant};

use crate::support::app::{App, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users().route(
        Route::get("/{id}").ttl(Duration::from_millis(50)).stale_if_error(Duration::from_secs(60)),
    )
}

/// A handler that answers once it is let, and how many of it there are, at present and at most.
#[derive(Clone)]
struct Gate {
    leave: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    runs: Arc<AtomicUsize>,
}

/// One that runs, until it is dropped.
struct Running(Gate);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    fn new() -> Self {
        let leave = Arc::new(Semaphore::new(0));
        Self { leave, running: Arc::default(), most: Arc::default(), runs: Arc::default() }
    }

    fn open(&self) {
        self.leave.add_permits(1000);
    }

    fn shut(&self) {
        self.leave.forget_permits(usize::MAX);
    }

    async fn pass(&self) -> usize {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        let _running = Running(self.clone());
        self.most.fetch_max(running, Ordering::SeqCst);
        self.leave.acquire().await.unwrap().forget();
        self.runs.fetch_add(1, Ordering::SeqCst)
    }

    async fn until_running(&self, count: usize) {
        while self.running.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn router(&self) -> Router {
        let gate = self.clone();
        let cached = move |Path(id): Path<String>, headers: HeaderMap| async move {
            let run = gate.pass().await;
            let ranged = headers.contains_key(header::RANGE);
            format!("{id} {run} {ranged}").into_response()
        };
        let gate = self.clone();
        let other = move || async move { gate.pass().await.to_string() };
        Router::new().route("/{id}", get(cached)).route("/not/cached", get(other))
    }
}

on_each_store! {
    async fn no_more_run_than_may(backend: Backend) {
        let gate = Gate::new();
        let builder = cache(backend.store.clone()).max_runs(2).run_queue_timeout(Duration::from_secs(60));
        let app = App::of(builder, gate.router());
        let asks = join_all((0..20).map(|id| {
            let app = &app;
            async move { app.get("4", &format!("/{id}")).await }
        }));
        let (answers, ()) = tokio::join!(asks, async {
            gate.until_running(2).await;
            // What is not cached is not counted.
            let (other, ()) = tokio::join!(app.get("4", "/not/cached"), async {
                gate.until_running(3).await;
                gate.most.store(0, Ordering::SeqCst);
                gate.open();
            });
            assert_eq!(other.status, StatusCode::OK);
        });
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        assert!(gate.most.load(Ordering::SeqCst) <= 3);
        assert_eq!(app.cache.stats().over_capacity, 0);
    }

    async fn who_has_waited_long_enough_runs_all_the_same(backend: Backend) {
        let gate = Gate::new();
        let builder = cache(backend.store.clone()).max_runs(1).run_queue_timeout(Duration::from_millis(20));
        let app = App::of(builder, gate.router());
        let (one, two, ()) = tokio::join!(app.get("4", "/1"), app.get("4", "/2"), async {
            gate.until_running(2).await;
            gate.open();
        });
        assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
        assert_eq!(app.cache.stats().over_capacity, 1);
    }

    async fn load_is_shed_from_all_who_wait_together(backend: Backend) {
        let gate = Gate::new();
        let builder = cache(backend.store.clone())
            .max_runs(1)
            .run_queue_timeout(Duration::from_millis(300))
            .shed_load();
        let app = App::of(builder, gate.router());
        let ((), ()) = tokio::join!(
            async { assert_eq!(app.get("4", "/1").await.status, StatusCode::OK) },
            async {
                gate.until_running(1).await;
                let began = Instant::now();
                let asks = join_all((0..10).map(|_| app.get("4", "/2")));
                let ranged = {
                    let mut request = request(Method::GET, "4", "/3");
                    request.headers_mut().insert(header::RANGE, "bytes=0-1".parse().unwrap());
                    app.send(request)
                };
                let head = app.send(request(Method::HEAD, "4", "/4"));
                let (mut answers, ranged, head) = tokio::join!(asks, ranged, head);
                answers.extend([ranged, head]);
                for answer in answers {
                    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
                    assert_eq!(answer.cache_status(), "response-cache; detail=over-capacity");
                }
                // Not one after the other.
                assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
                assert_eq!(gate.running.load(Ordering::SeqCst), 1);
                gate.open();
            },
        );
        // Nothing is remembered of it.
        assert_eq!(app.get_settled("4", "/2").await.status, StatusCode::OK);
        assert_eq!(gate.most.load(Ordering::SeqCst), 1);
    }

    async fn what_is_stale_is_better_than_nothing(backend: Backend) {
        let gate = Gate::new();
        let builder = cache(backend.store.clone())
            .max_runs(1)
            .run_queue_timeout(Duration::from_millis(20))
            .shed_load();
        let app = App::of(builder, gate.router());
        gate.open();
        app.get("4", "/old").await;
        app.cache.settled().await;
        gate.shut();
        tokio::time::sleep(Duration::from_millis(60)).await;
        let (_, ()) = tokio::join!(app.get("4", "/new"), async {
            gate.until_running(1).await;
            let answer = app.get("4", "/old").await;
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "old 0 false"));
            gate.open();
        });
    }

    async fn a_client_who_leaves_gives_its_place_back(backend: Backend) {
        let gate = Gate::new();
        let builder = cache(backend.store.clone()).max_runs(1).run_queue_timeout(Duration::from_secs(60));
        let app = App::of(builder, gate.router());
        let ask = |range: &'static str| {
            let mut request = request(Method::GET, "4", "/1");
            request.headers_mut().insert(header::RANGE, range.parse().unwrap());
            app.send(request)
        };
        {
            let (first, second) = (ask("bytes=0-1"), ask("bytes=0-2"));
            tokio::select! {
                _ = first => unreachable!(),
                _ = second => unreachable!(),
                () = gate.until_running(1) => {}
            }
        }
        gate.open();
        assert_eq!(ask("bytes=0-3").await.status, StatusCode::OK);
        assert_eq!(gate.most.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_bound_that_makes_no_sense_is_a_mistake() {
    let builder = || Cache::builder(MemoryStore::new());
    let is_out_of_range =
        |builder: CacheBuilder| matches!(builder.build(), Err(ConfigError::OutOfRange { .. }));
    assert!(is_out_of_range(builder().max_runs(0)));
    assert!(is_out_of_range(builder().max_runs(usize::MAX)));
    assert!(is_out_of_range(builder().max_runs(1).run_queue_timeout(Duration::ZERO)));
    assert!(matches!(builder().shed_load().build(), Err(ConfigError::Contradiction { .. })));
}
