//! The cache: one configuration and one store, shared by every layer made of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::builder::CacheBuilder;
use crate::flow::{Dirty, Flights, Uncacheables};
use crate::key::QueryLimits;
use crate::layer::CacheLayer;
use crate::policy::Rules;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::telemetry::{Counters, Stats};
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
#[derive(Clone)]
pub struct Cache(Arc<Shared>);

/// What every part of a cache works with.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    pub(crate) counters: Counters,
    pub(crate) flights: Arc<Flights>,
    pub(crate) uncacheables: Uncacheables,
    pub(crate) dirty: Dirty,
    /// Runs, fills and invalidations that nobody waits for.
    pub(crate) work: TaskTracker,
}

/// Limits and time-outs; the builder's methods say what each is.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) cache_status: Option<String>,
    pub(crate) refuse_without_tenant: bool,
    pub(crate) max_body: usize,
    pub(crate) max_key: usize,
    pub(crate) max_variant: usize,
    pub(crate) max_parameters: usize,
    pub(crate) max_waiters: usize,
    pub(crate) max_dirty: usize,
    pub(crate) lookup_timeout: Duration,
    pub(crate) fill_timeout: Duration,
    pub(crate) invalidate_timeout: Duration,
    pub(crate) leases: bool,
    pub(crate) lease_ttl: Duration,
    pub(crate) lease_wait: Duration,
    pub(crate) wait_limit: Duration,
    pub(crate) run_deadline: Duration,
    pub(crate) uncacheable_memory: Duration,
    pub(crate) coalesce_in_outage: bool,
    pub(crate) hold_after_lost: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_status: Some("response-cache".to_owned()),
            refuse_without_tenant: false,
            max_body: 1 << 20,
            max_key: 1024,
            max_variant: 256,
            max_parameters: 64,
            max_waiters: 10_000,
            max_dirty: 10_000,
            lookup_timeout: Duration::from_millis(50),
            fill_timeout: Duration::from_secs(1),
            invalidate_timeout: Duration::from_secs(1),
            leases: true,
            lease_ttl: Duration::from_secs(5),
            lease_wait: Duration::from_secs(10),
            wait_limit: Duration::from_secs(30),
            run_deadline: Duration::from_secs(60),
            uncacheable_memory: Duration::from_secs(5),
            coalesce_in_outage: true,
            hold_after_lost: Duration::from_secs(3),
        }
    }
}

impl Settings {
    pub(crate) fn query_limits(&self) -> QueryLimits {
        // Escapes make a query up to three times as long as what it says.
        QueryLimits::new(self.max_parameters, self.max_key.saturating_mul(4))
    }
}

impl Shared {
    pub(crate) fn note_error(&self, step: &'static str, error: &StoreError) {
        self.counters.store_errors.increment();
        let source = std::error::Error::source(error).map(tracing::field::display);
        match error.kind() {
            StoreErrorKind::Timeout | StoreErrorKind::Unavailable => {
                tracing::debug!(step, error = %error, source, "the store failed");
            }
            _ => tracing::warn!(step, error = %error, source, "the store failed"),
        }
    }
}

impl Cache {
    /// A builder of a cache over `store`, which is a [`MemoryStore`](crate::MemoryStore), a
    /// [`RedisStore`](crate::RedisStore), or an `Arc` of any store.
    pub fn builder(store: impl Store) -> CacheBuilder {
        CacheBuilder::new(Arc::new(store))
    }

    pub(crate) fn new(store: Arc<dyn Store>, rules: Rules, settings: Settings) -> Self {
        let work = TaskTracker::new();
        // A closed tracker still takes tasks, and can be waited for.
        work.close();
        Self(Arc::new(Shared {
            store,
            rules,
            settings,
            counters: Counters::default(),
            flights: Arc::default(),
            uncacheables: Uncacheables::default(),
            dirty: Dirty::default(),
            work,
        }))
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
        self.0.counters.snapshot()
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
