//! What a hit asks, and what ends one.

use std::time::{Duration, Instant};

use axum::http::Method;
use tower_response_cache::store::conformance;
use tower_response_cache::{NearCache, RedisStore, Scope};

use super::{Instance, reads, until};
use crate::support::app::{Source, request};
use crate::support::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_guarantee_of_a_store_holds_in_the_strict_mode() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(&server.url()).near_cache(NearCache::strict());
    let store = builder.connect().await.unwrap();
    tokio::join!(conformance::all(&store), conformance::all_spread(&store));
}

/// Alone, an instance sees what it does itself at once, so it notices no difference.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_guarantee_of_a_store_holds_for_one_instance_in_the_coherent_mode() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(&server.url()).near_cache(NearCache::coherent());
    let store = builder.connect().await.unwrap();
    tower_response_cache::Store::attach(&store, "conformance");
    until("the feed is alive", || store.is_near_alive()).await;
    tokio::join!(conformance::all(&store), conformance::all_spread(&store));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coherent_hit_asks_nobody() {
    let server = RedisServer::start();
    let source = Source::default();
    let here = Instance::alive(&server.url(), NearCache::coherent(), &source).await;
    here.app.warm("4", "/users/42").await;
    here.app.get_settled("4", "/users/42").await.assert_hit();
    let (asked, near) = (reads(&server), here.near_hits());
    for _ in 0..100 {
        let answer = here.app.get("4", "/users/42").await;
        answer.assert_hit();
        assert_eq!(answer.text(), "4/42=");
    }
    assert_eq!((reads(&server) - asked, here.near_hits() - near), (0, 100));
    assert!(here.store.near_bytes() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_hit_leaves_the_body_where_it_is() {
    let server = RedisServer::start();
    let source = Source::default();
    let large = "x".repeat(100_000);
    source.put("4", "42", &large);
    let here = Instance::alive(&server.url(), NearCache::strict(), &source).await;
    here.app.warm("4", "/users/42").await;
    here.app.get("4", "/users/42").await.assert_hit();
    let sent = |server: &RedisServer| -> u64 {
        let stats = server.raw(&[b"INFO", b"stats"]);
        let line = stats.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:"));
        line.unwrap().trim().parse().unwrap()
    };
    let (asked, before) = (reads(&server), sent(&server));
    for _ in 0..20 {
        let answer = here.app.get("4", "/users/42").await;
        answer.assert_hit();
        assert!(answer.text().ends_with(&large));
    }
    assert_eq!(reads(&server) - asked, 20);
    assert!(sent(&server) - before < 50_000, "less than half of one body for twenty hits");
}

/// Each kind of invalidation, by this instance and by another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_ends_an_entry_ends_it_near_as_well() {
    let server = RedisServer::start();
    for (mode, near) in [("strict", NearCache::strict()), ("coherent", NearCache::coherent())] {
        let source = Source::default();
        let here = Instance::alive(&server.url(), near.clone(), &source).await;
        let there = Instance::alive(&server.url(), near, &source).await;
        for (who, writer) in [("itself", &here), ("another", &there)] {
            for what in ["a rule", "a scope", "the tenant", "a pattern"] {
                source.put("4", "42", "old");
                let tenant = writer.app.cache.tenant("4").unwrap();
                tenant.invalidate_all().await.unwrap();
                here.until_near().await;
                source.put("4", "42", "new");
                match what {
                    "a rule" => drop(writer.app.put("4", "/users/42", "new").await),
                    "a scope" => {
                        let scope = Scope::subtree("/users/{id}").with("id", "42");
                        tenant.invalidate(&scope).await.unwrap();
                    }
                    "the tenant" => tenant.invalidate_all().await.unwrap(),
                    _ => drop(tenant.delete_pattern("/users/42*").await.unwrap()),
                }
                let confirmed = Instant::now();
                let is_at_once = mode == "strict" || who == "itself";
                loop {
                    let began = Instant::now();
                    let answer = here.app.get("4", "/users/42").await;
                    if answer.text() == "4/42=new" {
                        break;
                    }
                    assert!(
                        !is_at_once && began - confirmed < Duration::from_secs(1),
                        "{mode}: {what} by {who} came late: {answer:?}"
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_by_this_instance_is_seen_at_once() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::get;
    use tower_response_cache::{Cache, Route, Store, Tenant};

    let server = RedisServer::start();
    let builder = RedisStore::builder(&server.url()).near_cache(NearCache::coherent());
    let store: Arc<dyn Store> = Arc::new(builder.connect().await.unwrap());
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = {
        let runs = Arc::clone(&runs);
        async move || runs.fetch_add(1, Ordering::SeqCst).to_string()
    };
    let builder =
        Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users().route(
            Route::get("/n")
                .ttl(Duration::from_millis(300))
                .stale_while_revalidate(Duration::from_secs(60)),
        );
    let app = crate::support::app::App::of(builder, Router::new().route("/n", get(handler)));
    app.warm("4", "/n").await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    // Stale once, and fresh for whoever comes when the refresh is done.
    assert_eq!(app.get("4", "/n").await.text(), "0");
    assert_eq!(app.get_settled("4", "/n").await.text(), "1");
    let head = request(Method::HEAD, "4", "/n");
    app.send(head).await.assert_hit();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}
