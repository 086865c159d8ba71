//! Users who may do what docs/REDIS.md says, and users who may do less.

use std::collections::BTreeSet;
use std::sync::Arc;

use tower_response_cache::key::{Glob, Names, Space};
use tower_response_cache::store::{StoreErrorKind, conformance};
use tower_response_cache::{RedisStore, Store};

use crate::document::acl_line;
use crate::fleet::{Instance, address, assert_says, connect, patiently, source, tell};
use crate::support::redis_server::RedisServer;

/// A server with the user of the documentation, exactly as it stands there.
fn server() -> RedisServer {
    let server = RedisServer::start();
    tell(&server, acl_line());
    server
}

async fn restricted(server: &RedisServer) -> RedisStore {
    let builder = patiently(&server.url()).credentials("cache", "s3cret");
    builder.connect().await.unwrap()
}

fn space() -> Space {
    Space::new(&Arc::from("gym"), "4")
}

/// The commands that the documentation's user may use.
fn permitted() -> BTreeSet<String> {
    acl_line()
        .split_whitespace()
        .filter_map(|word| word.strip_prefix('+'))
        .map(str::to_owned)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_line_is_enough_and_every_word_of_it_is_needed() {
    let server = server();
    // The suite has a namespace of its own.
    tell(&server, "ACL SETUSER cache ~*");
    let store = restricted(&server).await;
    tell(&server, "CONFIG RESETSTAT");
    conformance::all(&restricted(&server).await).await;
    tell(&server, "SCRIPT FLUSH");
    conformance::all(&store).await;
    store.ping().await.unwrap();

    let stats = tell(&server, "INFO commandstats");
    let mut used: BTreeSet<String> = stats
        .lines()
        .filter_map(|line| Some(line.strip_prefix("cmdstat_")?.split_once(':')?.0.to_owned()))
        .collect();
    // Nobody is forbidden to say hello; the others are this test's own.
    for own in ["hello", "config|resetstat", "script|flush"] {
        used.remove(own);
    }
    assert_eq!(used, permitted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_confined_to_the_prefix_of_the_namespace_can_do_all_of_it() {
    let server = server();
    let source = source();
    let app = Instance::new(restricted(&server).await, &source);
    for round in 0..3 {
        app.recovers("42").await;
        app.write("42", &format!("new {round}")).await;
        app.read("42").await.assert_miss();
        app.recovers("42").await;
        let tenant = app.0.cache.tenant("4").unwrap();
        assert_eq!(tenant.delete_pattern("/users/*").await.unwrap(), 1);
        tell(&server, "SCRIPT FLUSH");
    }
    assert_eq!((app.unconfirmed(), app.store_errors()), (0, 0));
    let denied = tell(&server, "ACL LOG");
    assert!(denied.starts_with("*0"), "{denied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_another_prefix_gets_nothing_and_loses_nothing() {
    let server = server();
    let source = source();
    let app = Instance::new(restricted(&server).await, &source);
    let other = Instance::new(connect(&server).await, &source);
    other.recovers("42").await;
    tell(&server, "ACL SETUSER cache resetkeys ~elsewhere:*");
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    assert_eq!(app.unconfirmed(), 1);
    app.read("42").await.assert_bypass("dirty");
    let names = Names::new(&space(), "GET", "/users");
    let error = restricted(&server).await.lookup(&names).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["~namespace:*"]);
    tell(&server, "ACL SETUSER cache resetkeys ~gym:*");
    app.confirmed().await;
    for app in [&app, &other] {
        app.recovers("42").await;
    }
}

/// One command after the other is taken away from a running instance. Whatever it is told to have
/// invalidated is invalid for everybody, and whatever isn't is known not to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_that_is_forbidden_costs_the_cache_and_no_answer() {
    let server = server();
    let source = source();
    let other = Instance::fenced(connect(&server).await, &source);
    let mut silent = BTreeSet::new();
    for command in permitted() {
        let one = Instance::fenced(restricted(&server).await, &source);
        one.recovers("42").await;
        other.recovers("42").await;
        one.recovers("7").await;
        tell(&server, &format!("ACL SETUSER cache -{command}"));
        if matches!(&*command, "eval" | "script|load") {
            tell(&server, "SCRIPT FLUSH");
        }
        for round in 0..2 {
            one.write("42", &format!("without {command} {round}")).await;
            one.read("42").await;
            one.read("7").await;
            if one.unconfirmed() == 0 {
                other.read("42").await;
            }
        }
        // With a fence: what can't be closed is counted, and the write goes on.
        let confirmed = one.unconfirmed();
        other.recovers("1").await;
        source.put("4", "1", &format!("fenced without {command}"));
        assert_eq!(one.0.delete("4", "/users/1").await.status, 204);
        one.read("1").await;
        if one.unconfirmed() == confirmed {
            other.read("1").await;
        }
        if one.store_errors() == 0 {
            silent.insert(command.clone());
        }
        let removal = one.0.cache.tenant("4").unwrap().delete_pattern("/users/*").await;
        assert!(removal.is_err() || !matches!(&*command, "scan" | "get" | "set"), "{command}");
        if removal.is_ok() {
            assert!(!other.read("42").await.is_hit(), "{command}");
        }
        tell(&server, &format!("ACL SETUSER cache +{command}"));
        one.confirmed().await;
        other.read("42").await;
        one.recovers("42").await;
        other.recovers("42").await;
    }
    // What is for connecting, or once a second, or for an ad-hoc removal, or for a lost record. Of the
    // rest each is missed.
    let seldom = ["info", "ping", "scan", "script|load", "strlen", "unlink", "zcard"];
    assert!(silent.iter().all(|command| seldom.contains(&&**command)), "{silent:?}");
}

#[tokio::test]
async fn what_is_refused_is_named() {
    let server = server();
    let connecting = patiently(&server.url()).credentials("cache", "s3cret");
    for (command, words) in [
        ("info", &["INFO", "trust_restarts"][..]),
        ("script|load", &["SCRIPT LOAD", "docs/REDIS.md"]),
        ("time", &["TIME", "docs/REDIS.md"]),
    ] {
        tell(&server, &format!("ACL SETUSER cache -{command}"));
        let error = connecting.clone().connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{command}");
        assert_says(&error, &address(&server), words);
        tell(&server, &format!("ACL SETUSER cache +{command}"));
    }
    let store = restricted(&server).await;
    let space = space();
    tell(&server, "ACL SETUSER cache -scan");
    let glob = Glob::new("*").unwrap();
    let error = store.delete_pattern(&space, &glob).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["scan", "docs/REDIS.md"]);
    // Within a script the server doesn't say which.
    tell(&server, "ACL SETUSER cache +scan -get");
    let error = store.delete_pattern(&space, &glob).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["docs/REDIS.md"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_is_removed_and_comes_back() {
    let server = server();
    let app = Instance::new(restricted(&server).await, &source());
    app.recovers("42").await;
    tell(&server, "ACL DELUSER cache");
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    app.read("42").await.assert_bypass("dirty");
    tell(&server, acl_line());
    app.confirmed().await;
    app.recovers("42").await;
}
