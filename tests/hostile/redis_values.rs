//! P3, P19 with a Redis that somebody else writes to as well: values of other types, values that are
//! too large, under each kind of name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_response_cache::store::RedisStore;
use tower_response_cache::{On, Store};

use crate::planted::{asked, names, stored};
use crate::support::Backend;
use crate::support::app::{App, Source, gym_cache, gym_routes};
use crate::support::fault_proxy::FaultProxy;
use crate::support::redis_server::RedisServer;

fn app(store: Arc<dyn Store>) -> App {
    let source = Source::default();
    for id in ["42", "43"] {
        source.put("4", id, "value");
    }
    let builder = gym_cache(store)
        .invalidate(On::put("/fenced/{id}").path("/users/{id}").fence(Duration::from_secs(30)));
    let routes = gym_routes(source.clone()).route("/fenced/{id}", axum::routing::put(|| async {}));
    App { source, ..App::of(builder, routes) }
}

/// Each type of value that is none of ours, and the command that makes one.
const TYPES: [(&str, &[&[u8]]); 5] = [
    ("hash", &[b"HSET", b"", b"field", b"value"]),
    ("list", &[b"RPUSH", b"", b"one", b"two"]),
    ("set", &[b"SADD", b"", b"one", b"two"]),
    ("sorted set", &[b"ZADD", b"", b"1", b"0123456789abcdef"]),
    ("stream", &[b"XADD", b"", b"*", b"field", b"value"]),
];

fn put(server: &RedisServer, command: &[&[u8]], name: &str) {
    server.raw(&[b"DEL", name.as_bytes()]);
    let mut command = command.to_vec();
    command[1] = name.as_bytes();
    let reply = server.raw(&command);
    assert!(!reply.starts_with('-'), "{reply}");
}

