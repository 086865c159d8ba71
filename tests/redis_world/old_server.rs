//! Servers that are too old, or lack what every connection begins with.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use tower_response_cache::store::{StoreError, StoreErrorKind};

use crate::fleet::{Instance, address, assert_says, patiently, source};
use crate::support::redis_server::RedisServer;

/// A server that answers HELLO with this, and everything else with an error. Answers its port.
fn pretender(hello: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while let Some(Ok(line)) = lines.next() {
                // Each command begins with the number of its parts.
                if line.starts_with('*') {
                    lines.next();
                    let name = lines.next().unwrap().unwrap();
                    let reply = if name == "HELLO" { hello } else { "-ERR unknown command\r\n" };
                    if stream.write_all(reply.as_bytes()).is_err() {
                        break;
                    }
                }
            }
        }
    });
    port
}

async fn refusal(port: u16) -> StoreError {
    let url = format!("redis://app:s3cret@127.0.0.1:{port}");
    patiently(&url).connect().await.unwrap_err()
}

#[tokio::test]
async fn a_version_before_7_is_named() {
    let port = pretender(
        "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n6.2.14\r\n$5\r\nproto\r\n:3\r\n\
         $4\r\nrole\r\n$6\r\nmaster\r\n",
    );
    let error = refusal(port).await;
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &format!("127.0.0.1:{port}"), &["version 6.2.14", "7.0 or later"]);
    let url = format!("redis://127.0.0.1:{port}");
    let store = patiently(&url).connect_lazy().unwrap();
    let app = Instance::new(store, &source());
    app.read("42").await.assert_bypass("store");
}

#[tokio::test]
async fn a_version_that_does_not_know_hello_is_too_old() {
    let port = pretender(
        "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `app`, `s3cret`, \r\n",
    );
    let error = refusal(port).await;
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &format!("127.0.0.1:{port}"), &["HELLO", "7.0 or later"]);
}

/// Redis repeats the arguments of a command that it doesn't know, and of this one they are the
/// password.
#[tokio::test]
async fn a_server_without_hello_is_told_without_the_password() {
    let server = RedisServer::with_args(&["--rename-command", "HELLO", ""]);
    let error = refusal(server.port()).await;
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["HELLO", "7.0 or later"]);
}

#[tokio::test]
async fn renamed_commands_that_are_not_used_are_not_missed() {
    let server = RedisServer::with_args(&[
        "--rename-command",
        "CONFIG",
        "",
        "--rename-command",
        "KEYS",
        "",
        "--rename-command",
        "FLUSHALL",
        "",
        "--rename-command",
        "FLUSHDB",
        "",
        "--rename-command",
        "DEBUG",
        "",
        "--rename-command",
        "ACL",
        "",
        "--rename-command",
        "MONITOR",
        "",
    ]);
    let store = patiently(&server.url()).connect().await.unwrap();
    tower_response_cache::store::conformance::all(&store).await;
}

#[tokio::test]
async fn a_renamed_command_that_is_used_costs_the_cache_and_no_answer() {
    for name in ["MGET", "EVALSHA"] {
        let server = RedisServer::with_args(&["--rename-command", name, "other"]);
        let store = patiently(&server.url()).connect().await.unwrap();
        let app = Instance::new(store, &source());
        app.read("42").await.assert_bypass("store");
        app.write("42", "new").await;
        app.read("42").await;
        assert!(app.store_errors() > 0, "{name}");
    }
    for (name, words) in [
        ("SCRIPT", ["SCRIPT LOAD", "7.0 or later"]),
        ("INFO", ["INFO", "trust_restarts"]),
        ("TIME", ["TIME", "under their own names"]),
    ] {
        let server = RedisServer::with_args(&["--rename-command", name, "other"]);
        let error = patiently(&server.url()).connect().await.unwrap_err();
        assert_says(&error, &address(&server), &words);
    }
}
