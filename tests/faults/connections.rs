//! How connections are made while they fail: no herd, however many wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tower_response_cache::RedisStore;

use crate::fixture::{Fixture, SLACK};
use crate::support::app::{App, Source, gym_cache, gym_routes};
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::redis_server::RedisServer;

const SLOTS: u32 = 3;

/// An instance that begins without its server, and asks it as long as it likes.
async fn begin_without(mode: Mode, failures: u32) -> (RedisServer, FaultProxy, App) {
    let server = RedisServer::start();
    let proxy = FaultProxy::before(server.port());
    proxy.set(mode).await;
    let store = RedisStore::builder(&proxy.url()).connections(SLOTS).connect_lazy().unwrap();
    let cache = gym_cache(Arc::new(store))
        .lookup_timeout(Duration::from_millis(100))
        .breaker_failures(failures)
        .coalesce_in_outage(false)
        .build()
        .unwrap();
    let source = Source::default();
    let router = gym_routes(source.clone()).layer(cache.layer());
    (server, proxy, App { cache, router, source })
}

/// Many clients ask for so long.
async fn herd(app: &App, span: Duration) {
    let end = Instant::now() + span;
    let mut clients = JoinSet::new();
    for client in 0..100 {
        let app = app.clone();
        clients.spawn(async move {
            while Instant::now() < end {
                let target = format!("/users/{client}");
                assert_eq!(app.get("4", &target).await.text(), format!("4/{client}="));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_herd_makes_no_more_attempts_than_there_are_slots_and_pauses_between() {
    for mode in [Mode::Close, Mode::Reset] {
        let (_server, proxy, app) = begin_without(mode, 0).await;
        let began = Instant::now();
        herd(&app, Duration::from_secs(1)).await;
        // After a failure nobody tries for 50 ms at least.
        let rounds = u32::try_from(began.elapsed().as_millis() / 50).unwrap() + 2;
        let most = usize::try_from(SLOTS * rounds).unwrap();
        let accepted = proxy.accepted();
        println!("{mode:?}: {accepted} connections in {:?}", began.elapsed());
        assert!((1..=most).contains(&accepted), "{mode:?}: {accepted} of at most {most}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_attempts_that_hang_are_one_for_each_slot() {
    let (_server, proxy, app) = begin_without(Mode::BlackHole, 0).await;
    herd(&app, Duration::from_millis(800)).await;
    let (accepted, most_open) = (proxy.accepted(), proxy.most_open());
    let slots = usize::try_from(SLOTS).unwrap();
    assert!(most_open <= slots, "{most_open} connections at once");
    assert!((1..=2 * slots).contains(&accepted), "{accepted} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_behind_an_open_breaker_only_probes_connect() {
    let (_server, proxy, app) = begin_without(Mode::Close, 5).await;
    herd(&app, Duration::from_secs(2)).await;
    assert!(app.cache.stats().breaker_open);
    // Probes at 25, 50, 100, 200 and 400 ms and then each half second, and each slot for itself.
    let accepted = proxy.accepted();
    println!("{accepted} connections in 2 s behind the breaker");
    assert!(accepted <= 16 * usize::try_from(SLOTS).unwrap(), "{accepted} connections");
}

/// However short the outage was, and whatever it has swallowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_connections_that_went_silent_are_replaced() {
    for failures in [5, 0] {
        let fixture = Fixture::with(|cache| cache.breaker_failures(failures)).await;
        for length in [10, 150, 400, 900, 1500] {
            fixture.hit_again("/users/8").await;
            fixture.network.set(Mode::BlackHole).await;
            let end = Instant::now() + Duration::from_millis(length);
            while Instant::now() < end {
                fixture.app.get("4", "/users/8").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            fixture.network.set(Mode::Pass).await;
            let recovery = fixture.hit_again("/users/8").await;
            println!("breaker {failures}: {length} ms of silence, hits after {recovery:?}");
            assert!(recovery < Duration::from_secs(1) + SLACK, "{length} ms: {recovery:?}");
        }
    }
}