/// Every name that a read, a write and a fence of a user's page use.
fn every_name() -> Vec<(&'static str, String)> {
    let names = names("42");
    let mut all = vec![
        ("entry", names.entry().to_owned()),
        ("epoch", names.epoch().to_owned()),
        ("lease", names.lease()),
    ];
    all.extend(names.scopes().map(|name| ("generation", name.to_owned())));
    all.extend(names.fences().map(|name| ("fence", name)));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_other_types_are_replaced_under_every_name() {
    let backend = Backend::redis().await;
    let server = backend.server.as_ref().unwrap();
    let app = app(backend.store.clone());
    let read = async |what: &str| {
        let answer = app.get("4", "/users/42").await;
        assert_eq!(answer.text(), "4/42=value", "{what}");
        app.cache.settled().await;
        answer
    };
    for (kind, name) in every_name() {
        for (of_type, command) in TYPES {
            let what = format!("a {of_type} under the name of the {kind} {name}");
            // A read heals it.
            read(&what).await;
            put(server, command, &name);
            read(&what).await;
            read(&what).await.assert_hit();
            // A write is confirmed, and moves what there is.
            put(server, command, &name);
            app.put("4", "/users/42", "value").await;
            read(&what).await.assert_miss();
            read(&what).await.assert_hit();
            // So is one that fences.
            put(server, command, &name);
            app.put("4", "/fenced/42", "value").await;
            read(&what).await;
            read(&what).await.assert_hit();
            // And code that removes.
            put(server, command, &name);
            backend.store.remove(&names("42")).await.unwrap();
            read(&what).await;
            read(&what).await.assert_hit();
        }
    }
    let stats = app.cache.stats();
    let failures = (stats.store_errors, stats.unconfirmed, stats.breaker_opened, stats.unfenced);
    assert_eq!(failures, (0, 0, 0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strings_that_are_no_ids_are_replaced_under_every_name() {
    let backend = Backend::redis().await;
    let server = backend.server.as_ref().unwrap();
    let app = app(backend.store.clone());
    let closed = [b"c".as_slice(), &[7; 16]].concat();
    let values: [&[u8]; 6] = [b"", b"x", &[b'x'; 15], &[b'x'; 17], &[b'x'; 80], &closed];
    for (kind, name) in every_name() {
        // A fence's record is a sorted set, so that of another type it is none.
        for value in values {
            let what = format!("{value:?} under the name of the {kind} {name}");
            app.get("4", "/users/42").await;
            app.cache.settled().await;
            server.raw(&[b"SET", name.as_bytes(), value]);
            assert_eq!(app.get("4", "/users/42").await.text(), "4/42=value", "{what}");
            app.get_settled("4", "/users/42").await.assert_hit();
        }
    }
    let stats = app.cache.stats();
    assert_eq!((stats.store_errors, stats.breaker_opened), (0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_value_is_removed_when_it_is_read() {
    let backend = Backend::redis().await;
    let server = backend.server.as_ref().unwrap();
    let app = app(backend.store.clone());
    let name = names("42").entry().to_owned();
    server.raw(&[b"SETRANGE", name.as_bytes(), b"67108863", b"x"]);
    assert_eq!(asked(&app, "42", "64 MiB").await, "oversized");
    app.get_settled("4", "/users/42").await.assert_hit();
    assert!(stored(&backend.store, "42").await.unwrap().len() < 1000);
}

/// Whoever waits for a value that can't come in time would wait in vain each time, and with it all
/// whose replies stand behind it on the connection: an outage of the whole cache by one value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_value_that_can_not_be_read_in_time_is_removed_too() {
    a_huge_value_is_removed_among(0).await;
}

/// Where it is asked for together with others, none of them comes in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_value_is_removed_where_many_ask_at_once() {
    a_huge_value_is_removed_among(24).await;
}

async fn a_huge_value_is_removed_among(others: u32) {
    use crate::support::fault_proxy::Mode;
    let server = RedisServer::start();
    let proxy = FaultProxy::before(server.port());
    let store = RedisStore::builder(&proxy.url()).connections(2).connect().await.unwrap();
    let cache =
        gym_cache(Arc::new(store)).lookup_timeout(Duration::from_millis(300)).build().unwrap();
    let source = Source::default();
    source.put("4", "42", "value");
    let app = App { router: gym_routes(source.clone()).layer(cache.layer()), cache, source };
    let name = names("42").entry().to_owned();
    server.raw(&[b"SETRANGE", name.as_bytes(), b"67108863", b"x"]);
    // 16 KiB each few milliseconds.
    proxy.set(Mode::Delay(Duration::from_millis(2))).await;
    let mut crowd = tokio::task::JoinSet::new();
    for user in 100..100 + others {
        let app = app.clone();
        crowd.spawn(async move {
            loop {
                app.get("4", &format!("/users/{user}")).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
    let began = Instant::now();
    loop {
        let answer = app.get("4", "/users/42").await;
        assert_eq!(answer.text(), "4/42=value");
        if answer.is_hit() {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", app.cache.stats());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // It is gone before this instance has heard that it is.
    crowd.abort_all();
    app.cache.settled().await;
    assert_eq!(app.cache.stats().oversized, 1, "{:?}", app.cache.stats());
    assert!(!app.cache.stats().breaker_open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_a_foreign_entry_that_comes_back_retires_a_connection_a_second_at_most() {
    let backend = Backend::redis().await;
    let server = backend.server.as_ref().unwrap();
    let app = app(backend.store.clone());
    app.warm("4", "/users/43").await;
    let (mine, other) = (names("42"), names("43"));
    let connections = || {
        let info = server.raw(&[b"INFO", b"stats"]);
        let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        count.unwrap().trim().parse::<u64>().unwrap()
    };
    let before = connections();
    let began = Instant::now();
    let mut asked = 0;
    while asked < 50 {
        server.raw(&[b"COPY", other.entry().as_bytes(), mine.entry().as_bytes(), b"REPLACE"]);
        let answer = app.get("4", "/users/42").await;
        assert_eq!(answer.text(), "4/42=value");
        app.get("4", "/users/43").await.assert_hit();
        asked += 1;
    }
    let seconds = began.elapsed().as_secs() + 1;
    app.cache.settled().await;
    // Each command of this test's own takes one, and so does looking.
    let made = connections() - before - 50 - 1;
    assert!(made <= seconds + 1, "{made} connections in {seconds} s");
    let stats = app.cache.stats();
    assert!(stats.mismatched >= 25, "{stats:?}");
    assert_eq!((stats.store_errors, stats.breaker_opened), (0, 0), "{stats:?}");
}
