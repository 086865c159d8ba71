//! How many look-ups a cluster answers, beside a single server. `--ignored`, on a quiet machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower_response_cache::key::{Names, Space};
use tower_response_cache::store::{Found, Miss, MissRequest};
use tower_response_cache::{RedisStore, Store};

use crate::cluster::{Cluster, PRIMARIES, ask};
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
    let (done, took) = look_up_together(store, &names, |_| ()).await;
    done as u128 * 1000 / took.as_millis()
}

/// Where the entries of one tenant are in one slot, and where they are spread: what each primary does for
/// a hit, and what the tenant could have if the busiest had a core of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn hits_of_one_tenant() {
    let cluster = Cluster::start();
    for length in [1024, 32 * 1024] {
        for spread in [false, true, false, true] {
            let store = Arc::new(RedisStore::connect(&cluster.url()).await.unwrap());
            hits(&cluster, &store, spread, length).await;
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "no measurement is so exact")]
async fn hits(cluster: &Cluster, store: &Arc<RedisStore>, spread: bool, length: usize) {
    const KEYS: usize = 500;
    let space = Space::new(&Arc::from("gym"), "4").spread(spread);
    let names: Arc<[Names]> = (0..KEYS)
        .map(|id| {
            let mut names = Names::new(&space, "GET", &format!("/users/{id}"));
            names.push_scope("tenant");
            names.push_scope(&format!("path:/users/{id}"));
            names
        })
        .collect();
    for names in names.iter() {
        let scopes = names.scopes_digest();
        let mut request = MissRequest::new(600_000, scopes);
        request.ignore_entry = true;
        let Miss::Granted(snapshot) = store.miss(names, &request).await.unwrap() else { panic!() };
        let frame = Bytes::from(vec![b'x'; length]);
        store.fill(names, &snapshot, None, frame, 600_000).await.unwrap();
    }
    let mut alone = Vec::new();
    for at in 0..2000 {
        let began = Instant::now();
        assert!(store.lookup(&names[at % KEYS]).await.unwrap().entry.is_some());
        alone.push(began.elapsed());
    }
    alone.sort();
    let before = work(cluster);
    let is_hit = |found: Found| assert!(found.entry.is_some());
    let (done, took) = look_up_together(store, &names, is_hit).await;
    let done = done as f64;
    let rate = done / took.as_secs_f64();
    let after = work(cluster);
    let each = |of: fn(&Work) -> f64| -> Vec<f64> {
        before.iter().zip(&after).map(|(before, after)| (of(after) - of(before)) / done).collect()
    };
    let (cpu, commands) = (each(|work| work.micros), each(|work| work.commands));
    let sent = each(|work| work.sent);
    let busiest = cpu.iter().copied().fold(0.0, f64::max);
    println!(
        "{length} bytes, {}: {rate:.0} hits/s, alone {:?}; for a hit each primary: µs {cpu:.1?}, \
         commands {commands:.2?}, bytes sent {sent:.0?}; the busiest could do {:.0} hits/s",
        if spread { "spread" } else { "one slot" },
        alone[alone.len() / 2],
        1e6 / busiest,
    );
}

/// What a primary has done since it began.
struct Work {
    micros: f64,
    commands: f64,
    sent: f64,
}

fn work(cluster: &Cluster) -> Vec<Work> {
    let primaries = cluster.nodes[..PRIMARIES].iter();
    primaries
        .map(|node| {
            let info = ask(node.port(), &["INFO", "everything"]);
            let number = |name: &str| -> f64 {
                let line = info.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|rest| rest.split([',', '\r']).next()?.parse().ok()).unwrap_or(0.0)
            };
            let cpu = number("used_cpu_user_main_thread:") + number("used_cpu_sys_main_thread:");
            Work {
                micros: 1e6 * cpu,
                commands: number("cmdstat_mget:calls="),
                sent: number("total_net_output_bytes:"),
            }
        })
        .collect()
}

/// Has 64 tasks look these names up by turns, for a while. Answers how often they have, and in what time.
async fn look_up_together(
    store: &Arc<RedisStore>,
    names: &Arc<[Names]>,
    check: fn(Found),
) -> (usize, Duration) {
    let done = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let (store, names, done) = (Arc::clone(store), Arc::clone(names), Arc::clone(&done));
        tasks.spawn(async move {
            let mut at = 7 * task;
            while began.elapsed() < SPAN {
                check(store.lookup(&names[at % names.len()]).await.unwrap());
                done.fetch_add(1, Ordering::Relaxed);
                at += 13;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    (done.load(Ordering::Relaxed), began.elapsed())
}
