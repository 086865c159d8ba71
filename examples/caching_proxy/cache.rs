//! All there is to say about caching.

use std::error::Error;
use std::sync::Arc;

use tower_response_cache::{Cache, MemoryStore, RedisStore, Route, Store};

use crate::args::Settings;

/// The largest body that is stored, in bytes.
const MAX_BODY: usize = 8 << 20;

/// The cache before the origin: every path, for whoever asks.
pub(crate) async fn build(settings: &Settings) -> Result<Cache, Box<dyn Error>> {
    let store: Arc<dyn Store> = match &settings.redis {
        Some(url) => Arc::new(RedisStore::connect(url).await?),
        None => Arc::new(MemoryStore::new()),
    };
    let mut builder = Cache::builder(store)
        // Of this origin alone: several of these proxies may share a Redis.
        .namespace(namespace(settings.upstream.as_str()))
        .cache_status("caching-proxy")
        .lookup_timeout(settings.lookup_timeout)
        .max_body(MAX_BODY)
        .route(route("/", settings))
        .route(route("/{*path}", settings));
    if settings.rfc9111 {
        builder = builder.rfc9111();
    }
    if settings.same_for_all_users {
        builder = builder.same_for_all_users();
    }
    Ok(builder.build()?)
}

fn route(path: &str, settings: &Settings) -> Route {
    // One origin may be several sites.
    let route = Route::get(path).tenantless().header("host");
    if settings.rfc9111 {
        return route;
    }
    route
        .ttl(settings.ttl)
        .stale_while_revalidate(settings.stale_while_revalidate)
        .stale_if_error(settings.stale_if_error)
        .revalidate(settings.revalidate)
}

/// The origin as a namespace, which is 1 to 64 letters, digits and `-_.`.
fn namespace(upstream: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' };
    let mut name = String::from("proxy.");
    name.extend(upstream.chars().map(allowed).take(64 - name.len()));
    name
}
