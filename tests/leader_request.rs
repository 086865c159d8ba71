//! P2, P13, P22: what of a leader's request and response is its own.

#[macro_use]
mod support;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Response};
use axum::routing::get;
use support::app::{App, request};
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

fn cache(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/"))
}

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
}
