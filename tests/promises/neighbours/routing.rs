//! Where in a router the layer stands; other routes beside a cached one; the layer twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tower::Layer;
use tower_response_cache::{Cache, On, Route, Tenant};

use super::{Runs, app, built, cache};
use crate::support::app::{App, gym_cache, gym_routes, patient, request};

on_each_store! {
    async fn p5_an_undeclared_route_is_not_cached_as_one_that_its_path_fits(backend: Backend) {
        let me = |headers: HeaderMap| async move { headers["x-user"].to_str().unwrap().to_owned() };
        let router = Router::new()
            .route("/users/{user}", get(|| async { "user" }))
            .route("/users/me", get(me));
        let declared = || cache(backend.store.clone()).route(Route::get("/users/{id}"));
        // Inside the router, axum says which route it took; outside, the app does.
        let inside = App::of(declared(), router.clone());
        let builder = declared().route(Route::get("/users/me").uncached());
        let built = patient(builder).build().unwrap();
        let outside = App {
            router: Router::new().fallback_service(built.layer().layer(router)),
            cache: built,
            source: crate::support::app::Source::default(),
        };
        for app in [inside, outside] {
            for user in ["ann", "bob"] {
                let mut request = request(Method::GET, "4", "/users/me");
                request.headers_mut().insert("x-user", user.parse().unwrap());
                let answer = app.send(request).await;
                assert_eq!(answer.text(), user);
                assert_eq!(answer.cache_status(), "");
                app.cache.settled().await;
            }
            app.warm("4", "/users/ann").await;
        }
    }

    async fn p13_clients_who_revalidate_do_not_run_the_handler_each(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move |headers: HeaderMap| async move {
            counted.fetch_add(1, Ordering::SeqCst);
            if headers.contains_key(header::IF_NONE_MATCH) {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            ([(header::ETAG, "\"1\"")], "x").into_response()
        };
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")),
            Router::new().route("/", get(handler)),
        );
        for _ in 0..10 {
            let mut conditional = request(Method::GET, "4", "/");
            conditional.headers_mut().insert(header::IF_NONE_MATCH, "\"1\"".parse().unwrap());
            app.send(conditional).await;
            app.cache.settled().await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    async fn p13_a_cache_that_is_layered_twice_does_not_wait_for_itself(backend: Backend) {
        let cache = cache(backend.store.clone()).route(Route::get("/")).build().unwrap();
        let router = Router::new()
            .route("/", get(|| async { "x" }))
            .layer(cache.layer())
            .layer(cache.layer());
        let began = Instant::now();
        let response = tower::ServiceExt::oneshot(router, request(Method::GET, "4", "/")).await;
        assert_eq!(response.unwrap().status(), StatusCode::OK);
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }

    async fn below_a_nest_the_whole_path_counts_wherever_the_layer_is(backend: Backend) {
        let users = || Router::new().route("/users/{id}", get(|| async { "x" }).put(|| async { "" }));
        for place in ["around", "inside", "service"] {
            let cache = built(
                cache(backend.store.clone())
                    .namespace(place)
                    .route(Route::get("/v1/users/{id}"))
                    .invalidate(On::put("/v1/users/{id}").path("/v1/users/{id}")),
            );
            let router = match place {
                "around" => Router::new().nest("/v1", users()).layer(cache.layer()),
                "inside" => Router::new().nest("/v1", users().layer(cache.layer())),
                _ => Router::new().nest_service("/v1", cache.layer().layer(users())),
            };
            let app = app(cache, router);
            app.warm("4", "/v1/users/1").await;
            app.put("4", "/v1/users/1", "new").await;
            app.get("4", "/v1/users/1").await.assert_miss();
            assert_eq!(app.get("4", "/users/1").await.status, StatusCode::NOT_FOUND);
        }
    }

    async fn as_a_route_layer_it_sees_what_a_route_takes_and_no_other(backend: Backend) {
        let cache = built(gym_cache(backend.store.clone()).route(Route::get("/nobody")));
        let router = gym_routes(crate::support::app::Source::default()).route_layer(cache.layer());
        let app = app(cache, router);
        app.warm("4", "/users/1").await;
        app.put("4", "/users/1", "new").await;
        app.get("4", "/users/1").await.assert_miss();
        let nobody = app.get("4", "/nobody").await;
        assert_eq!((nobody.status, nobody.cache_status()), (StatusCode::NOT_FOUND, ""));
    }

    async fn a_fallback_is_cached_by_its_path_and_its_404_is_not(backend: Backend) {
        let runs = Runs::default();
        let counted = runs.clone();
        let fallback = move |uri: axum::http::Uri| {
            counted.count();
            async move {
                if uri.path() == "/page" { Ok("the page of a single-page app") } else { Err(StatusCode::NOT_FOUND) }
            }
        };
        let builder = cache(backend.store.clone()).route(Route::get("/{page}"));
        let app = App::of(builder, Router::new().fallback(fallback));
        app.warm("4", "/page").await;
        for _ in 0..2 {
            let missing = app.get_settled("4", "/missing").await;
            assert_eq!(missing.status, StatusCode::NOT_FOUND);
            assert!(missing.cache_status().contains("detail=status"), "{missing:?}");
        }
        assert_eq!(runs.so_far(), 3);
    }

    async fn a_method_that_the_route_has_not_invalidates_nothing(backend: Backend) {
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")),
            Router::new().route("/", get(|| async { "x" })),
        );
        app.warm("4", "/").await;
        let refused = app.send(request(Method::POST, "4", "/")).await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);
        app.get("4", "/").await.assert_hit();
    }

    async fn layered_twice_a_write_runs_once_and_invalidates(backend: Backend) {
        let source = crate::support::app::Source::default();
        let cache = built(gym_cache(backend.store.clone()));
        let router = gym_routes(source.clone()).layer(cache.layer()).layer(cache.layer());
        let app = App { source, ..app(cache, router) };
        app.warm("4", "/users/1").await;
        let runs = app.source.runs();
        assert_eq!(app.put("4", "/users/1", "new").await.status, StatusCode::NO_CONTENT);
        assert_eq!(app.get("4", "/users/1").await.text(), "4/1=new");
        assert_eq!(app.source.runs(), runs + 1);
    }

    /// RFC 9211, section 2: the cache nearest to the handler comes first.
    async fn two_caches_each_say_what_they_did(backend: Backend) {
        let named = |name: &str| {
            let builder = cache(backend.store.clone()).namespace(name).cache_status(name);
            built(builder.route(Route::get("/")))
        };
        let (near, far) = (named("near"), named("far"));
        let router = Router::new().route("/", get(|| async { "x" }));
        let app = app(far.clone(), router.layer(near.layer()).layer(far.layer()));
        let statuses = |answer: &crate::support::app::Answer| {
            let lines = answer.headers.get_all("cache-status").iter();
            lines.map(|line| line.to_str().unwrap().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let both = statuses(&app.get("4", "/").await);
        assert!(both.starts_with("near; fwd=miss") && both.contains(", far; fwd=miss"), "{both}");
        near.settled().await;
        let hit = app.get_settled("4", "/").await;
        assert!(statuses(&hit).contains("far; hit"), "{hit:?}");
        assert_eq!(near.stats().hits, 0);
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn credentials_in_a_key_are_not_to_be_read_in_redis() {
    let backend = crate::support::Backend::redis().await;
    let route = Route::get("/").header("authorization");
    let builder = Cache::builder(backend.store.clone()).tenant(Tenant::header("x-gym-id"));
    let app = App::of(builder.route(route), Router::new().route("/", get(|| async { "x" })));
    let ask = |token: &str| {
        let mut request = request(Method::GET, "4", "/");
        request.headers_mut().insert(header::AUTHORIZATION, token.parse().unwrap());
        request
    };
    app.send(ask("Bearer s3cret")).await.assert_miss();
    app.cache.settled().await;
    app.send(ask("Bearer s3cret")).await.assert_hit();
    app.send(ask("Bearer other")).await.assert_miss();
    let keys = backend.server.as_ref().unwrap().raw(&[b"KEYS", b"*"]);
    assert!(keys.contains("authorization") && !keys.contains("s3cret"), "{keys}");
}
