//! `load_target`: every mode serves the same items, and those that cache make them once.

use std::process::{Command, Stdio};

use reqwest::{Method, StatusCode};

use crate::redis_server::RedisServer;
use crate::server::{Server, binary, send};

const TENANT: (&str, &str) = ("x-tenant", "4");

#[tokio::test]
async fn every_mode_serves_items_of_the_size_that_it_is_told() {
    let redis = RedisServer::start();
    for mode in ["bare", "handwritten", "redis", "near", "strict", "memory"] {
        let server = start(mode, &redis).await;
        for _ in 0..2 {
            let answer = server.get(TENANT, "/items/7").await;
            assert_eq!((answer.status, answer.text.len()), (StatusCode::OK, 1000), "{mode}");
            assert!(answer.json()["id"].is_u64(), "{mode}: {answer:?}");
        }
        let put = send(server.request(Method::PUT, "/items/7").header(TENANT.0, TENANT.1)).await;
        assert_eq!(put.status, StatusCode::NO_CONTENT, "{mode}");
    }
}

#[tokio::test]
async fn an_item_is_made_once_and_again_after_a_write() {
    let redis = RedisServer::start();
    for mode in ["handwritten", "redis", "near", "strict", "memory"] {
        let server = start(mode, &redis).await;
        assert_eq!(runs(&server).await, 0, "{mode}");
        let stored = settle(&server, mode).await;
        send(server.request(Method::PUT, "/items/7").header(TENANT.0, TENANT.1)).await;
        assert!(settle(&server, mode).await > stored, "{mode}: it is made again after a write");
    }
}

#[test]
fn a_mode_that_there_is_not_is_refused() {
    let ran = Command::new(binary("load_target"))
        .envs([("MODE", "x"), ("PORT", "0")])
        .stdin(Stdio::null())
        .output()
        .expect("the example starts");
    assert!(!ran.status.success());
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(told.contains("expected bare, handwritten"), "{told}");
}

async fn start(mode: &str, redis: &RedisServer) -> Server {
    let (url, size) = (redis.url(), "1000");
    let settings = [("MODE", mode), ("PORT", "0"), ("SIZE", size), ("REDIS_URL", &url)];
    Server::start("load_target", &settings).await
}

/// How often an item was made.
async fn runs(server: &Server) -> u64 {
    send(server.request(Method::GET, "/runs")).await.text.parse().expect("a number")
}

/// Asks until the item is answered from what is stored, and answers how often it was made by then.
async fn settle(server: &Server, mode: &str) -> u64 {
    // It is stored soon after its answer, not always before the next request.
    let mut before = u64::MAX;
    for _ in 0..50 {
        server.get(TENANT, "/items/7").await;
        let now = runs(server).await;
        if now == before {
            return now;
        }
        before = now;
    }
    panic!("{mode}: it is never stored");
}
