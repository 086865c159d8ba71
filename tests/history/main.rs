//! P6, P7, P8: once a hard invalidation is confirmed, no request that begins later, on any instance,
//! is answered from work whose handler began before it; whatever happens to the store meanwhile.
//!
//! A fleet of instances is read and written at random while faults happen. Every read notes when it
//! began and which version it saw, every write when it was confirmed, all on one clock; then the
//! checker compares. The controls run the same on stores that break one rule each, and fail if the
//! checker finds nothing.
//!
//! `HISTORY_SECONDS` says how long each test runs, 2 s if not set; `HISTORY_SEED` which random
//! numbers the clients and faults use (the interleaving of tasks is not repeated by it).
#![cfg(all(feature = "redis", feature = "data"))]
#![allow(unreachable_pub, reason = "each module is read like a library of its own")]

#[path = "../support/mod.rs"]
mod support;

mod checker;
#[path = "../topology/cluster.rs"]
mod cluster;
mod control;
mod crash;
mod fail_over;
mod faults;
mod fleet;
mod readers;
mod runs;
#[path = "../topology/sentinels.rs"]
mod sentinels;
mod source;
mod traffic;
mod writers;

use std::sync::Arc;
use std::time::Duration;

use control::{Twist, Twisted};
use faults::Fault;
use fleet::{Fleet, INSTANCES, near_store, redis_store};
use runs::{conclude, found, run, work};
use support::redis_server::RedisServer;
use tower_response_cache::NearCache;
use traffic::{Traffic, Writes};

macro_rules! histories {
    ($($(#[$attribute:meta])* $name:ident: $faults:expr;)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            const FAULTS: &[Fault] = $faults;
            clean(stringify!($name), FAULTS).await;
        }
    )*};
}

histories! {
    without_faults: &[];
    under_eviction: &[Fault::Evict];
    losing_names: &[Fault::Lose];
    with_replaced_entries: &[Fault::Replace];
    losing_connections: &[Fault::KillConnections];
    restarted_empty: &[Fault::RestartEmpty];
    restarted_from_old_snapshots: &[Fault::RestartFromOldSnapshot];
    paused: &[Fault::Pause];
    forgetting_scripts: &[Fault::ForgetScripts];
    flushed: &[Fault::Flush];
    under_everything_at_once: &Fault::ALL;
}

