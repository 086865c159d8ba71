//! What is forgotten: scripts, everything, and what a snapshot had not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fleet::{Instance, connect, source, tell};
use crate::support::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_between_and_during_commands() {
    let server = Arc::new(RedisServer::start());
    let app = Instance::new(connect(&server).await, &source());
    app.recovers("42").await;
    tell(&server, "SCRIPT FLUSH");
    app.write("42", "new").await;
    tell(&server, "SCRIPT FLUSH");
    app.read("42").await.assert_miss();
    app.0.cache.settled().await;
    assert!(app.read("42").await.is_hit());

    let stop = Arc::new(AtomicBool::new(false));
    let flusher = {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                tell(&server, "SCRIPT FLUSH");
            }
        })
    };
    for round in 0..300 {
        app.write("42", &format!("new {round}")).await;
        app.read("42").await.assert_miss();
        app.read("7").await;
    }
    stop.store(true, Ordering::Relaxed);
    flusher.await.unwrap();
    assert_eq!((app.unconfirmed(), app.store_errors()), (0, 0));
    app.recovers("42").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_flushed_between_and_during_commands() {
    let server = Arc::new(RedisServer::start());
    let source = source();
    let apps = [
        Instance::new(connect(&server).await, &source),
        Instance::new(connect(&server).await, &source),
    ];
    apps[0].recovers("42").await;
    tell(&server, "FLUSHALL");
    apps[0].read("42").await.assert_miss();
    let stop = Arc::new(AtomicBool::new(false));
    let flusher = {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                tell(&server, "FLUSHALL");
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    };
    for round in 0..300 {
        apps[round % 2].write("42", &format!("new {round}")).await;
        for app in &apps {
            app.read("42").await;
            app.read("7").await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    flusher.await.unwrap();
    for app in &apps {
        assert_eq!((app.unconfirmed(), app.store_errors()), (0, 0));
        app.recovers("42").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_with_an_old_snapshot_revives_nothing() {
    let mut server = RedisServer::start();
    let source = source();
    let apps = [
        Instance::new(connect(&server).await, &source),
        Instance::new(connect(&server).await, &source),
    ];
    apps[0].recovers("42").await;
    apps[0].recovers("7").await;
    tell(&server, "SAVE");
    apps[0].write("42", "new").await;
    server.restart();
    let stored = tell(&server, "KEYS gym:e:*");
    assert!(stored.contains("/users/42"), "the old entry is back: {stored}");
    for app in &apps {
        for id in ["42", "7"] {
            app.read(id).await;
            app.recovers(id).await;
        }
    }
}
