//! The instances: each a cache of its own with connections of its own, over one source of truth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use parking_lot::Mutex;
use tower_response_cache::{
    Cache, CacheBuilder, InvalidationSet, NearCache, On, RedisStore, RedisStoreBuilder, Route,
    Scope, Store, Tenant,
};

use crate::checker::History;
use crate::source::{Plan, Source, routes};

pub const INSTANCES: usize = 3;

/// How what is stored of a tenant is laid out in a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    OneSlot,
    Spread,
}

/// One instance.
#[derive(Clone)]
pub struct Instance {
    pub cache: Cache,
    pub router: Router,
}

impl Instance {
    /// Instances differ in what nothing that is promised depends on.
    fn new(store: Arc<dyn Store>, source: Source, at: usize, layout: Layout) -> Self {
        let cache = configured(store);
        let cache = match layout {
            Layout::OneSlot => cache,
            Layout::Spread => cache.spread_tenants(),
        };
        let cache = match at {
            // A breaker keeps it away from the server, where there is most to be found.
            0 => cache,
            // Seats are few, and what is not confirmed soon counts as the whole tenant.
            1 => cache.max_waiters(1).max_dirty(3).breaker_failures(0),
            // Many runs pass their deadline and go on for their own client alone.
            _ => cache.run_deadline(Duration::from_millis(14)).leases(false).breaker_failures(0),
        };
        let cache = cache.build().unwrap();
        let router = routes(source).layer(cache.layer());
        Self { cache, router }
    }
}

/// All instances, what they read and write, and what was seen of them.
#[derive(Clone)]
pub struct Fleet {
    pub instances: Arc<[Instance]>,
    pub source: Source,
    pub history: Arc<History>,
    /// How late an instance may see what another has confirmed.
    pub grace: Duration,
    /// Whether entries near the instances have to be used.
    pub is_near: bool,
    /// Ad-hoc deletions that have stopped midway, and whose callers have to call again.
    owed: Arc<Mutex<Vec<(&'static str, String)>>>,
    layout: Layout,
}

impl Fleet {
    /// A fleet with one instance over each of these stores.
    pub fn new(stores: impl IntoIterator<Item = Arc<dyn Store>>) -> Self {
        Self::of(Layout::OneSlot, stores)
    }

    /// The same, laid out so.
    pub fn of(layout: Layout, stores: impl IntoIterator<Item = Arc<dyn Store>>) -> Self {
        let source = Source::default();
        let instances = stores.into_iter().enumerate();
        let instances =
            instances.map(|(at, store)| Instance::new(store, source.clone(), at, layout));
        let instances = instances.collect();
        Self {
            instances,
            source,
            history: Arc::default(),
            grace: Duration::ZERO,
            is_near: false,
            owed: Arc::default(),
            layout,
        }
    }

    /// Another instance, which the clients don't know of.
    pub fn another(&self, store: Arc<dyn Store>) -> Instance {
        Instance::new(store, self.source.clone(), 0, self.layout)
    }

    pub fn owe(&self, tenant: &'static str, glob: String) {
        self.owed.lock().push((tenant, glob));
    }

    /// Calls again.
    pub async fn pay(&self) {
        let owed = std::mem::take(&mut *self.owed.lock());
        for (tenant, glob) in owed {
            let cache = self.instances[0].cache.tenant(tenant).unwrap();
            let began = Instant::now();
            // The server may have come back just now.
            while let Err(error) = cache.delete_pattern(&glob).await {
                assert!(began.elapsed() < Duration::from_secs(10), "{error:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

/// An instance's own way to the server. It need not be up.
pub fn redis_store(url: &str, trust_restarts: bool) -> RedisStore {
    way_to(url, trust_restarts).connect_lazy().unwrap()
}

/// The same, with a near-cache.
pub fn near_store(url: &str, near: NearCache) -> RedisStore {
    way_to(url, false).near_cache(near).connect_lazy().unwrap()
}

fn way_to(url: &str, trust_restarts: bool) -> RedisStoreBuilder {
    RedisStore::builder(url)
        .connections(2)
        .connect_timeout(Duration::from_millis(500))
        .trust_restarts(trust_restarts)
}

/// Every hard rule asks for confirmation, so that an answer of the handler's own says that the
/// store has confirmed.
fn configured(store: Arc<dyn Store>) -> CacheBuilder {
    let second = Duration::from_secs(1);
    Cache::builder(store)
        .namespace("history")
        .tenant(Tenant::header("x-tenant"))
        .same_for_all_users()
        .invalidate_timeout(Duration::from_millis(700))
        .lease_ttl(Duration::from_millis(500))
        .wait_limit(2 * second)
        // Many writes are lost here, and with the usual hold everything would be closed all the time.
        .hold_after_lost(Duration::from_millis(10))
        .uncacheable_memory(Duration::from_millis(3))
        .route(Route::get("/users").key("users:{role}"))
        .route(Route::get("/users/{id}").tag("user:{id}").early_refresh(1.0))
        .route(Route::get("/users/{id}/stats").tag("user:{id}").ttl(Duration::from_millis(300)))
        // The rules say alone what happens here: a write on the path itself would be a hard one.
        .route(Route::get("/news/{id}").stale_while_revalidate(10 * second).only_rules_invalidate())
        .route(
            Route::get("/prices/{id}")
                .ttl(Duration::from_millis(15))
                .stale_if_error(10 * second)
                .early_refresh(1.0),
        )
        .invalidate(On::put("/users/{id}").subtree("/users/{id}").pattern("users:*").must_confirm())
        .invalidate(On::put("/users/{id}/fenced").tag("user:{id}").fence(second).must_confirm())
        .invalidate(
            On::put("/users/{id}/held")
                .subtree("/users/{id}")
                .hold(Duration::from_millis(20))
                .must_confirm(),
        )
        .invalidate(On::put("/plans").all_tenants().must_confirm())
        .invalidate(On::put("/news/{id}/hard").path("/news/{id}").must_confirm())
        .invalidate(On::put("/news/{id}/soft").path("/news/{id}").soft())
        .invalidate(On::put("/prices/{id}").path("/prices/{id}").must_confirm())
        .set(InvalidationSet::named("user").subtree("/users/{id}").path("/users").or_all())
        .scope(Scope::pattern("users:*"))
}

pub fn request(method: Method, tenant: &str, target: &str, plan: Plan) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("x-tenant", tenant)
        .header("x-plan", plan.to_header())
        .body(Body::empty())
        .unwrap()
}
