//! How much is kept, and for how long.

use std::time::Duration;

use tower_response_cache::NearCache;

use super::{Instance, reads};
use crate::support::app::Source;
use crate::support::redis_server::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_bytes_are_held_than_may() {
    let server = RedisServer::start();
    let source = Source::default();
    let value = "x".repeat(2000);
    for id in 0..200 {
        source.put("4", &id.to_string(), &value);
    }
    let capacity = 100_000;
    let near = NearCache::coherent().capacity(capacity);
    let here = Instance::alive(&server.url(), near, &source).await;
    for id in 0..200 {
        here.app.warm("4", &format!("/users/{id}")).await;
    }
    let held = here.store.near_bytes();
    assert!(held <= capacity && held > capacity / 4, "{held}");
    // The others are in the store all the same.
    for id in 0..200 {
        here.app.get("4", &format!("/users/{id}")).await.assert_hit();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_may_be_is_asked_for_again() {
    let server = RedisServer::start();
    let source = Source::default();
    for near in [NearCache::coherent(), NearCache::strict()] {
        let near = near.max_age(Duration::from_millis(300));
        let here = Instance::alive(&server.url(), near, &source).await;
        here.until_near().await;
        tokio::time::sleep(Duration::from_millis(350)).await;
        let (asked, near) = (reads(&server), here.near_hits());
        here.app.get("4", "/users/42").await.assert_hit();
        assert_eq!((reads(&server) - asked, here.near_hits() - near), (1, 0));
    }
}
