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
#![cfg(feature = "redis")]
#![allow(unreachable_pub, reason = "each module is read like a library of its own")]

mod support;

#[path = "history/checker.rs"]
mod checker;
#[path = "history/control.rs"]
mod control;
#[path = "history/faults.rs"]
mod faults;
#[path = "history/fleet.rs"]
mod fleet;
#[path = "history/source.rs"]
mod source;
#[path = "history/workers.rs"]
mod workers;

use std::time::{Duration, Instant};

use checker::{Seen, Via};
use control::{Twist, Twisted};
use fastrand::Rng;
use faults::{Fault, Faults};
use fleet::{Fleet, INSTANCES, redis_store};
use source::{Plan, all_keys};
use support::redis_server::RedisServer;
use tokio::task::JoinSet;
use workers::{Traffic, Writes, reader, writer};

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
            .map(|ahead| Twisted::new(redis_store(&server.url(), false), Twist::Clock(ahead))),
    );
    let server = run("with_clocks_apart", &fleet, server, &[Fault::Lose], Traffic::full()).await;
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

/// The run id left out, by the option that trusts restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_old_snapshots_that_are_trusted_are_found() {
    let server = RedisServer::start();
    let stores = (0..INSTANCES).map(|_| std::sync::Arc::new(redis_store(&server.url(), true)) as _);
    let fleet = Fleet::new(stores);
    let faults = &[Fault::RestartFromOldSnapshot];
    found("control_trusted_snapshots", fleet, server, faults, Traffic::plain(Writes::Every)).await;
}

/// A run in which nothing must be found.
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
    let stores = (0..INSTANCES).map(|_| Twisted::new(redis_store(&server.url(), false), twist));
    let fleet = Fleet::new(stores);
    found(&format!("control {twist:?}"), fleet, server, &[], traffic).await;
}

async fn run(
    name: &str,
    fleet: &Fleet,
    server: RedisServer,
    faults: &'static [Fault],
    traffic: Traffic,
) -> RedisServer {
    let mut rng = Rng::with_seed(seed());
    let faults = Faults::begin(server, faults, fleet.history.clone(), rng.fork());
    let mut clients = start(fleet, traffic, &mut rng);
    watch(&mut clients, duration()).await;
    stop(clients).await;
    let server = tokio::task::spawn_blocking(move || faults.end()).await.unwrap();
    finish(fleet).await;
    summarize(name, fleet, 0);
    let versions = fleet.history.count(|seen| matches!(seen, Seen::Version(..)));
    let hits = fleet.history.count(|seen| matches!(seen, Seen::Version(_, Via::Hit)));
    assert!(versions > 100 && hits > 0, "{name}: too little has happened to prove anything");
    server
}

/// Runs until something is found, which must be soon.
async fn found(
    name: &str,
    fleet: Fleet,
    server: RedisServer,
    faults: &'static [Fault],
    traffic: Traffic,
) {
    let mut rng = Rng::with_seed(seed());
    let faults = Faults::begin(server, faults, fleet.history.clone(), rng.fork());
    let mut clients = start(&fleet, traffic, &mut rng);
    let began = Instant::now();
    let mut violations = 0;
    while violations == 0 && began.elapsed() < Duration::from_secs(20) {
        watch(&mut clients, Duration::from_millis(300)).await;
        violations = fleet.history.violations(&fleet.source).len();
    }
    stop(clients).await;
    tokio::task::spawn_blocking(move || faults.end()).await.unwrap();
    summarize(name, &fleet, violations);
    assert!(violations > 0, "{name}: the checker is blind");
}

fn start(fleet: &Fleet, traffic: Traffic, rng: &mut Rng) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for _ in 0..traffic.readers {
        clients.spawn(reader(fleet.clone(), traffic, rng.fork()));
    }
    for _ in 0..traffic.writers {
        clients.spawn(writer(fleet.clone(), traffic, rng.fork()));
    }
    clients
}

/// Lets the clients work, and sees that none of them fails.
async fn watch(clients: &mut JoinSet<()>, span: Duration) {
    if let Ok(Some(ended)) = tokio::time::timeout(span, clients.join_next()).await {
        ended.unwrap();
        unreachable!("clients go on until they are aborted");
    }
}

async fn stop(mut clients: JoinSet<()>) {
    clients.shutdown().await;
}

/// After the traffic nothing is left unconfirmed, and everybody sees the last version of everything:
/// no write was lost, whatever became of its client.
async fn finish(fleet: &Fleet) {
    for instance in &*fleet.instances {
        let left = instance.cache.shutdown(Duration::from_secs(20)).await;
        left.expect("invalidations are confirmed once the server is well");
    }
    fleet.pay().await;
    let mut late = Vec::new();
    for key in all_keys() {
        for instance in 0..fleet.instances.len() {
            // What a soft invalidation reached is refreshed by the first who ask.
            let mut tries = if key.target == source::NEWS { 10 } else { 1 };
            loop {
                let seen = workers::read(fleet, instance, key, Plan::prompt(), None).await;
                let latest = fleet.source.version(key);
                tries -= 1;
                if matches!(seen, Seen::Version(version, _) if version == latest) {
                    break;
                }
                if tries == 0 {
                    late.push(format!("{key:?} at {instance}: {seen:?}, not {latest}"));
                    break;
                }
                fleet.instances[instance].cache.settled().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    let violations = fleet.history.violations(&fleet.source);
    for violation in violations.iter().take(3) {
        eprintln!("{violation}");
    }
    assert!(
        violations.is_empty() && late.is_empty(),
        "HISTORY_SEED={}: {} violations, writes lost at the end: {late:#?}",
        seed(),
        violations.len(),
    );
}

fn summarize(name: &str, fleet: &Fleet, violations: usize) {
    let history = &fleet.history;
    let (mut stale, mut collapsed, mut unconfirmed) = (0, 0, 0);
    for instance in &*fleet.instances {
        let stats = instance.cache.stats();
        stale += stats.stale;
        collapsed += stats.collapsed;
        unconfirmed += stats.unconfirmed;
    }
    let hits = history.count(|seen| matches!(seen, Seen::Version(_, Via::Hit)));
    println!(
        "{name}: reads {}, hits {hits}, stale {stale}, collapsed {collapsed}, failed {}, left {}, \
         slowest {:?}, writes {}, unconfirmed {unconfirmed}, faults {:?}, violations {violations}, \
         seed {}",
        history.count(|_| true),
        history.count(|seen| *seen == Seen::Failed),
        history.count(|seen| *seen == Seen::Left),
        history.slowest(),
        history.writes(),
        history.faults(),
        seed(),
    );
}

fn duration() -> Duration {
    let seconds = std::env::var("HISTORY_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs_f64(seconds.unwrap_or(2.0))
}

/// One seed for the process.
fn seed() -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("HISTORY_SEED").ok();
        given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"))
    })
}
