//! What a hit is, and what it is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::support::app::{App, Source, gym_cache, request};
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use tower_response_cache::clock::Clock;
use tower_response_cache::{Cache, Identity, MemoryStore, ResponseTtl, Route, Store, Tenant};

on_each_store! {
    async fn the_second_request_is_a_hit_with_the_same_bytes(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.source.put("4", "42", "Ada");
        let first = app.get("4", "/users/42").await;
        first.assert_miss();
        assert!(first.cache_status().contains("; stored"), "{first:?}");
        let second = app.get_settled("4", "/users/42").await;
        second.assert_hit();
        assert!(second.cache_status().contains("; ttl="), "{second:?}");
        assert_eq!(second.body, first.body);
        assert_eq!(second.headers[header::CONTENT_TYPE], first.headers[header::CONTENT_TYPE]);
        assert_eq!(second.headers[header::AGE], "0");
        assert_eq!(app.source.runs(), 1);
        assert_eq!(app.cache.stats().hits, 1);
        assert_eq!(app.cache.stats().stored, 1);
    }

    async fn requests_that_mean_the_same_share_an_entry(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.warm("4", "/users?role=member&status=active").await;
        for same in [
            "/users?status=active&role=member",
            "/users?role=%6Dember&status=active",
            "/users?utm_source=mail&role=member&status=active&fbclid=1",
        ] {
            app.get("4", same).await.assert_hit();
        }
        app.get("4", "/users?role=member").await.assert_miss();
        app.get("4", "/users?role=member,&status=active").await.assert_miss();
        app.warm("4", "/users/42").await;
        app.get("4", "/users/%34%32").await.assert_hit();
    }

    async fn head_is_answered_from_get_and_never_the_other_way_round(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.source.put("4", "42", "Ada");
        let head = app.send(request(Method::HEAD, "4", "/users/42")).await;
        assert!(head.body.is_empty());
        app.cache.settled().await;
        let first = app.get("4", "/users/42").await;
        first.assert_miss();
        assert_eq!(first.text(), "4/42=Ada");
        app.cache.settled().await;
        let head = app.send(request(Method::HEAD, "4", "/users/42")).await;
        head.assert_hit();
        assert!(head.body.is_empty());
        assert_eq!(head.headers[header::CONTENT_LENGTH], "8");
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=Ada");
    }

    async fn a_ttl_ends(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/short").ttl(Duration::from_millis(150)))
            .route(Route::get("/by-response"));
        let router = Router::new()
            .route("/short", get(|| async { "short" }))
            .route(
                "/by-response",
                get(|| async { (Extension(ResponseTtl(Duration::from_millis(150))), "own") }),
            );
        let app = App::of(cache, router);
        for target in ["/short", "/by-response"] {
            app.warm("4", target).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
            app.get("4", target).await.assert_miss();
        }
    }

    async fn a_ttl_follows_the_request(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/stats").query(["period"]).ttl_with(|request| {
                let period = request.uri.query().unwrap_or_default();
                Duration::from_secs(match period.strip_prefix("period=") {
                    Some("week") => 1800,
                    Some("month") => 3600,
                    Some("quarter") => 7200,
                    Some("year") => 14400,
                    _ => 0,
                })
            }));
        let app = App::of(cache, Router::new().route("/stats", get(|| async { "numbers" })));
        for (period, ttl) in [("week", 1800), ("month", 3600), ("quarter", 7200), ("year", 14400)] {
            let answer = app.get("4", &format!("/stats?period={period}")).await;
            assert!(answer.cache_status().contains(&format!("; ttl={ttl}")), "{answer:?}");
        }
        app.get("4", "/stats?period=day").await.assert_bypass("no-ttl");
    }

    async fn a_status_is_stored_only_where_the_route_says_so(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/plain"))
            .route(Route::get("/negative").ttl_for_status(StatusCode::NOT_FOUND, Duration::from_secs(5)));
        let missing = || get(|| async { (StatusCode::NOT_FOUND, "no such thing") });
        let router = Router::new().route("/plain", missing()).route("/negative", missing());
        let app = App::of(cache, router);
        app.get("4", "/plain").await.assert_miss();
        app.get_settled("4", "/plain").await.assert_miss();
        app.get("4", "/negative").await.assert_miss();
        let negative = app.get_settled("4", "/negative").await;
        negative.assert_hit();
        assert_eq!(negative.status, StatusCode::NOT_FOUND);
        assert!(negative.cache_status().contains("; ttl=4") || negative.cache_status().contains("; ttl=5"));
    }

    async fn what_forbids_storing_is_not_stored(backend: Backend) {
        let rows = [
            (header::SET_COOKIE, "id=1", "set-cookie"),
            (header::CACHE_CONTROL, "private", "private"),
            (header::CACHE_CONTROL, "no-store", "no-store"),
            (header::CACHE_CONTROL, "no-cache", "no-cache"),
            (header::CACHE_CONTROL, "max-age=0", "expired"),
            (header::VARY, "*", "vary-star"),
            (header::CONTENT_TYPE, "text/event-stream", "event-stream"),
        ];
        for (index, (name, value, reason)) in rows.into_iter().enumerate() {
            let cache = Cache::builder(backend.store.clone())
                .namespace(format!("row{index}"))
                .tenant(Tenant::header("x-gym-id"))
                .same_for_all_users()
                .route(Route::get("/"));
            let router = Router::new().route("/", get(move || async move { ([(name, value)], "x") }));
            let app = App::of(cache, router);
            let first = app.get("4", "/").await;
            assert!(first.cache_status().contains(&format!("detail={reason}")), "{first:?}");
            app.get_settled("4", "/").await.assert_miss();
            assert_eq!(app.cache.stats().stored, 0, "{reason}");
        }
    }

    async fn hop_by_hop_fields_are_not_replayed(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/"));
        let handler = || async {
            ([("connection", "x-once"), ("x-once", "1"), ("keep-alive", "timeout=5"), ("x-kept", "2")], "x")
                .into_response()
        };
        let app = App::of(cache, Router::new().route("/", get(handler)));
        app.get("4", "/").await;
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        assert!(["connection", "x-once", "keep-alive"].iter().all(|name| !hit.headers.contains_key(*name)));
        assert_eq!(hit.headers["x-kept"], "2");
    }

    async fn requests_that_a_cache_must_not_answer_go_past_it(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.warm("4", "/users/42").await;
        let mut upgrade = request(Method::GET, "4", "/users/42");
        upgrade.headers_mut().insert(header::CONNECTION, "upgrade".parse().unwrap());
        upgrade.headers_mut().insert(header::UPGRADE, "websocket".parse().unwrap());
        app.send(upgrade).await.assert_bypass("upgrade");
        app.get("4", "/users/..").await.assert_bypass("dot-segment");
        app.get("4", "/users/%zz").await.assert_bypass("malformed-escape");
        let long = format!("/users/{}", "x".repeat(1100));
        app.get("4", &long).await.assert_bypass("key-too-long");
        let many = format!("/users?{}", "a=1&".repeat(70));
        app.get("4", &many).await.assert_bypass("too-many-parameters");
    }

    async fn a_request_on_no_configured_route_is_untouched(backend: Backend) {
        let router = Router::new().route("/other", get(|| async { "other" }));
        let app = App::of(gym_cache(backend.store.clone()), router);
        let answer = app.send(request(Method::GET, "4", "/other")).await;
        assert_eq!(answer.text(), "other");
        assert!(!answer.headers.contains_key("cache-status"));
        let mut foreign = request(Method::from_bytes(b"PURGE").unwrap(), "4", "/other");
        *foreign.body_mut() = Body::from("x");
        assert!(!app.send(foreign).await.headers.contains_key("cache-status"));
    }
}

