//! P2, P13, P22: what of a leader's request and response is its own.

use crate::support::app::{App, request};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use axum::routing::get;
use tower_response_cache::{Cache, CacheBuilder, ResponseTtl, Route, Store, Tenant};

fn cache(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/").ttl_for_status(StatusCode::NOT_MODIFIED, MINUTE))
}

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// What a handler leaves for an outer middleware.
#[derive(Clone, Debug, PartialEq)]
struct Note(&'static str);

on_each_store! {
    async fn p17_the_first_response_keeps_its_extensions(backend: Backend) {
        let handler = || async {
            let mut response = Response::new(Body::from("x"));
            response.extensions_mut().insert(Note("for the middleware outside"));
            response
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/", get(handler)));
        let response = app.open(request(Method::GET, "4", "/")).await;
        assert!(response.headers()["cache-status"].to_str().unwrap().contains("stored"));
        assert!(response.extensions().get::<Note>().is_some());
    }

    async fn p2_the_content_of_a_get_decides_for_nobody_else(backend: Backend) {
        let handler = |body: String| async move { format!("hello {body}") };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/", get(handler)));
        for (name, value) in [("content-length", "5"), ("transfer-encoding", "chunked")] {
            let mut fat = request(Method::GET, "4", "/");
            fat.headers_mut().insert(name, value.parse().unwrap());
            *fat.body_mut() = Body::from("thief");
            app.send(fat).await.assert_bypass("content");
            assert_eq!(app.get_settled("4", "/").await.text(), "hello ");
        }
        // No content is none, however it is said.
        let mut lean = request(Method::GET, "4", "/");
        lean.headers_mut().insert(header::CONTENT_LENGTH, "0".parse().unwrap());
        app.cache.settled().await;
        app.send(lean).await.assert_hit();
    }

    async fn p22_an_answer_to_a_condition_is_not_stored_for_who_has_none(backend: Backend) {
        // As where a middleware gives every response a TTL, and another one answers conditions.
        for (condition, status) in [
            (header::IF_NONE_MATCH, StatusCode::NOT_MODIFIED),
            (header::IF_MATCH, StatusCode::PRECONDITION_FAILED),
            (header::IF_RANGE, StatusCode::RANGE_NOT_SATISFIABLE),
        ] {
            let asked = condition.clone();
            let handler = move |headers: HeaderMap| async move {
                let mut response = Response::new(Body::from("whole"));
                if headers.contains_key(asked) {
                    *response.body_mut() = Body::empty();
                    *response.status_mut() = status;
                }
                response.extensions_mut().insert(ResponseTtl(MINUTE));
                response
            };
            let cache = cache(backend.store.clone()).namespace(status.as_str());
            let app = App::of(cache, Router::new().route("/", get(handler)));
            let mut conditional = request(Method::GET, "4", "/");
            conditional.headers_mut().insert(condition, "\"x\"".parse().unwrap());
            app.send(conditional).await;
            assert_eq!(app.get_settled("4", "/").await.text(), "whole", "{status}");
        }
    }
}
