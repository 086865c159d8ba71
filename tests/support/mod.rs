//! What the integration tests share: stores to run on, and an app to ask.
#![allow(dead_code, unreachable_pub, reason = "each test target uses a part")]

pub mod app;
pub mod fault_proxy;
#[cfg(feature = "redis")]
pub mod redis_server;

use std::sync::Arc;

use tower_response_cache::{MemoryStore, Store};

/// A store, and what has to live as long as it.
pub struct Backend {
    pub store: Arc<dyn Store>,
    #[cfg(feature = "redis")]
    pub server: Option<redis_server::RedisServer>,
}

impl Backend {
    pub fn memory() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            #[cfg(feature = "redis")]
            server: None,
        }
    }

    #[cfg(feature = "redis")]
    pub async fn redis() -> Self {
        let server = redis_server::RedisServer::start();
        let store = tower_response_cache::RedisStore::connect(&server.url()).await.unwrap();
        Self { store: Arc::new(store), server: Some(server) }
    }

    /// Another instance's way to the same store: a pool of its own, where there are pools.
    pub async fn another(&self) -> Arc<dyn Store> {
        #[cfg(feature = "redis")]
        if let Some(server) = &self.server {
            let store = tower_response_cache::RedisStore::connect(&server.url()).await.unwrap();
            return Arc::new(store);
        }
        Arc::clone(&self.store)
    }
}

/// Declares tests that run once on each store.
///
/// `on_each_store! { async fn name(backend: Backend) { … } … }`
#[macro_export]
macro_rules! on_each_store {
    ($($(#[$attribute:meta])* async fn $name:ident($backend:ident: Backend) $body:block)*) => {
        mod memory {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::Backend::memory()).await;
                }
            )*
        }
        #[cfg(feature = "redis")]
        mod redis {
            $(
                $(#[$attribute])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::support::Backend::redis().await).await;
                }
            )*
        }
        $(async fn $name($backend: $crate::support::Backend) $body)*
    };
}
