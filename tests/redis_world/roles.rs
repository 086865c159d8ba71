//! Primaries and replicas, and one that becomes the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_response_cache::Store;
use tower_response_cache::key::{Names, Space};
use tower_response_cache::store::StoreErrorKind;

use crate::fleet::{Instance, PATIENCE, address, assert_says, connect, patiently, source, tell};
use crate::support::redis_server::RedisServer;

fn quick() -> RedisServer {
    // Replicas are sent what they need at once, not after 5 seconds.
    RedisServer::with_args(&[
        "--repl-diskless-sync-delay",
        "0",
        "--repl-ping-replica-period",
        "1",
        "--repl-timeout",
        "5",
        "--enable-debug-command",
        "yes",
    ])
}

fn follow(replica: &RedisServer, primary: &RedisServer) {
    tell(replica, &format!("REPLICAOF 127.0.0.1 {}", primary.port()));
}

/// Waits until the replica has all that its primary has.
async fn in_sync(replica: &RedisServer) {
    let began = Instant::now();
    while !tell(replica, "INFO replication").contains("master_link_status:up") {
        assert!(began.elapsed() < PATIENCE, "the replica does not come up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_by_name_and_taken_once_it_is_a_primary() {
    let (primary, replica) = (quick(), quick());
    follow(&replica, &primary);
    in_sync(&replica).await;
    for trust in [false, true] {
        let builder = patiently(&replica.url()).trust_restarts(trust);
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        assert_says(&error, &address(&replica), &["is a replica", "must be the primary's"]);
    }
    let app = Instance::new(patiently(&replica.url()).connect_lazy().unwrap(), &source());
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    app.read("42").await;
    tell(&replica, "REPLICAOF NO ONE");
    app.confirmed().await;
    app.recovers("42").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_demoted_in_mid_run_and_promoted_again() {
    let (server, elsewhere) = (quick(), quick());
    let app = Instance::new(connect(&server).await, &source());
    app.recovers("42").await;
    app.recovers("7").await;
    follow(&server, &elsewhere);
    app.write("42", "new").await;
    assert_eq!(app.unconfirmed(), 1);
    app.read("42").await.assert_bypass("dirty");
    app.read("1").await.assert_bypass("store");
    app.read("7").await;
    tell(&server, "REPLICAOF NO ONE");
    app.confirmed().await;
    for id in ["42", "7", "1"] {
        app.recovers(id).await;
    }
}

/// A replica that may not show what it has while its primary is away answers reads with errors, and
/// no write comes through to be refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demoted_primary_that_answers_no_reads_is_left() {
    let server = quick();
    tell(&server, "CONFIG SET replica-serve-stale-data no");
    let source = source();
    let store = connect(&server).await;
    let names = Names::new(&Space::new(&Arc::from("gym"), "4"), "GET", "/users");
    let app = Instance::new(connect(&server).await, &source);
    app.recovers("42").await;
    store.lookup(&names).await.unwrap();
    tell(&server, "REPLICAOF 127.0.0.1 1");
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    app.read("42").await.assert_bypass("dirty");
    store.lookup(&names).await.unwrap_err();
    let error = store.lookup(&names).await.unwrap_err();
    assert_says(&error, &address(&server), &["is a replica"]);
    tell(&server, "REPLICAOF NO ONE");
    app.confirmed().await;
    app.recovers("42").await;
}

/// Nobody tells a client that its server has been demoted, and as long as it only reads, nothing is
/// refused: it would go on with what the old primary holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_primary_is_left_although_nothing_is_written_through_it() {
    for trust in [false, true] {
        let (old, new) = (quick(), quick());
        let source = source();
        let store = patiently(&old.url()).trust_restarts(trust).connect().await;
        let reader = Instance::new(store.unwrap(), &source);
        reader.recovers("42").await;
        follow(&new, &old);
        in_sync(&new).await;
        reader.recovers("42").await;

        // A fail-over, in which the old primary is cut off from the new one.
        tell(&new, "REPLICAOF NO ONE");
        tell(&old, "REPLICAOF 127.0.0.1 1");
        let store = patiently(&new.url()).trust_restarts(trust).connect().await;
        let writer = Instance::new(store.unwrap(), &source);
        // From here on the reader's own server hears of no invalidation.
        writer.write("42", "new").await;
        assert_eq!(writer.unconfirmed(), 0);
        let began = Instant::now();
        loop {
            let answer = reader.0.get("4", "/users/42").await;
            assert_eq!(answer.status, 200);
            if answer.text() == "4/42=new" {
                break;
            }
            assert!(answer.is_hit(), "{answer:?}");
            assert!(began.elapsed() < Duration::from_secs(5), "old answers do not end: {answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("left after {:?}", began.elapsed());
        for _ in 0..5 {
            reader.read("42").await.assert_bypass("store");
        }
    }
}

/// A primary that followed another for a while is the same process, but what it holds is what the
/// other had: here that of before an invalidation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_back_from_another_server_revives_nothing() {
    let (server, copy) = (quick(), quick());
    let source = source();
    let app = Instance::new(connect(&server).await, &source);
    app.recovers("42").await;
    // Any first replica changes the id of the data.
    follow(&copy, &server);
    in_sync(&copy).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    app.recovers("42").await;
    let began = Instant::now();
    while tell(&copy, "KEYS gym:e:*") != tell(&server, "KEYS gym:e:*") {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    tell(&copy, "REPLICAOF NO ONE");

    app.write("42", "new").await;
    assert_eq!(app.unconfirmed(), 0);
    follow(&server, &copy);
    in_sync(&server).await;
    tell(&server, "REPLICAOF NO ONE");
    let stored = tell(&server, "KEYS gym:e:*");
    assert!(stored.contains("/users/42"), "the old entry is back: {stored}");
    // By the connection of before, which has seen nothing of it, and by a new one.
    let other = Instance::new(connect(&server).await, &source);
    other.read("42").await.assert_miss();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for app in [&app, &other] {
        app.recovers("42").await;
    }
}

/// The id of the data can change although nothing happened to it. That costs the entries, and
/// instances agree again within a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_id_of_the_same_data_is_a_new_beginning() {
    let server = quick();
    let source = source();
    let one = Instance::new(connect(&server).await, &source);
    one.recovers("42").await;
    tell(&server, "DEBUG CHANGE-REPL-ID");
    let other = Instance::new(connect(&server).await, &source);
    other.recovers("42").await;
    let began = Instant::now();
    loop {
        one.recovers("42").await;
        other.recovers("42").await;
        let runs = source.runs();
        for _ in 0..5 {
            one.read("42").await;
            other.read("42").await;
        }
        if source.runs() == runs {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "they take each other's entries for foreign");
    }
}
