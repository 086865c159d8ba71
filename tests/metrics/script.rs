//! A run of requests, and what must be counted of it, outcome by outcome.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::sleep;
use tower_response_cache::{Cache, CacheBuilder, On, Route, RouteStats, Store, Tenant};

use crate::support::app::{Answer, App, request};

/// So short that a test can outwait it.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(300);

/// A configuration with a route for each way of being answered.
pub(crate) fn builder(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .route(Route::get("/users/{id}"))
        .route(Route::get("/slow").same_for_all_users())
        .route(Route::get("/stale").ttl(SHORT).stale_while_revalidate(LONG))
        .route(Route::get("/checked").ttl(SHORT).revalidate(LONG))
        .route(Route::get("/failing").ttl(SHORT).stale_if_error(LONG))
        .route(Route::get("/private"))
        .route(Route::get("/never"))
        .invalidate(On::put("/users/{id}").subtree("/users/{id}"))
}

pub(crate) fn handlers() -> Router {
    Router::new()
        .route(
            "/users/{id}",
            get(|Path(id): Path<String>| async { id }).put(|| async { StatusCode::NO_CONTENT }),
        )
        .route("/slow", get(slow))
        .route("/stale", get(|| async { "stale" }))
        .route("/checked", get(checked))
        .route("/failing", get(failing))
        .route("/private", get(|| async { ([(header::CACHE_CONTROL, "private")], "mine") }))
        .route("/never", get(|| async { "never" }))
}

async fn slow() -> &'static str {
    sleep(SHORT * 3).await;
    "slow"
}

async fn checked(headers: HeaderMap) -> Response {
    if headers.contains_key(header::IF_NONE_MATCH) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    ([(header::ETAG, "\"1\"")], "checked").into_response()
}

async fn failing(headers: HeaderMap) -> Response {
    if headers.contains_key("x-fail") {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    "failing".into_response()
}

/// The counts of one route, by the names that metrics have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) route: &'static str,
    pub(crate) outcomes: Vec<(&'static str, u64)>,
    pub(crate) stored: u64,
    pub(crate) runs: u64,
    pub(crate) uncacheable: Vec<(&'static str, u64)>,
    pub(crate) bypasses: Vec<(&'static str, u64)>,
}

async fn plain(app: &App, target: &str) -> Answer {
    let answer = app.get("4", target).await;
    app.cache.settled().await;
    answer
}

/// Sends every request, in order, and answers what must have been counted.
pub(crate) async fn run(app: &App) -> Vec<Expected> {
    // Miss, hit, hit by HEAD, an invalidation, miss, hit.
    plain(app, "/users/1").await.assert_miss();
    plain(app, "/users/1").await.assert_hit();
    app.send(request(Method::HEAD, "4", "/users/1")).await.assert_hit();
    assert_eq!(app.put("4", "/users/1", "").await.status, StatusCode::NO_CONTENT);
    plain(app, "/users/1").await.assert_miss();
    plain(app, "/users/1").await.assert_hit();
    // Past the cache, for three reasons.
    let naked = Request::builder().uri("/users/1").body(axum::body::Body::empty()).unwrap();
    app.send(naked).await.assert_bypass("no-tenant");
    let mut credentials = request(Method::GET, "4", "/users/1");
    credentials.headers_mut().insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
    app.send(credentials).await.assert_bypass("authorization");
    for _ in 0..2 {
        let mut cookies = request(Method::GET, "4", "/users/1");
        cookies.headers_mut().insert(header::COOKIE, "a=b".parse().unwrap());
        app.send(cookies).await.assert_bypass("cookie");
    }
    // Five at once: one runs, four wait for it.
    let slow = || app.get("4", "/slow");
    tokio::join!(slow(), slow(), slow(), slow(), slow());
    app.cache.settled().await;
    // Stale, and refreshed behind it: a run that answers nobody.
    plain(app, "/stale").await.assert_miss();
    sleep(SHORT * 2).await;
    let stale = plain(app, "/stale").await;
    assert!(stale.cache_status().contains("hit; ttl=-"), "{stale:?}");
    // Still good, by the handler's word.
    plain(app, "/checked").await.assert_miss();
    sleep(SHORT * 2).await;
    let checked = plain(app, "/checked").await;
    assert!(checked.cache_status().contains("fwd-status=304"), "{checked:?}");
    // Stale, since the handler fails.
    plain(app, "/failing").await.assert_miss();
    sleep(SHORT * 2).await;
    let mut fail = request(Method::GET, "4", "/failing");
    fail.headers_mut().insert("x-fail", "1".parse().unwrap());
    assert_eq!(app.send(fail).await.text(), "failing");
    app.cache.settled().await;
    // Not to be stored.
    plain(app, "/private").await.assert_miss();
    plain(app, "/private").await.assert_miss();
    vec![
        Expected {
            route: "/users/{id}",
            outcomes: vec![("hit", 3), ("miss", 2), ("bypass", 4)],
            bypasses: vec![("no-tenant", 1), ("authorization", 1), ("cookie", 2)],
            stored: 2,
            runs: 6,
            ..Expected::default()
        },
        Expected {
            route: "/slow",
            outcomes: vec![("miss", 1), ("collapsed", 4)],
            stored: 1,
            runs: 1,
            ..Expected::default()
        },
        Expected {
            route: "/stale",
            outcomes: vec![("miss", 1), ("stale", 1)],
            stored: 2,
            runs: 2,
            ..Expected::default()
        },
        Expected {
            route: "/checked",
            outcomes: vec![("miss", 1), ("revalidated", 1)],
            stored: 2,
            runs: 2,
            ..Expected::default()
        },
        Expected {
            route: "/failing",
            outcomes: vec![("miss", 1), ("stale", 1)],
            stored: 1,
            runs: 2,
            ..Expected::default()
        },
        Expected {
            route: "/private",
            outcomes: vec![("miss", 2)],
            uncacheable: vec![("private", 2)],
            runs: 2,
            ..Expected::default()
        },
        Expected { route: "/never", ..Expected::default() },
    ]
}

/// The counts by outcome, those that are 0 left out.
pub(crate) fn outcomes(stats: &RouteStats) -> Vec<(&'static str, u64)> {
    let all = [
        ("hit", stats.hits),
        ("miss", stats.misses),
        ("stale", stats.stale),
        ("recalled", stats.recalled),
        ("collapsed", stats.collapsed),
        ("revalidated", stats.revalidated),
        ("bypass", stats.bypasses),
        ("refused", stats.refused),
        ("error", stats.errors),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}
