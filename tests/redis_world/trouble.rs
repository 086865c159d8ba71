//! Servers that are there and do not do what they are asked.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tower_response_cache::Store;
use tower_response_cache::key::{Names, Space};
use tower_response_cache::store::StoreErrorKind;

use crate::fleet::{Instance, PATIENCE, address, assert_says, connect, patiently, source, tell};
use crate::support::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reads_its_snapshot() {
    let mut server = RedisServer::start();
    let source = source();
    let app = Instance::new(connect(&server).await, &source);
    app.recovers("42").await;
    for number in 0..300 {
        tell(&server, &format!("SET filler:{number} {}", "x".repeat(1000)));
    }
    tell(&server, "SAVE");
    // 10 ms for each name that it reads.
    tokio::task::block_in_place(|| {
        server.restart_unready(&[
            "--key-load-delay",
            "10000",
            "--loading-process-events-interval-bytes",
            "1024",
        ]);
    });
    let began = Instant::now();
    let error = patiently(&server.url()).connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_says(&error, &address(&server), &["loading", "reading its data"]);
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    app.read("42").await.assert_bypass("dirty");
    println!("read while it was loading for {:?}", began.elapsed());
    app.confirmed().await;
    app.recovers("42").await;
    app.recovers("7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reloads_what_it_has() {
    let server = RedisServer::with_args(&["--enable-debug-command", "yes"]);
    let app = Instance::new(connect(&server).await, &source());
    app.recovers("42").await;
    for round in 0..5 {
        tell(&server, "DEBUG RELOAD");
        app.read("42").await;
        app.write("42", &format!("new {round}")).await;
        app.recovers("42").await;
    }
    assert_eq!(app.unconfirmed(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_not_save_takes_no_writes() {
    // Nobody can create a file there.
    let server = RedisServer::with_args(&[
        "--save",
        "3600 1",
        "--dir",
        "/proc",
        "--enable-protected-configs",
        "yes",
    ]);
    let app = Instance::new(connect(&server).await, &source());
    app.recovers("42").await;
    tell(&server, "BGSAVE");
    let began = Instant::now();
    while !server.raw(&[b"SET", b"probe", b"1"]).starts_with("-MISCONF") {
        assert!(began.elapsed() < PATIENCE, "it saves");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(app.read("42").await.is_hit(), "what is there is served");
    app.read("7").await.assert_bypass("store");
    app.write("42", "new").await;
    assert_eq!(app.unconfirmed(), 1);
    app.read("42").await.assert_bypass("dirty");

    tell(&server, &format!("CONFIG SET dir {}", server.dir().display()));
    tell(&server, "BGSAVE");
    app.confirmed().await;
    app.recovers("42").await;
    app.recovers("7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_more_clients() {
    let server = RedisServer::with_args(&["--maxclients", "4"]);
    let source = source();
    let inside = Instance::new(connect(&server).await, &source);
    inside.recovers("42").await;
    // One is inside; nobody else gets in. Whoever did in between leaves a place, but not at once.
    let began = Instant::now();
    let mut hogs = Vec::new();
    let mut refusals = Vec::new();
    while refusals.len() < 4 {
        hogs.push(TcpStream::connect(("127.0.0.1", server.port())).unwrap());
        match patiently(&server.url()).connect().await {
            Ok(_) => refusals.clear(),
            Err(error) => refusals.push(error),
        }
        assert!(began.elapsed() < PATIENCE, "there is always room");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let error = refusals.pop().unwrap();
    let outside = Instance::new(patiently(&server.url()).connect_lazy().unwrap(), &source);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert_says(&error, &address(&server), &["max number of clients", "maxclients"]);
    outside.read("42").await.assert_bypass("store");
    outside.write("42", "new").await;
    assert_eq!(outside.unconfirmed(), 1);
    outside.read("42").await.assert_bypass("dirty");
    assert!(!inside.read("7").await.cache_status().contains("bypass"), "who is in stays in");

    drop(hogs);
    outside.confirmed().await;
    for app in [&inside, &outside] {
        app.recovers("42").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_with_a_script() {
    let server = RedisServer::with_args(&["--busy-reply-threshold", "50"]);
    let app = Instance::new(connect(&server).await, &source());
    app.recovers("42").await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"*3\r\n$4\r\nEVAL\r\n$17\r\nwhile true do end\r\n$1\r\n0\r\n").unwrap();
    let began = Instant::now();
    while !server.raw(&[b"PING"]).starts_with("-BUSY") {
        assert!(began.elapsed() < PATIENCE, "it is not busy");
    }
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    app.read("42").await.assert_bypass("dirty");
    tell(&server, "SCRIPT KILL");
    app.confirmed().await;
    app.recovers("42").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_closed_while_idle() {
    let server = RedisServer::with_args(&["--timeout", "1"]);
    let app = Instance::new(connect(&server).await, &source());
    for round in 0..2 {
        app.recovers("42").await;
        let began = Instant::now();
        while tell(&server, "CLIENT LIST").matches("name=").count() > 1 {
            assert!(began.elapsed() < PATIENCE, "it closes nothing");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(app.read("42").await.is_hit(), "round {round}");
        app.write("42", &format!("new {round}")).await;
    }
    assert_eq!((app.unconfirmed(), app.store_errors()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_a_cluster() {
    let server = RedisServer::with_args(&["--cluster-enabled", "yes"]);
    let app = Instance::new(connect(&server).await, &source());
    app.read("42").await.assert_bypass("store");
    let names = Names::new(&Space::new(&Arc::from("gym"), "4"), "GET", "/users");
    let error = connect(&server).await.lookup(&names).await.unwrap_err();
    assert_says(&error, &address(&server), &["a node of a cluster", "redis+cluster://"]);
    // One that has all of it can do what no rule for all tenants asks of it.
    tell(&server, "CLUSTER ADDSLOTSRANGE 0 16383");
    app.write("42", "new").await;
    app.confirmed().await;
    app.recovers("42").await;
    app.write("42", "newer").await;
    app.read("42").await;
    assert!(app.0.cache.tenant("4").unwrap().delete_pattern("/users/*").await.is_ok());
    app.recovers("42").await;
}

#[tokio::test]
async fn a_name_that_nobody_has() {
    let url = "redis://no-such-host.invalid:7000";
    let error = patiently(url).connect().await.unwrap_err();
    assert_says(&error, "no-such-host.invalid:7000", &[]);
    let app = Instance::new(patiently(url).connect_lazy().unwrap(), &source());
    app.read("42").await.assert_bypass("store");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_are_made_anew() {
    let server = Arc::new(RedisServer::start());
    let source = source();
    let one = Instance::new(connect(&server).await, &source);
    let other = Instance::new(connect(&server).await, &source);
    for round in 0..20 {
        one.recovers("42").await;
        tell(&server, "CLIENT KILL TYPE normal");
        one.read("42").await;
        one.write("42", &format!("new {round}")).await;
        one.confirmed().await;
        other.read("42").await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let killer = {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        tokio::task::spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                tell(&server, "CLIENT KILL TYPE normal");
                std::thread::sleep(Duration::from_millis(3));
            }
        })
    };
    for round in 0..200 {
        one.write("42", &format!("newer {round}")).await;
        one.read("42").await;
        one.read("7").await;
    }
    stop.store(true, Ordering::Relaxed);
    killer.await.unwrap();
    one.confirmed().await;
    for app in [&one, &other] {
        app.recovers("42").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_are_paused_wait_no_longer_than_they_may() {
    for what in ["ALL", "WRITE"] {
        let server = RedisServer::start();
        let source = source();
        let one = Instance::brief(connect(&server).await, &source);
        let other = Instance::new(connect(&server).await, &source);
        one.recovers("42").await;
        tell(&server, &format!("CLIENT PAUSE 2000 {what}"));
        let began = Instant::now();
        one.read("7").await;
        one.write("42", "new").await;
        one.read("42").await.assert_bypass("dirty");
        let took = began.elapsed();
        assert_eq!(one.unconfirmed(), 1, "{what}");
        assert!(took < Duration::from_millis(1900), "{what}: {took:?}");
        one.confirmed().await;
        for app in [&one, &other] {
            app.recovers("42").await;
            app.recovers("7").await;
        }
    }
}
