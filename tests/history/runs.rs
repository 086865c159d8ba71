//! One run: faults and clients, for a while, and the verdict.

use std::time::{Duration, Instant};

use axum::http::Method;
use fastrand::Rng;
use tokio::task::JoinSet;

use crate::checker::{Seen, Via};
use crate::faults::{Fault, Faults};
use crate::fleet::Fleet;
use crate::readers::read;
use crate::source::{NEWS, Plan, all_keys};
use crate::support::redis_server::RedisServer;
use crate::traffic::Traffic;

/// A run in which nothing must be found.
pub async fn run(
    name: &str,
    fleet: &Fleet,
    server: RedisServer,
    faults: &'static [Fault],
    traffic: Traffic,
) -> RedisServer {
    let server = work(fleet, server, faults, traffic).await;
    conclude(name, fleet).await;
    server
}

/// How many hits there must be: where nothing is answered from the store, nothing can be wrong.
pub const ENOUGH: usize = 30;

/// Whether enough has happened to prove anything.
pub fn is_enough(fleet: &Fleet) -> bool {
    let versions = fleet.history.count(|seen| matches!(seen, Seen::Version(..)));
    versions > 100 && hits(fleet) >= ENOUGH && (!fleet.is_near || near_hits(fleet) > 0)
}

fn hits(fleet: &Fleet) -> usize {
    fleet.history.count(|seen| matches!(seen, Seen::Version(_, Via::Hit)))
}

fn near_hits(fleet: &Fleet) -> u64 {
    fleet.instances.iter().map(|one| one.cache.stats().near).sum()
}

/// Lets the clients work while faults happen.
pub async fn work(
    fleet: &Fleet,
    server: RedisServer,
    faults: &'static [Fault],
    traffic: Traffic,
) -> RedisServer {
    let mut rng = Rng::with_seed(seed());
    let faults = Faults::begin(server, faults, fleet.history.clone(), rng.fork());
    let mut clients = traffic.start(fleet, &mut rng);
    let_work(fleet, &mut clients, duration()).await;
    clients.shutdown().await;
    tokio::task::spawn_blocking(move || faults.end()).await.unwrap()
}

/// Checks what was seen, and that much was.
pub async fn conclude(name: &str, fleet: &Fleet) {
    let late = settle(fleet).await;
    let violations = fleet.history.violations(&fleet.source, fleet.grace);
    for violation in violations.iter().take(3) {
        eprintln!("{violation}");
    }
    summarize(name, fleet, violations.len());
    assert!(
        violations.is_empty() && late.is_empty(),
        "HISTORY_SEED={}: {} violations, writes lost at the end: {late:#?}",
        seed(),
        violations.len(),
    );
    assert!(is_enough(fleet), "{name}: too little has happened to prove anything");
}

/// Runs until something is found, which must be soon.
pub async fn found(
    name: &str,
    fleet: Fleet,
    server: RedisServer,
    faults: &'static [Fault],
    traffic: Traffic,
) {
    let mut rng = Rng::with_seed(seed());
    let faults = Faults::begin(server, faults, fleet.history.clone(), rng.fork());
    let mut clients = traffic.start(&fleet, &mut rng);
    let began = Instant::now();
    let mut violations = 0;
    while violations == 0 && began.elapsed() < Duration::from_secs(20) {
        watch(&mut clients, Duration::from_millis(300)).await;
        violations = fleet.history.violations(&fleet.source, fleet.grace).len();
    }
    clients.shutdown().await;
    tokio::task::spawn_blocking(move || faults.end()).await.unwrap();
    summarize(name, &fleet, violations);
    assert!(violations > 0, "{name}: the checker is blind");
}

/// Lets the clients work so long, and then in a lull until enough has happened: on a busy machine a server
/// that pauses or dies leaves little time between.
pub async fn let_work(fleet: &Fleet, clients: &mut JoinSet<()>, span: Duration) {
    let latest = Instant::now() + span + Duration::from_secs(20);
    watch(clients, span).await;
    while !is_enough(fleet) && Instant::now() < latest {
        fleet.history.lull(true);
        watch(clients, Duration::from_millis(200)).await;
    }
    if fleet.history.is_lull() {
        // What has been stored meanwhile meets what goes wrong, too.
        fleet.history.lull(false);
        watch(clients, Duration::from_secs(1)).await;
    }
}

/// Lets the clients work, and sees that none of them fails.
async fn watch(clients: &mut JoinSet<()>, span: Duration) {
    if let Ok(Some(ended)) = tokio::time::timeout(span, clients.join_next()).await {
        ended.unwrap();
        unreachable!("clients go on until they are aborted");
    }
}

/// After the traffic nothing is left unconfirmed, and everybody sees the last version of everything:
/// no write was lost, whatever became of its client. Answers who saw less.
async fn settle(fleet: &Fleet) -> Vec<String> {
    for instance in &*fleet.instances {
        let left = instance.cache.shutdown(Duration::from_secs(20)).await;
        left.expect("invalidations are confirmed once the server is well");
    }
    fleet.pay().await;
    tokio::time::sleep(fleet.grace).await;
    let mut late = Vec::new();
    for key in all_keys() {
        for instance in 0..fleet.instances.len() {
            // What a soft invalidation reached is refreshed by the first who ask.
            let mut tries = if key.target == NEWS { 10 } else { 1 };
            loop {
                let seen = read(fleet, instance, Method::GET, key, Plan::prompt(), None).await;
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
    late
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
    let hits = hits(fleet);
    println!(
        "{name}: reads {}, hits {hits}, near {}, stale {stale}, collapsed {collapsed}, failed {}, left {}, \
         slowest {:?}, writes {}, unconfirmed {unconfirmed}, faults {:?}, violations {violations}, \
         seed {}",
        history.count(|_| true),
        near_hits(fleet),
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

/// The seed of this process.
pub fn seed() -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| {
        let given = std::env::var("HISTORY_SEED").ok();
        given.map_or_else(|| fastrand::u64(..), |text| text.parse().expect("a number"))
    })
}
