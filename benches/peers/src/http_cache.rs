//! http-cache-tower-server 0.2.6 on moka.

use ::http_cache::MokaManager;
use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::routing::MethodRouter;
use http_cache_tower_server::{ServerCacheLayer, ServerCacheOptions};
use tower::ServiceBuilder;

use crate::settings::Settings;

/// Its default key; responses that say nothing of caching are stored.
pub(crate) fn moka(settings: &Settings, route: MethodRouter) -> Router {
    let options = ServerCacheOptions {
        default_ttl: Some(settings.ttl),
        cache_by_default: true,
        max_body_size: 1 << 20,
        ..ServerCacheOptions::default()
    };
    let manager = MokaManager::new(moka::future::Cache::new(10_000));
    let layer = ServerCacheLayer::new(manager).with_options(options);
    let errors = HandleErrorLayer::new(async |_| StatusCode::INTERNAL_SERVER_ERROR);
    let layers = ServiceBuilder::new().layer(errors).layer(layer);
    Router::new().route("/items/{n}", route).layer(layers)
}
