//! P12: stale on purpose, and never what a hard invalidation has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::app::{Answer, App, request};
use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use tower_response_cache::{Cache, CacheBuilder, On, Route, Scope, Store, Tenant};

const TTL: Duration = Duration::from_millis(200);
const WINDOW: Duration = Duration::from_secs(60);

/// A handler that counts, waits 100 ms, and fails while `broken`.
#[derive(Clone, Default)]
struct Origin {
    runs: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
}

impl Origin {
    fn app(&self, builder: CacheBuilder) -> App {
        let origin = self.clone();
        let handler = move || {
            let origin = origin.clone();
            async move {
                let run = origin.runs.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                if origin.broken.load(Ordering::SeqCst) {
                    return (StatusCode::BAD_GATEWAY, "broken".to_owned());
                }
                (StatusCode::OK, format!("run {run}"))
            }
        };
        let router = Router::new()
            .route("/", get(handler))
            .route("/soft", post(|| async {}))
            .route("/hard", post(|| async {}));
        App::of(builder, router)
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

fn builder(store: Arc<dyn Store>, route: Route) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .uncacheable_memory(Duration::ZERO)
        .route(route)
        .invalidate(On::post("/soft").path("/").soft())
        .invalidate(On::post("/hard").path("/"))
}

/// Fresh hits say how long they stay so; stale ones how long they have been so.
fn is_stale_hit(answer: &Answer) -> bool {
    answer.is_hit() && answer.cache_status().contains("; ttl=-")
}

async fn post_to(app: &App, target: &str) {
    assert_eq!(app.send(request(Method::POST, "4", target)).await.status, StatusCode::OK);
}

on_each_store! {
    async fn after_its_ttl_a_response_is_served_stale_while_one_refresh_runs(backend: Backend) {
        let origin = Origin::default();
        let route = || Route::get("/").ttl(TTL).stale_while_revalidate(WINDOW);
        let one = origin.app(builder(backend.store.clone(), route()));
        let other = origin.app(builder(backend.another().await, route()));
        one.get("4", "/").await;
        one.get_settled("4", "/").await.assert_hit();
        tokio::time::sleep(TTL + Duration::from_millis(50)).await;
        let began = Instant::now();
        for app in [&one, &other, &one, &other, &one, &other] {
            let stale = app.get("4", "/").await;
            assert!(is_stale_hit(&stale), "{stale:?}");
            assert_eq!(stale.text(), "run 0");
        }
        assert!(began.elapsed() < Duration::from_millis(90), "nobody waits for the refresh");
        one.cache.settled().await;
        other.cache.settled().await;
        assert_eq!(origin.runs(), 2, "one refresh for both instances");
        let fresh = one.get("4", "/").await;
        assert_eq!(fresh.text(), "run 1");
        assert!(!is_stale_hit(&fresh));
    }

    async fn a_soft_invalidation_serves_stale_and_a_hard_one_does_not(backend: Backend) {
        let origin = Origin::default();
        let route = Route::get("/").ttl(WINDOW).stale_while_revalidate(WINDOW);
        let app = origin.app(builder(backend.store.clone(), route));
        app.warm("4", "/").await;
        post_to(&app, "/soft").await;
        let stale = app.get("4", "/").await;
        assert!(is_stale_hit(&stale), "{stale:?}");
        assert_eq!(stale.text(), "run 0");
        assert_eq!(app.get_settled("4", "/").await.text(), "run 1");

        app.cache.tenant("4").unwrap().soften(&Scope::path("/")).await.unwrap();
        post_to(&app, "/hard").await;
        let hard = app.get("4", "/").await;
        hard.assert_miss();
        assert_eq!(hard.text(), "run 2");
        app.cache.settled().await;
        // And a soft one after a hard one revives nothing.
        post_to(&app, "/hard").await;
        post_to(&app, "/soft").await;
        app.get("4", "/").await.assert_miss();
    }

    async fn without_a_window_a_soft_invalidation_is_a_miss(backend: Backend) {
        let origin = Origin::default();
        let app = origin.app(builder(backend.store.clone(), Route::get("/").ttl(WINDOW)));
        app.warm("4", "/").await;
        post_to(&app, "/soft").await;
        app.get("4", "/").await.assert_miss();
    }

    async fn a_refresh_that_a_hard_invalidation_overtakes_is_not_stored(backend: Backend) {
        let origin = Origin::default();
        let route = Route::get("/").ttl(TTL).stale_while_revalidate(WINDOW);
        let app = origin.app(builder(backend.store.clone(), route));
        app.get("4", "/").await;
        app.cache.settled().await;
        tokio::time::sleep(TTL).await;
        assert!(is_stale_hit(&app.get("4", "/").await));
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(origin.runs(), 2, "the refresh is under way");
        post_to(&app, "/hard").await;
        let after = app.get("4", "/").await;
        assert_eq!(after.text(), "run 2", "neither the old entry nor the refresh: {after:?}");
        assert_eq!(app.get_settled("4", "/").await.text(), "run 2");
    }

    async fn a_failing_handler_is_stood_in_for_within_the_window(backend: Backend) {
        let origin = Origin::default();
        let route = || Route::get("/").ttl(TTL).stale_if_error(WINDOW);
        let app = origin.app(builder(backend.store.clone(), route()));
        app.get("4", "/").await;
        app.cache.settled().await;
        tokio::time::sleep(TTL).await;
        origin.broken.store(true, Ordering::SeqCst);
        let runs = origin.runs();
        let answers = futures_util::future::join_all((0..10).map(|_| app.get("4", "/"))).await;
        for answer in &answers {
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "run 0"));
        }
        assert_eq!(origin.runs(), runs + 1, "one attempt for all");
        // Hard invalidation leaves nothing to stand in.
        post_to(&app, "/hard").await;
        assert_eq!(app.get("4", "/").await.status, StatusCode::BAD_GATEWAY);
        origin.broken.store(false, Ordering::SeqCst);
        assert_eq!(app.get("4", "/").await.status, StatusCode::OK);
    }

    async fn a_refresh_comes_early_when_the_handler_is_slow_and_the_end_near(backend: Backend) {
        let origin = Origin::default();
        // The handler takes 100 ms: with this eagerness any request in the last seconds refreshes.
        let route = Route::get("/").ttl(Duration::from_secs(5)).early_refresh(100.0);
        let app = origin.app(builder(backend.store.clone(), route));
        app.get("4", "/").await;
        app.cache.settled().await;
        let mut refreshed = false;
        for _ in 0..40 {
            let hit = app.get_settled("4", "/").await;
            hit.assert_hit();
            assert!(!is_stale_hit(&hit), "early is not stale: {hit:?}");
            refreshed |= hit.text() != "run 0";
        }
        assert!(refreshed);
    }
}
