//! More than fits into `maxmemory`, under every policy.

use std::time::Duration;

use axum::http::Method;

use crate::fleet::{Instance, connect, patiently, tell};
use crate::support::app::{Source, request};
use crate::support::redis_server::RedisServer;

const USERS: usize = 500;

/// So large that not even half of the users fit.
fn value(round: usize) -> String {
    format!("{round:06}").repeat(1200)
}

fn field(server: &RedisServer, section: &str, name: &str) -> u64 {
    let info = tell(server, &format!("INFO {section}"));
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name} in {info}"))
}

async fn fills_up(policy: &str) {
    let server = RedisServer::with_args(&["--maxmemory", "3500kb", "--maxmemory-policy", policy]);
    let source = Source::default();
    for id in 0..USERS {
        source.put("4", &id.to_string(), &value(0));
    }
    let apps = [
        Instance::fenced(connect(&server).await, &source),
        Instance::fenced(connect(&server).await, &source),
    ];
    for id in 0..USERS {
        apps[id % 2].read(&id.to_string()).await;
    }
    apps[0].0.cache.settled().await;
    apps[1].0.cache.settled().await;
    let evicted = field(&server, "stats", "evicted_keys");
    assert_eq!(evicted == 0, policy == "noeviction", "{policy}: {evicted}");

    let mut hits = 0;
    for round in 1..=300 {
        let id = (round * 7 % USERS).to_string();
        let [writer, reader] = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        // A read that is under way when the write comes must not leave its answer behind.
        let under_way = (round % 10 == 0).then(|| {
            let mut slow = request(Method::GET, "4", &format!("/users/{id}"));
            slow.headers_mut().insert("x-delay-ms", "30".parse().unwrap());
            let app = apps[reader].0.clone();
            tokio::spawn(async move { app.send(slow).await })
        });
        if under_way.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if round % 7 == 0 {
            // With a fence, whose keys may be evicted while it stands.
            let mut slow = request(Method::DELETE, "4", &format!("/users/{id}"));
            slow.headers_mut().insert("x-delay-ms", "20".parse().unwrap());
            let app = apps[writer].0.clone();
            let removal = tokio::spawn(async move { app.send(slow).await });
            for other in 0..10 {
                apps[reader].0.get("4", &format!("/users/{id}")).await;
                apps[writer].read(&((round + other) * 17 % USERS).to_string()).await;
            }
            assert_eq!(removal.await.unwrap().status, 204);
        } else {
            apps[writer].write(&id, &value(round)).await;
        }
        if let Some(under_way) = under_way {
            assert_eq!(under_way.await.unwrap().status, 200);
            apps[reader].0.cache.settled().await;
        }
        hits += u64::from(apps[reader].read(&id).await.is_hit());
        hits += u64::from(apps[writer].read(&id).await.is_hit());
        let old = (round * 13 % USERS).to_string();
        hits += u64::from(apps[reader].read(&old).await.is_hit());
    }
    // Every invalidation was confirmed, full or not.
    let unconfirmed = apps.iter().map(Instance::unconfirmed).sum::<u64>();
    let errors = apps.iter().map(Instance::store_errors).sum::<u64>();
    println!("{policy}: {evicted} evicted while filling, {hits} hits of 900, {errors} errors");
    assert_eq!(unconfirmed, 0, "{policy}");

    // Ad-hoc removals too.
    let removed = apps[0].0.cache.tenant("4").unwrap().delete_pattern("/users/*").await.unwrap();
    assert!(removed > 0, "{policy}");
    // A fuller server yet: nothing fits at all.
    tell(&server, "CONFIG SET maxmemory 100kb");
    for round in 301..320 {
        let id = (round * 7 % USERS).to_string();
        apps[0].write(&id, &value(round)).await;
        apps[0].read(&id).await;
        apps[1].read(&id).await;
    }
    tell(&server, "CONFIG SET maxmemory 0");
    for app in &apps {
        app.confirmed().await;
        app.recovers("3").await;
    }
}

macro_rules! policies {
    ($($name:ident: $policy:literal)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                fills_up($policy).await;
            }
        )*
    };
}

policies! {
    full_under_noeviction: "noeviction"
    full_under_allkeys_lru: "allkeys-lru"
    full_under_allkeys_lfu: "allkeys-lfu"
    full_under_allkeys_random: "allkeys-random"
    full_under_volatile_lru: "volatile-lru"
    full_under_volatile_lfu: "volatile-lfu"
    full_under_volatile_random: "volatile-random"
    full_under_volatile_ttl: "volatile-ttl"
}

/// A server that has room for nothing refuses a write: that is a fill that isn't stored, and a miss
/// that can't be prepared, and neither is more than that to a client.
#[tokio::test]
async fn a_write_that_is_refused_for_want_of_room() {
    let server = RedisServer::start();
    let source = crate::fleet::source();
    let app = Instance::new(patiently(&server.url()).connect().await.unwrap(), &source);
    app.recovers("42").await;
    tell(&server, "CONFIG SET maxmemory 100kb");
    assert!(app.read("42").await.is_hit(), "what is there is served");
    app.read("7").await.assert_bypass("store");
    app.write("42", "new").await;
    assert_eq!(app.unconfirmed(), 0);
    assert!(!app.read("42").await.is_hit());
    tell(&server, "CONFIG SET maxmemory 0");
    app.recovers("7").await;
    app.recovers("42").await;
}
