//! P18 without the store: who runs the handler, and who waits for whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::sync::{Notify, mpsc};
use tower_response_cache::{Cache, CacheBuilder, RedisStore, Route, Tenant};

use crate::support::app::{App, Source, request};

/// An app whose server was never there.
fn app(change: impl Fn(CacheBuilder) -> CacheBuilder, router: Router) -> App {
    let store = RedisStore::builder("redis://127.0.0.1:1").connect_lazy().unwrap();
    let cache = Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/{id}"));
    let cache = change(cache).build().unwrap();
    App { router: router.layer(cache.layer()), cache, source: Source::default() }
}

/// Waits until so many runs have begun, and answers whether they have.
async fn has_run(app: &App, runs: u64) -> bool {
    let began = Instant::now();
    while app.cache.stats().runs < runs {
        if began.elapsed() > Duration::from_secs(5) {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}

fn ask(app: &App, target: &'static str) -> tokio::task::JoinHandle<crate::support::app::Answer> {
    let app = app.clone();
    tokio::spawn(async move { app.get("4", target).await })
}

/// A handler that answers when it is told to.
fn gated(gate: Arc<Notify>, runs: Arc<AtomicUsize>) -> Router {
    let handler = move || {
        let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
        async move {
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            gate.notified().await;
            format!("run {run}")
        }
    };
    Router::new().route("/{id}", get(handler))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p18_who_asks_during_a_run_shares_the_next_one() {
    let (gate, runs) = (Arc::new(Notify::new()), Arc::default());
    let app = app(|cache| cache, gated(Arc::clone(&gate), Arc::clone(&runs)));
    let first = ask(&app, "/1");
    assert!(has_run(&app, 1).await);
    let others: Vec<_> = (0..20).map(|_| ask(&app, "/1")).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    gate.notify_one();
    assert_eq!(first.await.unwrap().text(), "run 1");
    assert!(has_run(&app, 2).await);
    gate.notify_one();
    for other in others {
        assert_eq!(other.await.unwrap().text(), "run 2");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_its_own_run_lets_the_next_one_begin() {
    let (gate, runs) = (Arc::new(Notify::new()), Arc::default());
    let app = app(|cache| cache, gated(Arc::clone(&gate), Arc::clone(&runs)));
    let first = ask(&app, "/1");
    assert!(has_run(&app, 1).await);
    let second = ask(&app, "/1");
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.abort();
    assert!(has_run(&app, 2).await, "the next run waits for one that is gone");
    gate.notify_one();
    assert_eq!(second.await.unwrap().text(), "run 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_its_deadline_a_run_is_waited_for_no_longer() {
    let (gate, runs) = (Arc::new(Notify::new()), Arc::default());
    let app = app(
        |cache| cache.run_deadline(Duration::from_millis(50)),
        gated(Arc::clone(&gate), Arc::clone(&runs)),
    );
    let asks: Vec<_> = (0..3).map(|_| ask(&app, "/1")).collect();
    assert!(has_run(&app, 3).await, "they queue for runs that hang");
    gate.notify_waiters();
    for ask in asks {
        assert!(ask.await.unwrap().text().starts_with("run "));
    }
}

/// The handler is at work as long as its body comes, whether or not its client reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p18_a_streamed_answer_is_a_run_until_its_end_and_a_slow_client_is_none() {
    let (feeds, mut feed) = mpsc::unbounded_channel();
    let handler = move || {
        let feeds = feeds.clone();
        async move {
            let (chunks, mut chunk) = mpsc::unbounded_channel::<Bytes>();
            feeds.send(chunks).unwrap();
            let stream = futures_util::stream::poll_fn(move |cx| {
                chunk.poll_recv(cx).map(|chunk| chunk.map(Ok::<_, std::convert::Infallible>))
            });
            Body::from_stream(stream)
        }
    };
    let app = app(|cache| cache, Router::new().route("/{id}", get(handler)));
    // It reads nothing yet.
    let slow = app.open(request(Method::GET, "4", "/1")).await;
    let first = feed.recv().await.unwrap();
    first.send("one ".into()).unwrap();
    let second = ask(&app, "/1");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(app.cache.stats().runs, 1, "the first run is not over");
    first.send("two".into()).unwrap();
    drop(first);
    let next = feed.recv().await.unwrap();
    next.send("three".into()).unwrap();
    drop(next);
    assert_eq!(second.await.unwrap().text(), "three");
    assert_eq!(slow.into_body().collect().await.unwrap().to_bytes(), "one two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_on_runs_holds_without_the_store_too() {
    let (gate, runs) = (Arc::new(Notify::new()), Arc::default());
    let app = app(
        |cache| cache.max_runs(1).run_queue_timeout(Duration::from_millis(50)).shed_load(),
        gated(Arc::clone(&gate), runs),
    );
    let first = ask(&app, "/1");
    assert!(has_run(&app, 1).await);
    assert_eq!(app.get("4", "/2").await.status, StatusCode::SERVICE_UNAVAILABLE);
    gate.notify_one();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    let third = ask(&app, "/3");
    gate.notify_one();
    assert_eq!(third.await.unwrap().status, StatusCode::OK);
}

/// Answers that cannot be shared are not waited for one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_shared_is_run_side_by_side() {
    let handler = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        ([("cache-control", "no-store")], "mine")
    };
    let app = app(|cache| cache, Router::new().route("/{id}", get(handler)));
    let began = Instant::now();
    let asks: Vec<_> = (0..20).map(|_| ask(&app, "/1")).collect();
    for ask in asks {
        assert_eq!(ask.await.unwrap().text(), "mine");
    }
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}
