//! The typed data cache: values under the tenants, scopes and promises of the responses.
#![cfg(feature = "data")]
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod concurrency;
mod direct;
mod invalidation;
mod outage;
mod python;
mod values;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_response_cache::{Cache, CacheBuilder, DataKey, On, Route, Store, Tenant, TenantCache};

use crate::support::app::patient;

const HOUR: Duration = Duration::from_secs(3600);

fn builder(store: Arc<dyn Store>) -> CacheBuilder {
    patient(Cache::builder(store))
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .with_values()
        .route(Route::get("/users/{id}"))
        .route(Route::get("/users").key("users:{role}"))
        .invalidate(
            On::put("/users/{id}").subtree("/users/{id}").pattern("users:*").tag("user:{id}"),
        )
        .invalidate(On::post("/plans").tenant())
}

fn cache(store: Arc<dyn Store>) -> Cache {
    builder(store).build().unwrap()
}

fn gym(cache: &Cache) -> TenantCache {
    cache.tenant("4").unwrap()
}

/// How often something was fetched.
#[derive(Default)]
struct Fetches(AtomicUsize);

impl Fetches {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// The value under the key, or this one.
    async fn get<T: Serialize + DeserializeOwned>(
        &self,
        gym: &TenantCache,
        key: impl Into<DataKey>,
        value: T,
    ) -> T {
        let fetch = async || {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(value)
        };
        gym.get_or_fetch(key, HOUR, fetch).await.unwrap()
    }
}
