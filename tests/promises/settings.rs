//! The settings that no promise is about: each does what its documentation says.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{Method, StatusCode, header};
use axum::routing::{get, post};
use tower_response_cache::key::{Names, Space};
use tower_response_cache::store::{LeaseToken, Miss, MissRequest};
use tower_response_cache::{Cache, CacheBuilder, Identity, On, Route, Store, Tenant};

use crate::support::app::{Answer, App, Source, gym_cache, gym_routes, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users()
}

fn ttl(answer: &Answer) -> u64 {
    let status = answer.cache_status();
    let ttl = status.split("ttl=").nth(1).unwrap_or_else(|| panic!("no ttl: {answer:?}"));
    ttl.split(';').next().unwrap().trim().parse().unwrap()
}

on_each_store! {
    async fn times_come_from_the_cache_the_route_and_the_response(backend: Backend) {
        let builder = cache(backend.store.clone())
            .default_ttl(Duration::from_secs(77))
            .route(Route::get("/plain"))
            .route(Route::get("/shorter").ttl(Duration::from_secs(500)))
            .route(Route::get("/longer").ttl(Duration::from_secs(50)))
            .route(Route::get("/allowed").ttl(Duration::from_secs(50)).allow_longer());
        let says = || get(|| async { ([(header::CACHE_CONTROL, "max-age=100")], "x") });
        let router = Router::new()
            .route("/plain", get(|| async { "x" }))
            .route("/shorter", says())
            .route("/longer", says())
            .route("/allowed", says());
        let app = App::of(builder, router);
        for (target, expected) in [("/plain", 77), ("/shorter", 100), ("/longer", 50), ("/allowed", 100)] {
            assert_eq!(ttl(&app.get("4", target).await), expected, "{target}");
        }
    }

    async fn jitter_spreads_the_ends(backend: Backend) {
        let route = Route::get("/{id}").ttl(Duration::from_secs(10_000)).jitter(50);
        let app = App::of(
            cache(backend.store.clone()).route(route),
            Router::new().route("/{id}", get(|| async { "x" })),
        );
        let mut seen = HashSet::new();
        for id in 0..40 {
            let ttl = ttl(&app.get("4", &format!("/{id}")).await);
            assert!((5_000..=10_000).contains(&ttl), "{ttl}");
            seen.insert(ttl);
        }
        assert!(seen.len() > 10, "{seen:?}");
    }

    async fn a_route_has_its_own_limit_for_bodies(backend: Backend) {
        let builder = cache(backend.store.clone())
            .max_body(10)
            .route(Route::get("/small"))
            .route(Route::get("/large").max_body(1000));
        let body = || get(|| async { "x".repeat(100) });
        let app = App::of(builder, Router::new().route("/small", body()).route("/large", body()));
        app.get("4", "/small").await;
        app.get_settled("4", "/small").await.assert_miss();
        app.get("4", "/large").await;
        app.get_settled("4", "/large").await.assert_hit();
    }

    async fn limits_of_keys_can_be_set(backend: Backend) {
        let builder = gym_cache(backend.store.clone()).max_key(20).max_parameters(2);
        let app = App::with(builder, Source::default());
        app.get("4", "/users/42").await.assert_miss();
        app.get("4", "/users/123456789012345").await.assert_bypass("key-too-long");
        app.get("4", "/users?a&b").await.assert_miss();
        app.get("4", "/users?a&b&c").await.assert_bypass("too-many-parameters");
    }

    async fn the_cache_has_the_name_it_is_given_or_says_nothing(backend: Backend) {
        for (name, expected) in [("edge", "edge; fwd=miss"), ("", "")] {
            let app = App::with(
                gym_cache(backend.store.clone()).namespace(format!("n{name}")).cache_status(name),
                Source::default(),
            );
            let answer = app.get("4", "/users/42").await;
            assert!(answer.cache_status().starts_with(expected), "{answer:?}");
            assert_eq!(answer.headers.contains_key("cache-status"), !name.is_empty());
        }
    }

    async fn identity_can_be_a_matter_of_the_whole_cache(backend: Backend) {
        let builder = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .per_user(Identity::header("x-user"))
            .route(Route::get("/mine"))
            .route(Route::get("/ours").same_for_all_users());
        let app = App::of(
            builder,
            Router::new().route("/mine", get(|| async { "x" })).route("/ours", get(|| async { "x" })),
        );
        let ask = |target: &str, user: &str| {
            let mut request = request(Method::GET, "4", target);
            request.headers_mut().insert("x-user", user.parse().unwrap());
            request
        };
        for target in ["/mine", "/ours"] {
            app.send(ask(target, "ada")).await.assert_miss();
            app.cache.settled().await;
            app.send(ask(target, "ada")).await.assert_hit();
        }
        app.send(ask("/mine", "bob")).await.assert_miss();
        app.send(ask("/ours", "bob")).await.assert_hit();
    }

    async fn each_outcome_can_be_told_not_to_invalidate(backend: Backend) {
        let builder = gym_cache(backend.store.clone())
            .invalidate(On::post("/fail").path("/users").on_server_error(false).on_lost(false));
        let fail = || async { StatusCode::INTERNAL_SERVER_ERROR };
        let routes = gym_routes(Source::default()).route("/fail", post(fail));
        let app = App::of(builder, routes);
        app.warm("4", "/users").await;
        app.send(request(Method::POST, "4", "/fail")).await;
        app.get("4", "/users").await.assert_hit();

        let stuck = gym_cache(backend.store.clone())
            .invalidate(On::post("/stuck").path("/users").on_lost(false));
        let wait = || async { std::future::pending::<()>().await };
        let app = App::of(stuck, gym_routes(Source::default()).route("/stuck", post(wait)));
        let lost = app.send(request(Method::POST, "4", "/stuck"));
        assert!(tokio::time::timeout(Duration::from_millis(50), lost).await.is_err());
        app.cache.settled().await;
        app.get("4", "/users").await.assert_hit();
    }

    async fn rules_of_routes_without_a_tenant(backend: Backend) {
        let builder = gym_cache(backend.store.clone())
            .route(Route::get("/news").tenantless())
            .invalidate(On::method(Method::PATCH, "/editor").tenantless().path("/news"));
        let routes = gym_routes(Source::default())
            .route("/news", get(|| async { "news" }))
            .route("/editor", axum::routing::patch(|| async {}));
        let app = App::of(builder, routes);
        app.warm("4", "/news").await;
        let mut edit = request(Method::PATCH, "4", "/editor");
        edit.headers_mut().remove("x-gym-id");
        app.send(edit).await;
        app.get("5", "/news").await.assert_miss();
    }

    async fn a_lease_whose_holder_died_is_waited_for_no_longer_than_it_lasts(backend: Backend) {
        let app = App::with(gym_cache(backend.store.clone()), Source::default());
        let mut names = Names::new(&Space::new(&"gym".into(), "4"), "GET", "/users/42");
        // As the app's own names for this request: the order is that of the templates.
        names.push_scope("tenant");
        names.push_scope("path:/users/42");
        names.push_scope("subtree:/users/42");
        let lease = Some((LeaseToken::random(), 400));
        let mut request = MissRequest::new(60_000, names.scopes_digest());
        request.lease = lease;
        let began = Instant::now();
        assert!(matches!(backend.store.miss(&names, &request).await, Ok(Miss::Granted(_))));
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=");
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        assert!(waited < Duration::from_secs(3), "{waited:?}");
        app.get_settled("4", "/users/42").await.assert_hit();
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_failures_open_the_breaker_can_be_set() {
    for (setting, opened, skipped) in [(None, 1, 2), (Some(2), 1, 5), (Some(0), 0, 0)] {
        let mut backend = crate::support::Backend::redis().await;
        let builder = gym_cache(backend.store.clone());
        let builder = match setting {
            Some(failures) => builder.breaker_failures(failures),
            None => builder,
        };
        let app = App::with(builder, Source::default());
        backend.server.as_mut().unwrap().stop();
        for id in 0..7 {
            app.get("4", &format!("/users/{id}")).await.assert_bypass("store");
        }
        let stats = app.cache.stats();
        assert_eq!((stats.breaker_opened, stats.skipped), (opened, skipped), "{setting:?}");
        assert_eq!(stats.breaker_open, opened == 1, "{setting:?}");
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sharing_in_an_outage_can_be_switched_off() {
    let mut backend = crate::support::Backend::redis().await;
    let builder = gym_cache(backend.store.clone()).coalesce_in_outage(false);
    let app = App::with(builder, Source::default());
    backend.server.as_mut().unwrap().stop();
    let asks = (0..5).map(|_| {
        let mut slow = request(Method::GET, "4", "/users/42");
        slow.headers_mut().insert("x-delay-ms", "200".parse().unwrap());
        app.send(slow)
    });
    futures_util::future::join_all(asks).await;
    assert_eq!(app.source.runs(), 5);
}
