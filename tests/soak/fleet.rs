//! The instances, and the app that they are instances of.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;
use tower_response_cache::{Cache, NearCache, On, RedisStore, Route, Store, Tenant};

use crate::faults::Network;
use crate::support::app::{App, Source, request};

pub const TENANTS: [&str; 3] = ["4", "5", "*"];
pub const IDS: u64 = 12;

/// Of both instances alike: what stands in the database.
#[derive(Clone, Default)]
pub struct Database {
    rows: Arc<Mutex<HashMap<String, u64>>>,
    writes: Arc<AtomicU64>,
}

pub struct Fleet {
    pub instances: Vec<App>,
    pub near: Arc<RedisStore>,
}

impl Fleet {
    /// Two instances, the first of them with a near-cache.
    pub async fn new(network: &Network) -> Self {
        let database = Database::default();
        let way = |at: usize| {
            let builder = RedisStore::builder(&network.proxies[at].url());
            builder.connections(2).connect_timeout(Duration::from_millis(500))
        };
        let near = NearCache::coherent().capacity(1 << 20).liveness(Duration::from_millis(300));
        let near = Arc::new(way(0).near_cache(near).connect().await.unwrap());
        let far = Arc::new(way(1).connect().await.unwrap());
        let stores: [Arc<dyn Store>; 2] = [Arc::clone(&near) as _, far];
        let instances = stores.into_iter().map(|store| instance(store, &database)).collect();
        Self { instances, near }
    }

    /// Asks each instance so often that each of its connections has been used.
    pub async fn touch(&self) {
        for instance in &self.instances {
            let asks = (0..8).map(|at| {
                let target = format!("/users/{at}?touch={}", fastrand::u64(..));
                async move { instance.get("4", &target).await }
            });
            futures_util::future::join_all(asks).await;
            instance.cache.settled().await;
        }
    }

    /// Whether each instance has its store, and the near-cache its feed.
    pub fn is_whole(&self) -> bool {
        self.near.is_near_alive()
            && self.instances.iter().all(|one| !one.cache.stats().breaker_open)
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caches = self.instances.iter().map(|instance| &instance.cache);
        f.debug_list().entries(caches).entry(&self.near.is_near_alive()).finish()
    }
}

fn instance(store: Arc<dyn Store>, database: &Database) -> App {
    let cache = Cache::builder(store)
        .namespace("soak")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .lookup_timeout(Duration::from_millis(150))
        .invalidate_timeout(Duration::from_millis(300))
        .fill_timeout(Duration::from_millis(300))
        .lease_ttl(Duration::from_millis(300))
        .wait_limit(Duration::from_secs(2))
        .hold_after_lost(Duration::from_millis(50))
        .uncacheable_memory(Duration::from_millis(50))
        .max_runs(32)
        .default_ttl(Duration::from_secs(20))
        .route(Route::get("/users/{id}").stale_if_error(Duration::from_secs(1)))
        .route(Route::get("/teams/{id}"))
        .invalidate(On::put("/users/{id}").subtree("/users/{id}"))
        .invalidate(On::delete("/users/{id}").path("/users/{id}").fence(Duration::from_secs(2)))
        .build()
        .unwrap();
    let router = routes(database).layer(cache.layer());
    App { cache, router, source: Source::default() }
}

/// Handlers that answer with tenant, key and number of the write that was last when they began.
fn routes(database: &Database) -> Router {
    let read = |kind: &'static str| {
        let database = database.clone();
        move |Path(id): Path<String>, headers: HeaderMap| async move {
            let name = name(&headers, kind, &id);
            let number = database.rows.lock().get(&name).copied().unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..3000))).await;
            if fastrand::u8(..) < 4 {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            let group = [("cache-groups", format!("\"{kind}-{id}\""))];
            let body = format!("{name} {number} {}", "x".repeat(fastrand::usize(0..4000)));
            if kind == "teams" { (group, body).into_response() } else { body.into_response() }
        }
    };
    let write = |kind: &'static str| {
        let database = database.clone();
        move |Path(id): Path<String>, headers: HeaderMap| async move {
            let name = name(&headers, kind, &id);
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..1000))).await;
            let number = {
                let mut rows = database.rows.lock();
                let number = database.writes.fetch_add(1, Ordering::SeqCst) + 1;
                rows.insert(name, number);
                number
            };
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..1000))).await;
            ([("cache-group-invalidation", format!("\"{kind}-{id}\""))], number.to_string())
        }
    };
    Router::new()
        .route("/users/{id}", get(read("users")).put(write("users")).delete(write("users")))
        .route("/teams/{id}", get(read("teams")).put(write("teams")))
}

pub fn name(headers: &HeaderMap, kind: &str, id: &str) -> String {
    format!("{}/{kind}/{id}", headers["x-gym-id"].to_str().unwrap())
}

/// A request of a client on this instance.
pub async fn send(
    instance: &App,
    method: Method,
    gym: &str,
    target: &str,
    patience: Option<Duration>,
) -> Option<crate::support::app::Answer> {
    let asked = instance.send(request(method, gym, target));
    match patience {
        None => Some(asked.await),
        Some(patience) => tokio::time::timeout(patience, asked).await.ok(),
    }
}
