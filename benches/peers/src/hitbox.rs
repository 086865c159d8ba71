//! hitbox 0.2: Redis through a connection manager, or moka, in its binary formats, without
//! compression.

use std::error::Error;

use ::hitbox::Config;
use ::hitbox::concurrency::BroadcastConcurrencyManager;
use ::hitbox::policy::{ConcurrencyLimit, PolicyConfig};
use axum::Router;
use axum::routing::MethodRouter;
use hitbox_backend::CacheBackend;
use hitbox_http::extractors::Method;
use hitbox_http::extractors::path::PathExtractor as _;
use hitbox_http::predicates::{NeutralRequestPredicate, NeutralResponsePredicate};
use hitbox_moka::MokaBackend;
use hitbox_redis::{ConnectionMode, RedisBackend};
use hitbox_tower::Cache;

use crate::settings::Settings;

pub(crate) fn redis(settings: &Settings, route: MethodRouter) -> Result<Router, Box<dyn Error>> {
    let backend = RedisBackend::builder()
        .connection(ConnectionMode::single(settings.redis_url.clone()))
        .build()?;
    Ok(layered(settings, backend, route))
}

pub(crate) fn moka(settings: &Settings, route: MethodRouter) -> Router {
    layered(settings, MokaBackend::builder().max_entries(10_000).build(), route)
}

fn layered<B>(settings: &Settings, backend: B, route: MethodRouter) -> Router
where
    B: CacheBackend + Clone + Send + Sync + 'static,
{
    // One run at a time of a key: off by default, and it costs a hit nothing.
    let one = ConcurrencyLimit::new(1).expect("1 is within 1 to 255");
    let policy = PolicyConfig::builder().ttl(settings.ttl).concurrency(one);
    let config = Config::builder()
        .request_predicate(NeutralRequestPredicate::new())
        .response_predicate(NeutralResponsePredicate::new())
        .extractor(Method::new().path("/items/{n}"))
        .policy(policy.build())
        .build();
    let layer = Cache::builder()
        .backend(backend)
        .config(config)
        .concurrency_manager(BroadcastConcurrencyManager::new())
        .build();
    Router::new().route("/items/{n}", route).layer(layer)
}
