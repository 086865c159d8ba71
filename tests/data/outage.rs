//! P17, P18: without the store values are fetched, once for all who ask together.
#![cfg(feature = "redis")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tower_response_cache::{Cache, DataErrorKind, NearCache, RedisStore};

use crate::support::redis_server::RedisServer;
use crate::{HOUR, gym};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_the_fetch_runs() {
    let mut server = RedisServer::start();
    let store = RedisStore::connect(&server.url()).await.unwrap();
    let cache = Cache::builder(store).build().unwrap();
    let gym = gym(&cache);
    gym.set("k", HOUR, "stored").await.unwrap();
    server.kill();
    let fetches = Arc::new(AtomicUsize::new(0));
    let ask = || {
        let (gym, fetches) = (gym.clone(), fetches.clone());
        async move {
            gym.get_or_fetch("k", HOUR, async || {
                fetches.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, Infallible>("fetched".to_owned())
            })
            .await
            .unwrap()
        }
    };
    let answers = join_all((0..20).map(|_| ask())).await;
    assert!(answers.iter().all(|answer| answer == "fetched"));
    // Those who came before the first run began, and those who came after.
    assert!(fetches.load(Ordering::SeqCst) <= 3, "{fetches:?}");
    for error in [
        gym.get::<String>("k").await.unwrap_err(),
        gym.set("k", HOUR, "x").await.unwrap_err(),
        gym.remove("k").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), DataErrorKind::Store);
    }
    server.restart();
    let began = std::time::Instant::now();
    while gym.set("k", HOUR, "again").await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask().await, "again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_are_near_too() {
    let mut server = RedisServer::start();
    let near = NearCache::strict();
    let store = RedisStore::builder(&server.url()).near_cache(near).connect().await.unwrap();
    let cache = Cache::builder(store).stale_in_outage(Duration::from_secs(60)).build().unwrap();
    let gym = gym(&cache);
    gym.set("k", HOUR, "stored").await.unwrap();
    for _ in 0..3 {
        assert_eq!(gym.get::<String>("k").await.unwrap().as_deref(), Some("stored"));
    }
    assert_eq!(cache.stats().near, 2);
    server.kill();
    let never = async || Err("fetched");
    assert_eq!(gym.get_or_fetch::<String, _>("k", HOUR, never).await.unwrap(), "stored");
}
