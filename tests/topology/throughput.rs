//! How many look-ups a cluster answers, beside a single server. `--ignored`, on a quiet machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tower_response_cache::key::{Names, Space};
use tower_response_cache::{RedisStore, Store};

use crate::cluster::Cluster;
use crate::support::redis_server::RedisServer;

const TENANTS: usize = 300;
const SPAN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn look_ups_of_many_tenants() {
    let server = RedisServer::start();
    let cluster = Cluster::start();
    let owner = cluster.owner("gym:a:all");
    let apart = (0..TENANTS)
        .filter(|tenant| cluster.owner(&format!("gym:e:{{{tenant}}}:x")) != owner)
        .count();
    println!("{apart} of {TENANTS} tenants are on another node than the scope of all tenants");
    for _ in 0..2 {
        for (what, url) in [("one server", server.url()), ("a cluster", cluster.url())] {
            for everybody in [false, true] {
                let store = Arc::new(RedisStore::connect(&url).await.unwrap());
                let rate = rate(&store, everybody).await;
                println!("{what}, all tenants {everybody}: {rate} look-ups a second");
            }
        }
    }
}

async fn rate(store: &Arc<RedisStore>, everybody: bool) -> u128 {
    let namespace = Arc::from("gym");
    let names = (0..TENANTS).map(|tenant| {
        let mut names = Names::new(&Space::new(&namespace, &tenant.to_string()), "GET", "/users");
        names.push_scope("tenant");
        names.push_scope("path:/users");
        if everybody {
            names.push_all_tenants();
        }
        names
    });
    let names: Arc<[Names]> = names.collect();
    let done = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let (store, names, done) = (Arc::clone(store), Arc::clone(&names), Arc::clone(&done));
        tasks.spawn(async move {
            let mut at = task;
            while began.elapsed() < SPAN {
                store.lookup(&names[at % TENANTS]).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
                at += 7;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    done.load(Ordering::Relaxed) as u128 * 1000 / began.elapsed().as_millis()
}
