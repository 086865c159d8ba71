//! All there is to say about caching.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tower_response_cache::{Cache, MemoryStore, RedisStore, Route, Store, Tenant};

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
        // One origin may be several sites; what one of them writes or calls a group is its own.
        .tenant(Tenant::header("host"))
        .cache_status("caching-proxy")
        // Of the origin nothing is known, nor of who sends a write and leaves.
        .exact_targets()
        .hold_after_lost(Duration::ZERO)
        .lookup_timeout(settings.lookup_timeout)
        .max_body(MAX_BODY)
        .max_request_body(settings.max_request_body)
        .targeted_fields(&settings.targeted)
        .route(validated(Route::get("/"), settings))
        .route(validated(Route::get("/{*path}"), settings));
    for path in &settings.query_method {
        builder = builder.route(validated(Route::query_method(path), settings));
    }
    for path in &settings.post {
        builder = builder.route(route(Route::post(path), settings));
    }
    if settings.rfc9111 {
        builder = builder.rfc9111();
    }
    if settings.same_for_all_users {
        builder = builder.same_for_all_users();
    }
    Ok(builder.build()?)
}

/// A route of a method that may ask whether what is stored is still good, which POST may not.
fn validated(of: Route, settings: &Settings) -> Route {
    let route = route(of, settings);
    if settings.rfc9111 { route } else { route.revalidate(settings.revalidate) }
}

fn route(route: Route, settings: &Settings) -> Route {
    if settings.rfc9111 {
        return route;
    }
    route
        .ttl(settings.ttl)
        .stale_while_revalidate(settings.stale_while_revalidate)
        .stale_if_error(settings.stale_if_error)
}

/// The origin as a namespace, which is 1 to 64 letters, digits and `-_.`: another one for each origin.
fn namespace(upstream: &str) -> String {
    use std::fmt::Write as _;

    let mut name = String::from("proxy.");
    for character in upstream.chars() {
        if character.is_ascii_alphanumeric() || "-.".contains(character) {
            name.push(character);
        } else {
            // A `String` takes everything.
            let _ = write!(name, "_{:x}_", u32::from(character));
        }
    }
    name
}
