//! A fail-over and what came before it: what a promoted replica holds, and what `replicas` asks for.

use std::time::{Duration, Instant};

use tower_response_cache::{RedisStore, Scope};

use crate::Instance;
use crate::cluster::{ask, until};
use crate::support::redis_server::RedisServer;
use crate::traffic::World;

fn replica_of(primary: &RedisServer) -> RedisServer {
    let port = primary.port().to_string();
    let args = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
    let replica = RedisServer::with_args(&args);
    until("the replica is in step", || {
        ask(replica.port(), &["INFO", "replication"]).contains("master_link_status:up")
    });
    replica
}

/// An invalidation that the replica has not got is not confirmed; it is tried again until it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_counts_once_the_replicas_have_it() {
    let primary = RedisServer::start();
    let replica = replica_of(&primary);
    let world = World::default();
    // On a full machine a replica that is well takes longer than a while.
    let sure = RedisStore::builder(&primary.url()).replicas(1, Duration::from_secs(2));
    let here = Instance::new(sure, &world).await;
    let plain = Instance::new(RedisStore::builder(&primary.url()), &world).await;
    let mean = async |instance: &Instance| {
        let tenant = instance.app.cache.tenant("4").unwrap();
        let began = Instant::now();
        for _ in 0..100 {
            tenant.invalidate(&Scope::path("/users/1")).await.unwrap();
        }
        began.elapsed() / 100
    };
    here.app.warm("4", "/users/1").await;
    println!(
        "an invalidation takes {:?}, with a replica {:?}",
        mean(&plain).await,
        mean(&here).await
    );

    here.app.warm("4", "/users/1").await;
    replica.pause();
    let tenant = here.app.cache.tenant("4").unwrap();
    assert!(tenant.invalidate(&Scope::path("/users/1")).await.is_err());
    here.app.get("4", "/users/1").await.assert_bypass("dirty");
    replica.resume();
    here.app.cache.shutdown(Duration::from_secs(20)).await.expect("it is confirmed now");
}

/// The replica lacks the last invalidation when it is promoted; nothing it holds is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_promoted_replica_holds_is_not_believed() {
    let mut primary = RedisServer::start();
    let replica = replica_of(&primary);
    let world = World::default();
    let before = Instance::new(RedisStore::builder(&primary.url()), &world).await;
    before.app.warm("4", "/users/1").await;
    until("the replica has the entry", || {
        ask(replica.port(), &["KEYS", "gym:e:*"]).contains("/users/1")
    });
    // From here on the replica hears nothing.
    ask(replica.port(), &["REPLICAOF", "NO", "ONE"]);
    assert_eq!(before.app.put("4", "/users/1", "").await.text(), "1");
    primary.kill();
    let after = Instance::new(RedisStore::builder(&replica.url()), &world).await;
    let answer = after.app.get("4", "/users/1").await;
    answer.assert_miss();
    assert_eq!(answer.text(), "4/1=1");
    assert!(ask(replica.port(), &["KEYS", "gym:e:*"]).contains("/users/1"), "it was there");
}