/// What is confirmed with the server keeps P6 to the letter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_strict_near_caches() {
    near("with_strict_near_caches", NearCache::strict(), Duration::ZERO, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_strict_near_caches_under_everything_at_once() {
    let name = "with_strict_near_caches_under_everything_at_once";
    near(name, NearCache::strict(), Duration::ZERO, &Fault::ALL).await;
}

/// P21: what is confirmed by others is seen within the bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_coherent_near_caches() {
    near("with_coherent_near_caches", coherent(), LIVENESS, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_coherent_near_caches_under_everything_at_once() {
    let name = "with_coherent_near_caches_under_everything_at_once";
    near(name, coherent(), LIVENESS, &Fault::ALL).await;
}

const LIVENESS: Duration = Duration::from_millis(150);

fn coherent() -> NearCache {
    NearCache::coherent().liveness(LIVENESS)
}

async fn near(name: &str, near: NearCache, grace: Duration, faults: &'static [Fault]) {
    let server = RedisServer::start();
    let store = || Arc::new(near_store(&server.url(), near.clone())) as _;
    let mut fleet = Fleet::new((0..INSTANCES).map(|_| store()));
    fleet.grace = grace;
    fleet.is_near = true;
    drop(run(name, &fleet, server, faults, Traffic::full()).await);
}

/// P7: an instance's clock says when something is old, and nothing of what is valid.
///
/// The Redis store takes the server's time and adds what its own clock says has passed, so there is
/// nothing to inject; the instances' stores are wrapped to tell a time that is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_clocks_apart() {
    let server = RedisServer::start();
    let quarter = 15 * 60 * 1000;
    let fleet = Fleet::new(
        [quarter, -quarter, 0]
            .map(|ahead| Twisted::shared(redis_store(&server.url(), false), Twist::Clock(ahead))),
    );
    let server = run("with_clocks_apart", &fleet, server, &[Fault::Lose], Traffic::full()).await;
    drop(server);
}

/// Slowness widens every gap between two steps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_slow_answers() {
    odd("with_slow_answers", Twist::Slow, &[Fault::Lose, Fault::Replace]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_slow_answers_under_everything_at_once() {
    odd("with_slow_answers_under_everything_at_once", Twist::Slow, &Fault::ALL).await;
}

/// P11: who couldn't confirm an invalidation never serves what it was to reach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_invalidations_that_fail() {
    odd("with_invalidations_that_fail", Twist::Unsure, &[Fault::ForgetScripts]).await;
}

/// P10: a fence keeps what it covers when its process is gone before the invalidation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_instances_that_crash() {
    let server = RedisServer::start();
    let fleet = over(&server, false);
    let crashes = crash::begin(fleet.clone(), server.url(), "/users/1/fenced");
    // Others move the fenced scope meanwhile, which must not open it.
    let traffic = Traffic { writes: Writes::Tags, writers: 3, ..Traffic::full() };
    let server = work(&fleet, server, &[Fault::LoseAllButFences], traffic).await;
    crashes.end();
    conclude("with_instances_that_crash", &fleet).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_invalidations_that_do_nothing_are_found() {
    control(Twist::Deaf, Traffic::plain(Writes::Every)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_stamps_that_always_match_are_found() {
    control(Twist::Agreeable, Traffic::plain(Writes::Paths)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_fills_without_an_epoch_are_found() {
    control(Twist::Epochless, Traffic::plain(Writes::Patterns)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_flights_under_a_constant_snapshot_are_found() {
    control(Twist::Frozen, Traffic::plain(Writes::Paths)).await;
}

/// The same crashes without a fence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_crashes_without_a_fence_are_found() {
    let server = RedisServer::start();
    let fleet = over(&server, false);
    let crashes = crash::begin(fleet.clone(), server.url(), "/users/1");
    found("control_crashes", fleet, server, &[], Traffic::plain(Writes::Paths)).await;
    crashes.end();
}

/// The run id left out, by the option that trusts restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_old_snapshots_that_are_trusted_are_found() {
    let server = RedisServer::start();
    let fleet = over(&server, true);
    let faults = &[Fault::RestartFromOldSnapshot];
    found("control_trusted_snapshots", fleet, server, faults, Traffic::plain(Writes::Every)).await;
}

/// Three instances over one server.
fn over(server: &RedisServer, trust_restarts: bool) -> Fleet {
    let store = || Arc::new(redis_store(&server.url(), trust_restarts)) as _;
    Fleet::new((0..INSTANCES).map(|_| store()))
}

async fn odd(name: &str, twist: Twist, faults: &'static [Fault]) {
    let server = RedisServer::start();
    let store = || Twisted::shared(redis_store(&server.url(), false), twist);
    let fleet = Fleet::new((0..INSTANCES).map(|_| store()));
    drop(run(name, &fleet, server, faults, Traffic::full()).await);
}

async fn clean(name: &str, faults: &'static [Fault]) {
    let server = RedisServer::start();
    let stores =
        (0..INSTANCES).map(|_| std::sync::Arc::new(redis_store(&server.url(), false)) as _);
    let fleet = Fleet::new(stores);
    drop(run(name, &fleet, server, faults, Traffic::full()).await);
}

/// A run on a store that breaks a rule, in which something must be found.
async fn control(twist: Twist, traffic: Traffic) {
    let server = RedisServer::start();
    let stores = (0..INSTANCES).map(|_| Twisted::shared(redis_store(&server.url(), false), twist));
    let fleet = Fleet::new(stores);
    found(&format!("control {twist:?}"), fleet, server, &[], traffic).await;
}
