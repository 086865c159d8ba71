//! `Cache::route_stats`: each request is in exactly one count.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use axum::routing::get;
use tower::{Layer, ServiceExt, service_fn};
use tower_response_cache::{Cache, MemoryStore, Route, RouteStats, Tenant};

use crate::script;
use crate::support::Backend;
use crate::support::app::{App, request};

fn of(cache: &Cache, template: &str) -> RouteStats {
    let found = cache.route_stats().into_iter().find(|route| &*route.template == template);
    found.unwrap_or_else(|| panic!("no route {template}"))
}

async fn every_outcome_is_counted_once(backend: Backend) {
    let app = App::of(script::builder(backend.store.clone()), script::handlers());
    for expected in script::run(&app).await {
        let stats = of(&app.cache, expected.route);
        assert_eq!(stats.method, Method::GET);
        assert_eq!(script::outcomes(&stats), expected.outcomes, "{stats:?}");
        assert_eq!(stats.stored, expected.stored, "{stats:?}");
        assert_eq!(stats.runs, expected.runs, "{stats:?}");
        let sum = |counts: &[(_, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        assert_eq!(stats.uncacheable, sum(&expected.uncacheable), "{stats:?}");
        assert_eq!(stats.bypasses, sum(&expected.bypasses), "{stats:?}");
        assert_eq!(stats.requests(), sum(&expected.outcomes), "{stats:?}");
        assert_eq!(stats.handler_time.is_zero(), expected.runs == 0, "{stats:?}");
    }
}

#[tokio::test]
async fn every_outcome_is_counted_once_in_memory() {
    every_outcome_is_counted_once(Backend::memory()).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn every_outcome_is_counted_once_in_redis() {
    every_outcome_is_counted_once(Backend::redis().await).await;
}

#[tokio::test]
async fn what_is_saved_is_the_time_of_the_handler_for_each_hit() {
    let pause = Duration::from_millis(40);
    let handler = move || async move {
        tokio::time::sleep(pause).await;
        "slow"
    };
    let cache = Cache::builder(MemoryStore::new())
        .route(Route::get("/slow").tenantless().same_for_all_users());
    let app = App::of(cache, Router::new().route("/slow", get(handler)));
    app.get("4", "/slow").await;
    assert_eq!(of(&app.cache, "/slow").saved_time, Duration::ZERO);
    for _ in 0..5 {
        app.get_settled("4", "/slow").await.assert_hit();
    }
    let stats = of(&app.cache, "/slow");
    assert_eq!((stats.runs, stats.hits), (1, 5));
    assert!(stats.handler_time >= pause, "{stats:?}");
    assert!(stats.saved_time >= pause * 5, "{stats:?}");
}

#[tokio::test]
async fn answers_of_the_layer_itself_and_errors_are_counted() {
    let cache = Cache::builder(MemoryStore::new())
        .tenant(Tenant::header("x-gym-id"))
        .refuse_without_tenant()
        .route(Route::get("/"))
        .build()
        .unwrap();
    let failing = cache.layer().layer(service_fn(|_: Request<Body>| async {
        Err::<Response<Body>, _>(io::Error::other("gone"))
    }));
    for _ in 0..2 {
        failing.clone().oneshot(request(Method::GET, "4", "/")).await.unwrap_err();
    }
    let mut cookie = request(Method::GET, "4", "/");
    cookie.headers_mut().insert("cookie", "a=b".parse().unwrap());
    failing.clone().oneshot(cookie).await.unwrap_err();
    failing.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    let stats = of(&cache, "/");
    assert_eq!(script::outcomes(&stats), [("refused", 1), ("error", 3)], "{stats:?}");
}

#[tokio::test]
async fn a_route_that_is_declared_not_to_be_cached_has_no_counts() {
    let store: Arc<MemoryStore> = Arc::default();
    let cache = Cache::builder(store)
        .route(Route::get("/users/me").tenantless().uncached())
        .route(Route::get("/users/{id}").tenantless().same_for_all_users())
        .build()
        .unwrap();
    let service = cache.layer().layer(service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    service.oneshot(request(Method::GET, "4", "/users/me")).await.unwrap();
    let templates: Vec<_> = cache.route_stats().iter().map(|r| r.template.to_string()).collect();
    assert_eq!(templates, ["/users/{id}"]);
    assert_eq!(of(&cache, "/users/{id}").requests(), 0);
}
