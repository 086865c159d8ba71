//! P11, P17: invalidations that could not be confirmed, and reads without a store.
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::Backend;
use crate::support::app::{App, Source, gym_cache, request};
use axum::http::{Method, StatusCode};
use axum::routing::post;
use tower_response_cache::{CacheBuilder, On, Store};

fn quick(store: Arc<dyn Store>) -> CacheBuilder {
    gym_cache(store).invalidate_timeout(Duration::from_millis(100))
}

/// Two instances on one Redis, with one database, and something cached.
async fn fleet() -> (Backend, App, App) {
    let backend = Backend::redis().await;
    let source = Source::default();
    source.put("4", "42", "old");
    let one = App::with(quick(backend.store.clone()), source.clone());
    let other = App::with(quick(backend.another().await), source);
    one.warm("4", "/users/42").await;
    one.warm("4", "/users/7").await;
    (backend, one, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_what_could_not_be_confirmed_is_dirty_here_and_tried_until_it_is() {
    let (mut backend, one, other) = fleet().await;
    let server = backend.server.as_mut().unwrap();
    server.pause();
    let began = Instant::now();
    assert_eq!(one.put("4", "/users/42", "new").await.status, StatusCode::NO_CONTENT);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(one.cache.stats().unconfirmed, 1);
    // The store is silent; the instance that wrote does not even ask it.
    let dirty = one.get("4", "/users/42").await;
    dirty.assert_bypass("dirty");
    assert_eq!(dirty.text(), "4/42=new");
    server.resume();
    one.cache.shutdown(Duration::from_secs(5)).await.unwrap();
    for app in [&one, &other] {
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=new");
        app.get_settled("4", "/users/42").await.assert_hit();
        app.get("4", "/users/7").await.assert_hit();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_a_dirty_scope_is_passed_by_although_the_store_answers() {
    let (mut backend, one, _) = fleet().await;
    let server = backend.server.as_mut().unwrap();
    // It reads, but takes no more writes: as after a fail-over to a replica.
    assert!(server.raw(&[b"CONFIG", b"SET", b"min-replicas-to-write", b"1"]).starts_with("+OK"));
    one.put("4", "/users/42", "new").await;
    one.get("4", "/users/42").await.assert_bypass("dirty");
    assert_eq!(one.get("4", "/users/42").await.text(), "4/42=new");
    // What was not written is served still.
    one.get("4", "/users/7").await.assert_hit();
    assert!(one.cache.shutdown(Duration::from_millis(200)).await.is_err());
    assert!(server.raw(&[b"CONFIG", b"SET", b"min-replicas-to-write", b"0"]).starts_with("+OK"));
    one.cache.shutdown(Duration::from_secs(5)).await.unwrap();
    one.get("4", "/users/42").await.assert_miss();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_over_the_bound_whole_tenants_are_dirty_and_nothing_is_forgotten() {
    let backend = Backend::redis().await;
    let source = Source::default();
    let app = App::with(quick(backend.store.clone()).max_dirty(8), source.clone());
    for id in 0..20 {
        source.put("4", &id.to_string(), "old");
        app.warm("4", &format!("/users/{id}")).await;
    }
    app.warm("5", "/users/1").await;
    backend.server.as_ref().unwrap().pause();
    for id in 0..20 {
        app.put("4", &format!("/users/{id}"), "new").await;
    }
    for id in 0..20 {
        let answer = app.get("4", &format!("/users/{id}")).await;
        answer.assert_bypass("dirty");
        assert_eq!(answer.text(), format!("4/{id}=new"));
    }
    backend.server.as_ref().unwrap().resume();
    app.cache.shutdown(Duration::from_secs(5)).await.unwrap();
    for id in 0..20 {
        assert_eq!(app.get("4", &format!("/users/{id}")).await.text(), format!("4/{id}=new"));
    }
    app.get("5", "/users/1").await.assert_hit();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p11_a_rule_can_ask_for_an_error_instead() {
    let backend = Backend::redis().await;
    let cache = quick(backend.store.clone())
        .invalidate(On::post("/strict").path("/users").must_confirm())
        .build()
        .unwrap();
    let source = Source::default();
    let router =
        crate::support::app::gym_routes(source.clone()).route("/strict", post(|| async {}));
    let app = App { router: router.layer(cache.layer()), cache, source };
    assert_eq!(app.send(request(Method::POST, "4", "/strict")).await.status, StatusCode::OK);
    backend.server.as_ref().unwrap().pause();
    let answer = app.send(request(Method::POST, "4", "/strict")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.cache_status().contains("detail=unconfirmed"), "{answer:?}");
    backend.server.as_ref().unwrap().resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_without_the_store_answers_are_those_of_the_handler_and_runs_are_shared() {
    let (mut backend, one, _) = fleet().await;
    backend.server.as_mut().unwrap().kill();
    assert_eq!(one.get("4", "/users/42").await.text(), "4/42=old");
    one.source.put("4", "42", "newer");
    assert_eq!(one.get("4", "/users/42").await.text(), "4/42=newer");

    let runs = one.source.runs();
    let asks = (0..100).map(|_| {
        let mut slow = request(Method::GET, "4", "/users/42");
        slow.headers_mut().insert("x-delay-ms", "100".parse().unwrap());
        let app = one.clone();
        tokio::spawn(async move { app.send(slow).await })
    });
    for answer in futures_util::future::join_all(asks).await {
        assert_eq!(answer.unwrap().text(), "4/42=newer");
    }
    let shared = one.source.runs() - runs;
    assert!(shared <= 4, "{shared} runs for a hundred requests");

    backend.server.as_mut().unwrap().restart();
    let deadline = Instant::now() + Duration::from_secs(2);
    while !one.get("4", "/users/42").await.is_hit() {
        assert!(Instant::now() < deadline, "no hit after Redis is back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(one.get("4", "/users/42").await.text(), "4/42=newer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_store_that_hangs_costs_a_request_its_time_out_and_no_more() {
    let backend = Backend::redis().await;
    let cache = gym_cache(backend.store.clone())
        .lookup_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let source = Source::default();
    let router = crate::support::app::gym_routes(source.clone()).layer(cache.layer());
    let app = App { cache, router, source };
    backend.server.as_ref().unwrap().pause();
    let began = Instant::now();
    let answer = app.get("4", "/users/42").await;
    let took = began.elapsed();
    answer.assert_bypass("store");
    assert!(took >= Duration::from_millis(100) && took < Duration::from_secs(2), "{took:?}");
    backend.server.as_ref().unwrap().resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_without_the_store_a_request_shares_only_a_run_that_starts_after_it() {
    let (mut backend, one, _) = fleet().await;
    backend.server.as_mut().unwrap().kill();
    let slow = |value: &'static str| {
        let mut slow = request(Method::GET, "4", "/users/42");
        slow.headers_mut().insert("x-delay-ms", "200".parse().unwrap());
        let app = one.clone();
        (value, tokio::spawn(async move { app.send(slow).await }))
    };
    let before = slow("old");
    tokio::time::sleep(Duration::from_millis(80)).await;
    one.source.put("4", "42", "new");
    let after = [slow("new"), slow("new")];
    for (expected, answer) in std::iter::once(before).chain(after) {
        assert_eq!(answer.await.unwrap().text(), format!("4/42={expected}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p8_losing_the_metadata_loses_entries_and_revives_none() {
    let (backend, one, other) = fleet().await;
    let server = backend.server.as_ref().unwrap();
    for lost in
        [&b"gym:g:{4}:path:/users/42"[..], b"gym:g:{4}:tenant", b"gym:g:{4}:subtree:/users/42"]
    {
        one.warm("4", "/users/42").await;
        assert!(server.raw(&[b"DEL", lost]).contains('1'));
        other.get("4", "/users/42").await.assert_miss();
        other.cache.settled().await;
    }
    one.warm("4", "/users/42").await;
    assert!(server.raw(&[b"FLUSHALL"]).starts_with("+OK"));
    one.get("4", "/users/42").await.assert_miss();
}
