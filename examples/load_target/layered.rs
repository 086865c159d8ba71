//! The same handler inside this crate's layer, with every promise on, as it is by default.

use std::error::Error;
use std::sync::Arc;

use tower_response_cache::{Cache, MemoryStore, NearCache, On, RedisStore, Route, Store, Tenant};

use crate::serve::TENANT;
use crate::settings::Settings;

/// The cache of a mode.
pub(crate) async fn cache(settings: &Settings) -> Result<Cache, Box<dyn Error>> {
    let redis = RedisStore::builder(&settings.redis_url).connections(settings.connections);
    let store: Arc<dyn Store> = match settings.mode.as_str() {
        "memory" => Arc::new(MemoryStore::new()),
        "redis" => Arc::new(redis.connect().await?),
        "near" => Arc::new(redis.near_cache(NearCache::coherent()).connect().await?),
        "strict" => Arc::new(redis.near_cache(NearCache::strict()).connect().await?),
        mode => return Err(format!("MODE={mode} has no store").into()),
    };
    let mut builder = Cache::builder(store)
        .namespace("load")
        .tenant(Tenant::header(TENANT))
        .same_for_all_users()
        .route(Route::get("/items/{n}").ttl(settings.ttl).ignore_query())
        // Two rules, so two stamps: one item changes, or all of them do.
        .invalidate(On::put("/items/{n}").path("/items/{n}"))
        .invalidate(On::put("/items").subtree("/items"));
    if settings.everybody {
        builder = builder.invalidate(On::put("/everything").all_tenants());
    }
    Ok(builder.build()?)
}
