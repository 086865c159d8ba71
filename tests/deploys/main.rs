//! Rolling deploys: instances of two configurations, or of two formats, on one store (docs/DEPLOYS.md).
//!
//! Each rule has its counter-example: the same scenario in a namespace that is said to be shared for
//! good, where the rule does not hold, gives the wrong answer.

#[path = "../support/mod.rs"]
mod support;

mod configurations;
mod format;
mod layouts;
mod traffic;

use axum::Router;
use axum::routing::put;
use tower_response_cache::{Cache, CacheBuilder, On, Route, Tenant};

use self::support::Backend;
use self::support::app::{App, Source, gym_routes};

/// Two instances of different versions, on stores of their own and one database.
struct Deploy {
    old: App,
    new: App,
    source: Source,
}

/// Whether configurations are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    On,
    Off,
}

impl Deploy {
    async fn of(
        backend: &Backend,
        guard: Guard,
        old: impl FnOnce(CacheBuilder) -> CacheBuilder,
        new: impl FnOnce(CacheBuilder) -> CacheBuilder,
    ) -> Self {
        let source = Source::default();
        source.put("4", "42", "first");
        let begin = |store| {
            let builder = Cache::builder(store)
                .namespace("gym")
                .tenant(Tenant::header("x-gym-id"))
                .same_for_all_users();
            if guard == Guard::Off { builder.shared_namespace() } else { builder }
        };
        let routes = || {
            let renamed = source.clone();
            let rename = move |body: String| async move { renamed.put("4", "42", &body) };
            gym_routes(source.clone()).merge(Router::new().route("/names", put(rename)))
        };
        Self {
            old: App::of(old(begin(backend.another().await)), routes()),
            new: App::of(new(begin(backend.another().await)), routes()),
            source,
        }
    }
}

/// The old version: it caches, and knows of no rule but the path of each write.
fn before(builder: CacheBuilder) -> CacheBuilder {
    builder.route(Route::get("/users/{id}/stats"))
}

/// The new one has noticed that statistics change with their users.
fn after(builder: CacheBuilder) -> CacheBuilder {
    builder
        .route(Route::get("/users/{id}/stats").tag("members"))
        .invalidate(On::put("/users/{id}").tag("members"))
        .invalidate(On::put("/names").tag("members"))
}

const STATS: &str = "/users/42/stats";