/// A clock that stands still until it is turned.
#[derive(Debug)]
struct Stopped(AtomicU64);

impl Stopped {
    fn turn(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for Stopped {
    fn micros(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn each_second_has_its_own_age_and_each_cache_its_own_name() {
    let clock = Arc::new(Stopped(AtomicU64::new(1_900_000_000_000_000)));
    let store: Arc<dyn Store> =
        Arc::new(MemoryStore::with_clock(1 << 20, Arc::clone(&clock) as Arc<dyn Clock>));
    let source = Source::default();
    source.put("4", "42", "Ada");
    // Two caches of one application, as before and after it was renamed.
    let app = |name| App::with(gym_cache(Arc::clone(&store)).cache_status(name), source.clone());
    let (old, new) = (app("old"), app("new"));
    old.warm("4", "/users/42").await;
    for second in [0_i64, 1, 2, 10] {
        let mut heads = Vec::new();
        // By turns, so that whatever one leaves with the entry is there for the other; each long enough to find
        // what it has left itself.
        for (app, name) in [(&old, "old"), (&new, "new"), (&old, "old")] {
            for turn in 0..5 {
                // What is no plain hit is made of the same entry.
                let wish = match turn {
                    2 => Some((header::RANGE, "bytes=0-1", StatusCode::PARTIAL_CONTENT)),
                    3 => Some((header::IF_NONE_MATCH, "*", StatusCode::NOT_MODIFIED)),
                    _ => None,
                };
                let mut asked = request(Method::GET, "4", "/users/42");
                let wished = wish.map(|(name, value, status)| {
                    asked.headers_mut().insert(name, value.parse().unwrap());
                    status
                });
                let answer = app.send(asked).await;
                assert_eq!(answer.status, wished.unwrap_or(StatusCode::OK));
                assert_eq!(answer.headers[header::AGE], second.to_string());
                let left = 300 - second;
                assert_eq!(answer.cache_status(), format!("{name}; hit; ttl={left}"));
                assert_eq!(answer.headers.get_all("cache-status").iter().count(), 1);
                let mut head = answer.headers;
                head.remove("cache-status");
                if wished.is_none() {
                    assert_eq!(answer.body, "4/42=Ada");
                    heads.push(head);
                }
            }
        }
        assert_eq!(heads.len(), 9);
        assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
        clock.turn(Duration::from_secs(if second == 2 { 8 } else { 1 }));
    }
    assert_eq!(source.runs(), 1);
    // What one answer's reader does to its head is nobody else's.
    let get = async || old.open(request(Method::GET, "4", "/users/42")).await;
    get().await;
    get().await;
    get().await.headers_mut().insert("x-seen", "yes".parse().unwrap());
    assert!(!get().await.headers().contains_key("x-seen"));
}

/// An app's function need not answer the same twice: what a key is known by and what it is stored under are
/// of one answer.
#[tokio::test]
async fn p5_who_asks_is_read_once_a_request() {
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let identity = Identity::with(move |_| {
        let before = counted.fetch_add(1, Ordering::Relaxed);
        Some(["one", "other"][usize::try_from(before % 2).unwrap()].to_owned())
    });
    let cache = gym_cache(Arc::new(MemoryStore::new())).per_user(identity);
    let app = App::with(cache, Source::default());
    for n in 0..8 {
        app.get("4", &format!("/users/{n}")).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 8);
}
