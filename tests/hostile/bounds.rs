//! Each bound, and what happens over it, where no other target has its test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::routing::get;
use futures_util::future::join_all;
use tower_response_cache::{Cache, CacheBuilder, ConfigError, MemoryStore, Route, Store, Tenant};

use crate::support::app::{App, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/{id}"))
}

/// A handler that takes its time, and counts its runs.
fn slow(runs: &Arc<AtomicUsize>) -> Router {
    let runs = Arc::clone(runs);
    let handler = move || {
        let runs = Arc::clone(&runs);
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(300)).await;
            "value"
        }
    };
    Router::new().route("/{id}", get(handler))
}

on_each_store! {
    async fn a_response_with_a_large_head_is_not_stored(backend: Backend) {
        let handler = |Query(query): Query<std::collections::HashMap<String, usize>>| async move {
            let mut headers = HeaderMap::new();
            for number in 0..query["fields"] {
                headers.append("x-field", HeaderValue::try_from(format!("{number:0>93}")).unwrap());
            }
            (headers, "value")
        };
        let app = App::of(
            // Each field takes 104 bytes, and the type of the content 45.
            cache(backend.store.clone()).max_head(10 * 104 + 45),
            Router::new().route("/{id}", get(handler)),
        );
        let answer = app.get("4", "/1?fields=11").await;
        assert!(answer.cache_status().contains("detail=head-too-large"), "{answer:?}");
        assert_eq!(answer.headers.get_all("x-field").iter().count(), 11, "the client gets it all");
        app.get_settled("4", "/1?fields=11").await.assert_miss();
        app.get("4", "/1?fields=10").await;
        let hit = app.get_settled("4", "/1?fields=10").await;
        hit.assert_hit();
        assert_eq!(hit.headers.get_all("x-field").iter().count(), 10);
    }

    async fn who_finds_a_flight_full_runs_by_itself(backend: Backend) {
        let runs = Arc::default();
        let app = App::of(cache(backend.store.clone()).max_waiters(2).leases(false), slow(&runs));
        // Known generations first, so that all see the same snapshot.
        app.get("4", "/1").await;
        app.cache.settled().await;
        app.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
        let answers = join_all((0..10).map(|_| app.get("4", "/1"))).await;
        assert!(answers.iter().all(|answer| answer.text() == "value"));
        assert_eq!(app.cache.stats().over_waiters, 7, "{:?}", app.cache.stats());
        assert_eq!(runs.load(Ordering::SeqCst), 1 + 1 + 7);
    }

    async fn with_too_many_flights_nobody_is_waited_for(backend: Backend) {
        let runs = Arc::default();
        let app = App::of(cache(backend.store.clone()).max_flights(3).leases(false), slow(&runs));
        for id in 0..6 {
            app.get("4", &format!("/{id}")).await;
        }
        app.cache.settled().await;
        app.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
        let before = runs.load(Ordering::SeqCst);
        let asks = (0..12).map(|number| {
            let app = &app;
            async move { app.get("4", &format!("/{}", number % 6)).await }
        });
        assert!(join_all(asks).await.iter().all(|answer| answer.text() == "value"));
        // Three keys with a flight, two requests each; of the others each by itself.
        assert_eq!(app.cache.stats().over_flights, 6, "{:?}", app.cache.stats());
        assert_eq!(runs.load(Ordering::SeqCst) - before, 3 + 6);
        // With room again it is as ever.
        for id in 0..6 {
            app.get("4", &format!("/{id}")).await;
            app.get_settled("4", &format!("/{id}")).await.assert_hit();
        }
    }

    async fn keys_that_are_new_are_stored_without_a_flight(backend: Backend) {
        let runs = Arc::default();
        let app = App::of(cache(backend.store.clone()).max_flights(0), slow(&runs));
        assert_eq!(app.get("4", "/1").await.text(), "value");
        assert_eq!(app.cache.stats().over_flights, 1);
        app.get_settled("4", "/1").await.assert_hit();
    }

    async fn a_long_query_is_no_key_even_where_none_of_it_counts(backend: Backend) {
        let builder = cache(backend.store.clone())
            .route(Route::get("/plain/{id}").ignore_query())
            .max_key(100);
        let app = App::of(builder, Router::new().route("/plain/{id}", get(|| async { "value" })));
        app.get("4", &format!("/plain/1?{}", "x".repeat(400))).await.assert_miss();
        app.get("4", &format!("/plain/1?{}", "x".repeat(401))).await.assert_bypass("key-too-long");
    }

    async fn a_tenant_with_a_long_name_is_none(backend: Backend) {
        let app = App::of(cache(backend.store.clone()), Router::new().route("/{id}", get(|| async { "x" })));
        app.get(&"4".repeat(128), "/1").await.assert_miss();
        app.get(&"4".repeat(129), "/1").await.assert_bypass("bad-tenant");
    }

    async fn what_a_response_names_in_vary_is_bounded_in_bytes(backend: Backend) {
        let handler = |Query(query): Query<std::collections::HashMap<String, usize>>| async move {
            let mut headers = HeaderMap::new();
            let name = "x".repeat(query["length"]);
            headers.insert("vary", HeaderValue::try_from(name).unwrap());
            (headers, "value")
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/{id}", get(handler)));
        app.get("4", "/1?length=1024").await;
        app.get_settled("4", "/1?length=1024").await.assert_hit();
        let answer = app.get("4", "/1?length=1025").await;
        assert!(answer.cache_status().contains("detail=vary-limit"), "{answer:?}");
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_stay_short_however_long_the_fields_are_that_are_in_them() {
    let backend = crate::support::Backend::redis().await;
    let builder =
        cache(backend.store.clone()).route(Route::get("/by/{id}").header("x-by").header("x-and"));
    let app = App::of(builder, Router::new().route("/by/{id}", get(|| async { "value" })));
    let ask = |value: &str| {
        let mut request = request(Method::GET, "4", "/by/1");
        request.headers_mut().insert("x-by", value.parse().unwrap());
        app.send(request)
    };
    for length in [10, 200, 20_000] {
        let value = "v".repeat(length);
        ask(&value).await.assert_miss();
        app.cache.settled().await;
        ask(&value).await.assert_hit();
        ask(&format!("{value}x")).await.assert_miss();
    }
    app.cache.settled().await;
    let names = backend.server.as_ref().unwrap().raw(&[b"KEYS", b"*"]);
    let longest = names.lines().map(str::len).max().unwrap();
    assert!(longest < 400, "{longest}: {names}");
}

#[tokio::test]
async fn an_entry_that_has_no_room_in_the_memory_is_not_stored() {
    let store = Arc::new(MemoryStore::with_capacity(64 << 10));
    let handler = || async { "x".repeat(128 << 10) };
    let app = App::of(cache(store.clone()), Router::new().route("/{id}", get(handler)));
    app.get("4", "/1").await.assert_miss();
    app.get_settled("4", "/1").await.assert_miss();
    app.cache.settled().await;
    let stats = app.cache.stats();
    assert_eq!((stats.store_errors, stats.stored), (2, 0), "{stats:?}");
    assert!(store.bytes() <= 64 << 10);
}

#[test]
fn more_scopes_than_an_entry_can_carry_are_a_mistake() {
    let build = |tags: usize| {
        let tags = (0..tags).map(|number| format!("tag-{number}"));
        let route = tags.clone().fold(Route::get("/"), |route, tag| route.tag(&tag));
        let on = |tag: String| tower_response_cache::On::post("/").tag(&tag);
        let rules = |builder: CacheBuilder| tags.map(on).fold(builder, CacheBuilder::invalidate);
        let builder = Cache::builder(MemoryStore::new()).tenant(Tenant::header("x-gym-id"));
        rules(builder.same_for_all_users().route(route)).build()
    };
    assert!(build(200).is_ok());
    assert!(matches!(build(300), Err(ConfigError::TooManyScopes(_))), "{:?}", build(300));
}

#[test]
fn bounds_that_are_none_are_mistakes() {
    let builder = || Cache::builder(MemoryStore::new()).tenant(Tenant::header("x-gym-id"));
    let refused = |builder: CacheBuilder, name: &str| match builder.same_for_all_users().build() {
        Err(ConfigError::OutOfRange { setting, .. }) => assert_eq!(setting, name),
        other => panic!("{name}: {other:?}"),
    };
    refused(builder().max_head((1 << 20) + 1), "max_head");
    refused(builder().max_body((256 << 20) + 1), "max_body");
    refused(builder().route(Route::get("/").max_body((256 << 20) + 1)), "max_body");
}
