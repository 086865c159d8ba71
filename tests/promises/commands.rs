//! P9, and what each step costs: the commands that Redis has seen.
use std::collections::BTreeMap;

use crate::support::Backend;
use crate::support::app::App;

/// How often each command has been called since the counts were reset.
fn calls(backend: &Backend) -> BTreeMap<String, u64> {
    let server = backend.server.as_ref().unwrap();
    let info = server.raw(&[b"INFO", b"commandstats"]);
    let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(':'));
    let mut calls: BTreeMap<_, _> = lines
        .filter_map(|(name, stats)| {
            let calls = stats.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        })
        .collect();
    // What this test itself sends.
    for own in ["info", "config|resetstat"] {
        calls.remove(own);
    }
    calls
}

fn reset(backend: &Backend) {
    assert!(backend.server.as_ref().unwrap().raw(&[b"CONFIG", b"RESETSTAT"]).starts_with("+OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_is_one_mget_and_an_invalidation_one_script() {
    let backend = Backend::redis().await;
    let app = App::gym(backend.store.clone());
    app.warm("4", "/users/42").await;

    reset(&backend);
    for _ in 0..10 {
        app.get("4", "/users/42").await.assert_hit();
    }
    assert_eq!(calls(&backend), BTreeMap::from([("mget".to_owned(), 10)]));

    // A miss: a look-up, leave to run, and the fill with its entry.
    reset(&backend);
    app.get("4", "/users/7").await.assert_miss();
    app.cache.settled().await;
    let sent = calls(&backend);
    assert_eq!((sent["mget"], sent["evalsha"]), (1, 2), "{sent:?}");

    // Whatever the number of entries.
    for count in [1, 300] {
        for index in 0..count {
            app.get("4", &format!("/users/42/stats?page={index}")).await;
        }
        app.cache.settled().await;
        reset(&backend);
        app.put("4", "/users/42", "new").await;
        let sent = calls(&backend);
        assert_eq!(sent["evalsha"], 1, "{sent:?}");
        // Three scopes: the user's subtree, the lists, and the path itself.
        // And the list of configurations is read.
        assert!(sent["set"] <= 3 && sent["get"] <= 4, "{sent:?}");
        for never in ["del", "unlink", "scan", "keys"] {
            assert!(!sent.contains_key(never), "{sent:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_creates_nothing_where_nobody_has_read() {
    let backend = Backend::redis().await;
    let app = App::gym(backend.store.clone());
    for id in 0..50 {
        app.put("4", &format!("/users/{id}"), "new").await;
    }
    app.cache.settled().await;
    assert!(backend.server.as_ref().unwrap().raw(&[b"DBSIZE"]).starts_with(":0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_calls_keys_and_only_delete_pattern_scans() {
    let backend = Backend::redis().await;
    let app = App::gym(backend.store.clone());
    for id in 0..30 {
        app.get("4", &format!("/users/{id}")).await;
        app.put("4", &format!("/users/{id}"), "new").await;
        app.get("4", &format!("/users/{id}")).await;
    }
    app.cache.settled().await;
    assert!(!calls(&backend).contains_key("scan"));
    assert_eq!(app.cache.tenant("4").unwrap().delete_pattern("/users/*").await.unwrap(), 30);
    let sent = calls(&backend);
    assert!(sent.contains_key("scan") && sent.contains_key("unlink"), "{sent:?}");
    assert!(!sent.contains_key("keys"), "{sent:?}");
}
