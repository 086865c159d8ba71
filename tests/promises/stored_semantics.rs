//! P22: what RFC 9110 and 9111 ask of stored responses.

use std::convert::Infallible;
use std::time::Duration;

use crate::support::app::{App, request};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::routing::get;
use tower::{Layer, ServiceExt, service_fn};
use tower_response_cache::{Cache, Route, Tenant};

on_each_store! {
    async fn p22_a_head_of_what_has_no_content_says_no_length(backend: Backend) {
        // RFC 9110, section 8.6.
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/").ttl_for_status(StatusCode::NO_CONTENT, Duration::from_secs(60)));
        let cache = crate::support::app::patient(cache).build().unwrap();
        // Without axum, which adds a length of its own.
        let service = cache.layer().layer(service_fn(|_: Request<Body>| async {
            let response = Response::builder().status(StatusCode::NO_CONTENT);
            Ok::<_, Infallible>(response.body(Body::empty()).unwrap())
        }));
        for method in [Method::GET, Method::HEAD] {
            let response = service.clone().oneshot(request(method, "4", "/")).await.unwrap();
            assert!(!response.headers().contains_key(header::CONTENT_LENGTH), "{response:?}");
            cache.settled().await;
        }
        assert_eq!(cache.stats().hits, 1);
    }

    async fn p22_what_must_be_revalidated_is_not_served_stale(backend: Backend) {
        // RFC 9111, sections 4.2.4, 5.2.2.2 and 5.2.2.8.
        for directive in ["must-revalidate", "proxy-revalidate"] {
            let cache = Cache::builder(backend.store.clone())
                .namespace(directive)
                .tenant(Tenant::header("x-gym-id"))
                .same_for_all_users()
                .route(
                    Route::get("/")
                        .ttl(Duration::from_millis(50))
                        .stale_while_revalidate(Duration::from_secs(60))
                        .stale_if_error(Duration::from_secs(60)),
                );
            let handler = move || async move { ([(header::CACHE_CONTROL, directive)], "x") };
            let app = App::of(cache, Router::new().route("/", get(handler)));
            app.get("4", "/").await;
            app.cache.settled().await;
            tokio::time::sleep(Duration::from_millis(60)).await;
            app.get("4", "/").await.assert_miss();
        }
    }
}
