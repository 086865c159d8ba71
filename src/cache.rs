//! The cache: one configuration and one store, shared by every layer made of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;

use crate::builder::CacheBuilder;
use crate::explain::{Explanation, RequestExplanation, explain, explain_request};
#[cfg(feature = "metrics")]
use crate::flow;
use crate::flow::{Settings, Shared};
use crate::layer::CacheLayer;
use crate::policy::Rules;
use crate::store::{Store, StoreStatus};
use crate::telemetry::{RouteStats, Stats};
use crate::tenant::{InvalidTenant, TenantCache};

/// A response cache: routes, rules and a store.
///
/// Cloning it is cheap, and every clone is the same cache.
///
/// ```
/// use std::time::Duration;
/// use tower_response_cache::{Cache, MemoryStore, On, Route, Tenant};
///
/// let cache = Cache::builder(MemoryStore::new())
///     .namespace("gym")
///     .tenant(Tenant::header("x-gym-id"))
///     .same_for_all_users()
///     .route(Route::get("/users").ttl(Duration::from_secs(300)).query(["role", "status"]))
///     .route(Route::get("/users/{id}"))
///     .invalidate(On::put("/users/{id}").subtree("/users/{id}").path("/users"))
///     .build()?;
/// let app: axum::Router = axum::Router::new().layer(cache.layer());
/// # Ok::<(), tower_response_cache::ConfigError>(())
/// ```
///
/// # What does not compile
///
/// There is no way to what is stored but through a tenant, and no pattern without one:
///
/// ```compile_fail,E0599
/// async fn end(cache: tower_response_cache::Cache) {
///     let removed = cache.delete_pattern("users:*").await;
/// }
/// ```
///
/// And no way to a tenant but through a check of its text:
///
/// ```compile_fail,E0599
/// async fn end(cache: tower_response_cache::Cache) {
///     let ended = cache.tenant("4").invalidate_all().await;
/// }
/// ```
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

impl Cache {
    /// A builder of a cache over `store`, which is a [`MemoryStore`](crate::MemoryStore), a
    /// [`RedisStore`](crate::RedisStore), or an `Arc` of any store.
    pub fn builder(store: impl Store) -> CacheBuilder {
        CacheBuilder::new(Arc::new(store))
    }

    pub(crate) fn new(store: Arc<dyn Store>, rules: Rules, settings: Settings) -> Self {
        store.attach(&rules.namespace);
        let shared = Arc::new(Shared::new(store, rules, settings));
        #[cfg(feature = "admin")]
        if shared.settings.count_tenants == Some(true) {
            shared.tenants.begin();
        }
        shared.announce();
        #[cfg(feature = "metrics")]
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(flow::watch_levels(Arc::downgrade(&shared)));
        }
        Self(shared)
    }

    /// The layer that caches what it wraps.
    pub fn layer(&self) -> CacheLayer {
        CacheLayer::new(self.clone())
    }

    /// The part of the cache that is one tenant's, for code that invalidates without a request.
    ///
    /// # Errors
    ///
    /// [`InvalidTenant`] if the text is empty, longer than 128 characters or 256 bytes, or holds
    /// control characters.
    pub fn tenant(&self, tenant: impl AsRef<str>) -> Result<TenantCache, InvalidTenant> {
        TenantCache::new(Arc::clone(&self.0), tenant.as_ref())
    }

    /// The part of the cache that belongs to no tenant.
    pub fn tenantless(&self) -> TenantCache {
        TenantCache::tenantless(Arc::clone(&self.0))
    }

    /// What has happened so far in this process.
    pub fn stats(&self) -> Stats {
        self.0.telemetry.snapshot(self.0.is_store_away(), self.0.read_ahead.held())
    }

    /// What has happened so far in this process on each cached route, in the order in which they
    /// were declared.
    pub fn route_stats(&self) -> Vec<RouteStats> {
        let cached = self.0.rules.routes.iter().filter(|route| !route.uncached);
        cached.map(|route| route.telemetry.snapshot()).collect()
    }

    /// What this cache does, worked out from its configuration and from what it has seen so far.
    ///
    /// ```
    /// # use tower_response_cache::{Cache, MemoryStore, Route};
    /// # let cache = Cache::builder(MemoryStore::new())
    /// #     .route(Route::get("/news").tenantless().same_for_all_users())
    /// #     .build()?;
    /// println!("{}", cache.explain());
    /// # Ok::<(), tower_response_cache::ConfigError>(())
    /// ```
    pub fn explain(&self) -> Explanation {
        explain(&self.0)
    }

    /// What this cache would do with a request that has this head. The store is not asked, no
    /// request is counted, and the app's functions of the request, as in
    /// [`ttl_with`](crate::Route::ttl_with), are called.
    ///
    /// ```
    /// # use tower_response_cache::{Cache, MemoryStore, Route};
    /// # let cache = Cache::builder(MemoryStore::new())
    /// #     .route(Route::get("/news").tenantless().same_for_all_users())
    /// #     .build()?;
    /// let (request, ()) = http::Request::get("/news?page=2").body(())?.into_parts();
    /// println!("{}", cache.explain_request(&request));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn explain_request(&self, request: &Parts) -> RequestExplanation {
        explain_request(&self.0, request)
    }

    /// How the store stands, as far as it can tell without being asked.
    pub fn store_status(&self) -> StoreStatus {
        self.0.store.status()
    }

    /// Sets the gauges of the feature `metrics` now. A cache that was built within a Tokio runtime
    /// does so once a second by itself.
    #[cfg(feature = "metrics")]
    pub fn record_gauges(&self) {
        self.0.telemetry.levels(&self.0.levels());
    }

    /// Waits until no run, fill or invalidation of this process is under way in the background.
    ///
    /// Of use in tests: after it, what was answered is stored. Under traffic it may never end.
    ///
    /// # Dropping
    ///
    /// Stops the waiting and nothing else.
    pub async fn settled(&self) {
        self.0.work.wait().await;
    }

    /// Waits, at most so long, for what is under way in the background: fills, and above all
    /// invalidations that the store has not confirmed yet. To be called once the server has
    /// stopped taking requests.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_response_cache::{Cache, MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::builder(MemoryStore::new()).build()?;
    /// // axum::serve(listener, app).with_graceful_shutdown(signal).await?;
    /// if let Err(unconfirmed) = cache.shutdown(Duration::from_secs(5)).await {
    ///     eprintln!("{unconfirmed}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unconfirmed`] if invalidations are still not confirmed then. What they were to reach is
    /// served by other instances until it expires.
    ///
    /// # Dropping
    ///
    /// Stops the waiting and nothing else.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), Unconfirmed> {
        let _ = tokio::time::timeout(limit, self.settled()).await;
        match self.0.dirty.len() {
            0 => Ok(()),
            scopes => Err(Unconfirmed { scopes }),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("store", &self.0.store)
            .field("routes", &self.0.rules.routes.iter().map(|r| &r.name).collect::<Vec<_>>())
            .field("flights", &self.0.flights.len())
            .field("dirty", &self.0.dirty.len())
            .finish_non_exhaustive()
    }
}

/// Invalidations that were not confirmed when the cache was shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    scopes: usize,
}

impl Unconfirmed {
    /// How many scopes they are of.
    pub fn scopes(&self) -> usize {
        self.scopes
    }
}

impl fmt::Display for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the invalidation of {} scopes is not confirmed", self.scopes)
    }
}

impl std::error::Error for Unconfirmed {}
