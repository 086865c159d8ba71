//! The breaker's setting, its limits, and what it tells.

use std::time::{Duration, Instant};

use crate::counted::Counted;
use crate::fixture::{Fixture, LOOKUP};
use crate::support::app::{App, Source, gym_cache, request};
use crate::support::fault_proxy::Mode;
use axum::http::Method;
use tower_response_cache::MemoryStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_after_so_many_failures_in_a_row() {
    let fixture = Fixture::with(|cache| cache.breaker_failures(3)).await;
    fixture.hit_again("/users/1").await;
    fixture.network.set(Mode::BlackHole).await;
    for failed in 1..=3 {
        assert!(!fixture.app.cache.stats().breaker_open, "after {} failures", failed - 1);
        fixture.app.get("4", "/users/1").await.assert_bypass("store");
    }
    let stats = fixture.app.cache.stats();
    assert!(stats.breaker_open);
    assert_eq!((stats.breaker_opened, stats.store_errors, stats.skipped), (1, 3, 0));
    fixture.app.get("4", "/users/1").await.assert_bypass("store");
    assert_eq!(fixture.app.cache.stats().skipped, 1);
    fixture.network.set(Mode::Pass).await;
    fixture.hit_again("/users/1").await;
    assert!(!fixture.app.cache.stats().breaker_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_it_each_request_asks_the_store() {
    let fixture = Fixture::with(|cache| cache.breaker_failures(0)).await;
    fixture.network.set(Mode::BlackHole).await;
    let steps = fixture.store.steps();
    let began = Instant::now();
    for _ in 0..8 {
        fixture.app.get("4", "/users/1").await.assert_bypass("store");
    }
    assert!(began.elapsed() >= LOOKUP * 2, "{:?}", began.elapsed());
    assert_eq!(fixture.store.steps(), steps + 8);
    let stats = fixture.app.cache.stats();
    assert_eq!((stats.breaker_opened, stats.skipped), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_refuses_is_not_away() {
    let fixture = Fixture::new().await;
    fixture.hit_again("/users/1").await;
    let refuse = |replicas: &[u8]| {
        fixture.network.only_server().raw(&[b"CONFIG", b"SET", b"min-replicas-to-write", replicas])
    };
    assert!(refuse(b"1").starts_with("+OK"));
    for _ in 0..20 {
        fixture.app.put("4", "/users/2", "new").await;
    }
    assert!(fixture.app.cache.stats().store_errors >= 20);
    assert_eq!(fixture.app.cache.stats().breaker_opened, 0);
    fixture.app.get("4", "/users/1").await.assert_hit();
    assert!(refuse(b"0").starts_with("+OK"));
    fixture.app.cache.shutdown(Duration::from_secs(5)).await.unwrap();
}

const SECOND: Duration = Duration::from_secs(1);

async fn patient() -> Fixture {
    let fixture = Fixture::with(|cache| {
        cache.breaker_failures(0).lookup_timeout(SECOND).invalidate_timeout(SECOND)
    });
    let fixture = fixture.await;
    fixture.hit_again("/teams/1").await;
    fixture
}

/// Each step alone is in time, and two are not: a look-up and a miss, or an entry and its groups.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_read_waits_for_the_store_once_and_not_for_each_step() {
    for target in ["/users/new", "/teams/1", "/teams/2"] {
        let fixture = patient().await;
        fixture.network.set(Mode::Delay(SECOND * 3 / 5)).await;
        let began = Instant::now();
        fixture.app.get("4", target).await.assert_bypass("store");
        let took = began.elapsed();
        assert!(took >= SECOND && took < SECOND * 3 / 2, "{target}: {took:?}");
    }
}

/// For a fence, or for the invalidation after the handler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_write_waits_for_the_store_once_and_not_for_each_step() {
    let fixture = patient().await;
    fixture.network.set(Mode::BlackHole).await;
    let began = Instant::now();
    fixture.app.put("4", "/fenced/1", "new").await;
    let took = began.elapsed();
    assert!(took >= SECOND && took < SECOND * 8 / 5, "{took:?}");
    fixture.app.get("4", "/users/1").await.assert_bypass("dirty");
    fixture.network.set(Mode::Pass).await;
    fixture.hit_again("/users/1").await;
}

/// Until its end other instances would wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_from_before_an_outage_is_given_up_after_it() {
    let fixture = Fixture::new().await;
    let mut slow = request(Method::GET, "4", "/users/42");
    slow.headers_mut().insert("x-delay-ms", "400".parse().unwrap());
    let app = fixture.app.clone();
    let holder = tokio::spawn(async move { app.send(slow).await });
    while fixture.app.source.runs() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.network.set(Mode::Refuse).await;
    fixture.open_breaker().await;
    holder.await.unwrap().assert_miss();
    fixture.app.cache.settled().await;
    fixture.network.set(Mode::Pass).await;
    fixture.hit_again("/users/1").await;
    let began = Instant::now();
    fixture.other.get("4", "/users/42").await.assert_miss();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_are_nothing_to_wait_for_and_do_not_outlive_the_cache() {
    let fixture = Fixture::new().await;
    fixture.network.set(Mode::BlackHole).await;
    fixture.open_breaker().await;
    // The probes are nothing that anybody waits for.
    let settled = tokio::time::timeout(Duration::from_secs(5), fixture.app.cache.settled()).await;
    settled.expect("settled although the breaker is open");
    let Fixture { network, store, app, plain, other: _other } = fixture;
    drop((app, plain));
    let began = Instant::now();
    while std::sync::Arc::strong_count(&store) > 1 {
        assert!(began.elapsed() < Duration::from_secs(5), "the probes hold the store");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(network);
}

/// As a near-cache has it: its hits say nothing of the server behind it.
#[tokio::test]
async fn what_is_at_hand_forgives_no_failure() {
    let store = Counted::deaf(MemoryStore::new());
    let app = App::with(gym_cache(std::sync::Arc::new(store)), Source::default());
    app.warm("4", "/users/1").await;
    for id in 2..20 {
        app.put("4", &format!("/users/{id}"), "x").await;
        app.get("4", "/users/1").await;
    }
    assert!(app.cache.stats().breaker_opened >= 1, "{:?}", app.cache.stats());
}

#[tokio::test]
async fn the_memory_store_never_opens_it() {
    let app = App::with(gym_cache(std::sync::Arc::new(MemoryStore::new())), Source::default());
    for id in 0..100 {
        app.put("4", &format!("/users/{id}"), "x").await;
        app.warm("4", &format!("/users/{id}")).await;
    }
    let stats = app.cache.stats();
    assert_eq!((stats.breaker_opened, stats.skipped, stats.breaker_open), (0, 0, false));
}
