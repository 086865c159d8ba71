//! Past one server: a real cluster and real sentinels, while servers die and slots move.
#![cfg(feature = "redis")]
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod layer;
mod passed_over;
mod past;
mod sentinel;
mod sentinels;
mod slots;
mod spread;
mod throughput;
mod traffic;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_response_cache::{RedisStore, RedisStoreBuilder, Store};

use crate::support::app::App;
use crate::traffic::World;

/// An instance, with its store beside it.
struct Instance {
    app: App,
    store: Arc<RedisStore>,
}

impl Instance {
    async fn new(builder: RedisStoreBuilder, world: &World) -> Self {
        let builder = builder.connect_timeout(Duration::from_secs(5));
        let store = Arc::new(builder.connect().await.unwrap());
        if std::env::var_os("TOPOLOGY_LOG").is_some() {
            let log = tracing_subscriber::fmt().with_env_filter("tower_response_cache=debug");
            let _ = log.with_test_writer().try_init();
        }
        Self { app: world.app(store.clone() as Arc<dyn Store>), store }
    }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < Duration::from_secs(30), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
