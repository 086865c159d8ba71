//! The same on a cluster, whose primaries change and die, and whose slots move.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use tokio::task::{JoinHandle, JoinSet};
use tower_response_cache::key::{Names, Space};
use tower_response_cache::{NearCache, RedisStore, Store};

use crate::checker::{History, Seen, Via};
use crate::cluster::{Cluster, PRIMARIES, until};
use crate::fleet::{Fleet, INSTANCES, Layout, near_store, redis_store};
use crate::runs::{ENOUGH, conclude, let_work, seed};
use crate::sentinels::{PASSWORD, Watched};
use crate::source::all_keys;
use crate::traffic::Traffic;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_that_fails_over() {
    let name = "on_a_cluster_that_fails_over";
    run(name, Layout::OneSlot, Duration::ZERO, |url| Arc::new(redis_store(url, false))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_that_fails_over_with_strict_near_caches() {
    let name = "on_a_cluster_that_fails_over_with_strict_near_caches";
    run(name, Layout::OneSlot, Duration::ZERO, |url| {
        Arc::new(near_store(url, NearCache::strict()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_that_fails_over_with_spread_tenants() {
    let name = "on_a_cluster_that_fails_over_with_spread_tenants";
    run(name, Layout::Spread, Duration::ZERO, |url| Arc::new(redis_store(url, false))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_that_fails_over_with_spread_tenants_and_strict_near_caches() {
    let name = "on_a_cluster_that_fails_over_with_spread_tenants_and_strict_near_caches";
    run(name, Layout::Spread, Duration::ZERO, |url| Arc::new(near_store(url, NearCache::strict())))
        .await;
}

/// What is told on the feed of one primary after it has lost its slots is nothing; what was told
/// before is seen within the bound.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_cluster_that_fails_over_with_coherent_near_caches() {
    let near = NearCache::coherent().liveness(LIVENESS);
    let name = "on_a_cluster_that_fails_over_with_coherent_near_caches";
    run(name, Layout::OneSlot, LIVENESS, |url| Arc::new(near_store(url, near.clone()))).await;
}

const LIVENESS: Duration = Duration::from_millis(150);

async fn run(name: &str, layout: Layout, grace: Duration, store: impl Fn(&str) -> Arc<dyn Store>) {
    let cluster = Cluster::start();
    let url = cluster.url();
    let mut fleet = Fleet::of(layout, (0..INSTANCES).map(|_| store(&url)));
    fleet.grace = grace;
    let mut rng = Rng::with_seed(seed());
    let stop = Arc::new(AtomicBool::new(false));
    let harm = {
        let (stop, history, rng) = (Arc::clone(&stop), Arc::clone(&fleet.history), rng.fork());
        tokio::task::spawn_blocking(move || harm(cluster, layout, &stop, &history, rng))
    };
    let clients = Traffic::full().start(&fleet, &mut rng);
    let cluster = until_well(&fleet, clients, harm, &stop, Duration::from_secs(6)).await;
    conclude(name, &fleet).await;
    drop(cluster);
}

/// Primaries die; the next one is another each time, and may be passed over at once for a third. Each
/// dies only after it has answered: a new one is used after a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_while_primaries_die() {
    let mut watched = Watched::start();
    let url = watched.url();
    let store = || -> Arc<dyn Store> {
        let builder = RedisStore::builder(&url).sentinel_credentials("", PASSWORD);
        let builder = builder.connections(2).connect_timeout(Duration::from_millis(500));
        Arc::new(builder.connect_lazy().unwrap())
    };
    let fleet = Fleet::new((0..INSTANCES).map(|_| store()));
    let stop = Arc::new(AtomicBool::new(false));
    let harm = {
        let (stop, history) = (Arc::clone(&stop), Arc::clone(&fleet.history));
        tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                until_used(ENOUGH, &history, &stop);
                std::thread::sleep(Duration::from_millis(500));
                history.fault("kill the primary");
                let primary = watched.primary();
                watched.servers[primary].kill();
                until("another is the primary", || watched.primary() != primary);
                std::thread::sleep(Duration::from_secs(1));
                history.fault("bring it back");
                watched.servers[primary].restart();
                watched.settle();
            }
            watched
        })
    };
    let clients = Traffic::full().start(&fleet, &mut Rng::with_seed(seed()));
    let watched = until_well(&fleet, clients, harm, &stop, Duration::from_secs(20)).await;
    conclude("behind_sentinels_while_primaries_die", &fleet).await;
    drop(watched);
}

/// Lets the clients work for a while, and waits until all is well again.
async fn until_well<T>(
    fleet: &Fleet,
    mut clients: JoinSet<()>,
    harm: JoinHandle<T>,
    stop: &AtomicBool,
    span: Duration,
) -> T {
    let_work(fleet, &mut clients, span).await;
    stop.store(true, Ordering::Relaxed);
    clients.shutdown().await;
    harm.await.unwrap()
}

/// Waits until there were so many more hits and there is no lull, or it is told to stop: what nobody has
/// used proves nothing.
fn until_used(more: usize, history: &History, stop: &AtomicBool) {
    let hits = || history.count(|seen| matches!(seen, Seen::Version(_, Via::Hit)));
    let before = hits();
    while (hits() < before + more || history.is_lull()) && !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Does harm until told to stop, and leaves the cluster in good health.
fn harm(
    mut cluster: Cluster,
    layout: Layout,
    stop: &AtomicBool,
    history: &History,
    mut rng: Rng,
) -> Cluster {
    let tenants: Vec<String> = all_keys().map(|key| key.tenant.to_owned()).collect();
    let (mut dead, mut is_first) = (None, true);
    while !stop.load(Ordering::Relaxed) {
        let tenant = &tenants[rng.usize(..tenants.len())];
        let name = match rng.u8(..3) {
            0 => "history:a:all".to_owned(),
            1 if layout == Layout::Spread => {
                // Where a key is, if its text is the target.
                let keys: Vec<_> = all_keys().filter(|key| key.tenant == *tenant).collect();
                let space = Space::new(&"history".into(), tenant).spread(true);
                let target = keys[rng.usize(..keys.len())].target;
                Names::new(&space, "GET", target).epoch().to_owned()
            }
            _ => format!("history:e:{{{tenant}}}:x"),
        };
        let owner = cluster.owner(&name);
        let turn = if std::mem::take(&mut is_first) { 0 } else { rng.u8(..4) };
        match (turn, dead) {
            (0, None) => {
                history.fault("kill a primary");
                cluster.kill(owner);
                cluster.settle();
                dead = Some(owner);
            }
            (0 | 1, Some(node)) => {
                history.fault("bring it back");
                cluster.nodes[node].restart();
                cluster.settle();
                dead = None;
            }
            (1, None) => {
                history.fault("fail over");
                let replica = cluster.replica_of(owner);
                cluster.fail_over(replica);
                cluster.settle();
            }
            _ => {
                history.fault("move a slot");
                let others =
                    (0..2 * PRIMARIES).filter(|at| *at != owner && cluster.is_primary(*at));
                let others: Vec<usize> = others.collect();
                let to = others[rng.usize(..others.len())];
                cluster.move_slot(cluster.slot(&name), owner, to);
            }
        }
        until_used(3, history, stop);
        std::thread::sleep(Duration::from_millis(rng.u64(20..200)));
    }
    if let Some(node) = dead {
        cluster.nodes[node].restart();
    }
    cluster.settle();
    cluster
}
