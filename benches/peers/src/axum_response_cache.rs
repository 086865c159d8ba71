//! axum-response-cache 0.5: a map under one mutex.

use ::axum_response_cache::CacheLayer;
use axum::Router;
use axum::routing::MethodRouter;

use crate::settings::Settings;

/// The constructor that its documentation begins with; all else off.
pub(crate) fn memory(settings: &Settings, route: MethodRouter) -> Router {
    Router::new().route("/items/{n}", route.layer(CacheLayer::with_lifespan(settings.ttl)))
}
