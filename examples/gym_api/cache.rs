//! All there is to say about caching: what is kept, for how long, and what ends it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use tower_response_cache::{Cache, MemoryStore, On, RedisStore, Route, Store, Tenant};

use crate::gym::GYM_HEADER;
use crate::period::Period;

const MINUTE: Duration = Duration::from_secs(60);
const NO_QUERY: [&str; 0] = [];

/// The cache of this service, on the Redis at `redis_url` or in memory. With a `fence`, a process
/// that dies between its commit and the invalidation leaves nothing outdated. A request waits for
/// Redis as long as `patience`.
pub(crate) async fn build(
    redis_url: Option<&str>,
    fence: Option<Duration>,
    patience: Duration,
) -> Result<Cache, Box<dyn Error>> {
    let store: Arc<dyn Store> = match redis_url {
        Some(url) => Arc::new(RedisStore::connect(url).await?),
        None => Arc::new(MemoryStore::new()),
    };
    let cache = Cache::builder(store)
        .namespace("gym")
        .lookup_timeout(patience)
        .tenant(Tenant::header(GYM_HEADER))
        .same_for_all_users()
        .route(Route::get("/users").ttl(5 * MINUTE).query(["role", "status"]))
        .route(Route::get("/users/{id}").ttl(5 * MINUTE).query(NO_QUERY))
        .route(Route::get("/users/{id}/stats").query(["period"]).ttl_with(stats_ttl))
        .route(Route::get("/operating-hours").ttl(60 * MINUTE).query(NO_QUERY))
        .route(Route::get("/participants").ttl(10 * MINUTE).query(NO_QUERY))
        // A user shows in the lists, under its own path with what lies below, and among the
        // participants. `subtree("/users/1")` does not reach `/users/10`.
        .invalidate(On::post("/users").path("/users").path("/participants"))
        .invalidate(match fence {
            Some(longest) => change_user(On::put("/users/{id}")).fence(longest),
            None => change_user(On::put("/users/{id}")),
        })
        .invalidate(change_user(On::delete("/users/{id}")))
        .invalidate(On::put("/operating-hours").path("/operating-hours"))
        .build()?;
    Ok(cache)
}

/// What shows a user.
fn change_user(on: On) -> On {
    on.subtree("/users/{id}").path("/users").path("/participants")
}

/// The longer the period, the less a day changes it. A period that there isn't gets an error from
/// the handler, which is not stored.
fn stats_ttl(request: &Parts) -> Duration {
    Period::of(&request.uri).map_or(Duration::ZERO, Period::ttl)
}
