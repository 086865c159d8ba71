//! P5, P13: other routes, other layers, and what a leader's request must not decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tower::Layer;
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

use crate::support::app::{App, patient, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users()
}

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
