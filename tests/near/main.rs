//! P21: what a process keeps near serves only what it may, and sees in time what has moved.
#![cfg(feature = "redis")]
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod feed;
mod feed_proxy;
mod hits;
mod outage;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_response_cache::{NearCache, RedisStore, Store};

use crate::support::app::{App, Source, gym_cache};
use crate::support::redis_server::RedisServer;

/// An instance, with its store beside it.
struct Instance {
    app: App,
    store: Arc<RedisStore>,
}

impl Instance {
    async fn new(url: &str, near: Option<NearCache>, source: &Source) -> Self {
        let mut builder = RedisStore::builder(url);
        if let Some(near) = near {
            builder = builder.near_cache(near);
        }
        let store = Arc::new(builder.connect().await.unwrap());
        let app = App::with(gym_cache(store.clone() as Arc<dyn Store>), source.clone());
        Self { app, store }
    }

    /// One whose near-cache answers.
    async fn alive(url: &str, near: NearCache, source: &Source) -> Self {
        let instance = Self::new(url, Some(near), source).await;
        until("the feed is alive", || instance.store.is_near_alive()).await;
        instance
    }

    /// Asks until the answer comes from near: word of what moved before has come through then.
    async fn until_near(&self) {
        let began = Instant::now();
        loop {
            self.app.get_settled("4", "/users/42").await;
            let before = self.near_hits();
            self.app.get_settled("4", "/users/42").await;
            if self.near_hits() > before {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "never near");
        }
    }

    fn near_hits(&self) -> u64 {
        self.app.cache.stats().near
    }
}

/// How often the server has been asked to read.
fn reads(server: &RedisServer) -> u64 {
    let stats = server.raw(&[b"INFO", b"commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_mget:"));
    let calls = line.and_then(|line| line.split("calls=").nth(1)?.split(',').next()?.parse().ok());
    calls.unwrap_or(0)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
