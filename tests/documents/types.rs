//! What callers hold can be kept and sent where they want it.

use std::error::Error;

use tower_response_cache::store::{StoreError, StoreFuture};
use tower_response_cache::{
    Cache, CacheBuilder, CacheLayer, CacheService, ConfigError, InvalidTenant, InvalidateError,
    MemoryStore, On, Route, Scope, ScopeError, Tenant, TenantCache, Unconfirmed,
};

fn is_shared<T: Send + Sync + 'static>() {}

fn is_error<E: Error + Send + Sync + 'static>() {}

fn is_sent(_: impl Send) {}

#[test]
fn all_of_it_goes_between_threads() {
    is_shared::<Cache>();
    is_shared::<CacheBuilder>();
    is_shared::<CacheLayer>();
    is_shared::<CacheService<()>>();
    is_shared::<TenantCache>();
    is_shared::<MemoryStore>();
    is_shared::<(Route, On, Scope, Tenant)>();
    #[cfg(feature = "redis")]
    is_shared::<tower_response_cache::RedisStore>();
    // A store's answer goes with the task that waits for it.
    is_sent(StoreFuture::ready(Ok(0_u64)));
}

#[test]
fn errors_go_into_any_box() {
    is_error::<ConfigError>();
    is_error::<InvalidTenant>();
    is_error::<InvalidateError>();
    is_error::<ScopeError>();
    is_error::<StoreError>();
    is_error::<Unconfirmed>();
    #[cfg(feature = "data")]
    is_error::<tower_response_cache::DataError>();
}

#[tokio::test]
async fn futures_go_with_their_tasks() {
    let news = Route::get("/news").tag("news").tenantless();
    let cache = Cache::builder(MemoryStore::new()).route(news).build().unwrap();
    let part = cache.tenantless();
    is_sent(part.invalidate(&Scope::tag("news")));
    is_sent(part.invalidate_all());
    is_sent(part.invalidate_set("none", &[]));
    is_sent(part.delete_pattern("*"));
    is_sent(cache.settled());
}
