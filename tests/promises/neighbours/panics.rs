//! Panics of handlers, caught on either side.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_response_cache::Route;

use super::{App, app, asking, built, cache};
use crate::support::Backend;

/// A handler that panics while it is told to: also after it has written.
fn fragile(broken: &Arc<AtomicBool>) -> Router {
    let handler = |State(broken): State<Arc<AtomicBool>>| async move {
        assert!(!broken.load(Ordering::SeqCst), "broken on purpose");
        "whole"
    };
    Router::new().route("/", get(handler).put(handler)).with_state(Arc::clone(broken))
}

/// `panics` cases with the layer inside, outside.
fn apps(backend: &Backend, broken: &Arc<AtomicBool>) -> [App; 2] {
    ["inside", "outside"].map(|place| {
        let builder = cache(backend.store.clone()).namespace(place).route(Route::get("/"));
        let cache = built(builder);
        let router = fragile(broken);
        let router = if place == "inside" {
            router.layer(CatchPanicLayer::new()).layer(cache.layer())
        } else {
            router.layer(cache.layer()).layer(CatchPanicLayer::new())
        };
        app(cache, router)
    })
}

on_each_store! {
    async fn a_panic_is_a_500_for_its_client_and_is_not_stored(backend: Backend) {
        let broken = Arc::new(AtomicBool::new(true));
        for app in apps(&backend, &broken) {
            broken.store(true, Ordering::SeqCst);
            let clients = (0..8).map(|_| app.get("4", "/"));
            for answer in futures_util::future::join_all(clients).await {
                assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
            }
            app.cache.settled().await;
            assert_eq!(app.cache.stats().stored, 0);
            broken.store(false, Ordering::SeqCst);
            app.warm("4", "/").await;
        }
    }

    async fn p10_a_write_that_panics_invalidates(backend: Backend) {
        let broken = Arc::new(AtomicBool::new(false));
        for app in apps(&backend, &broken) {
            broken.store(false, Ordering::SeqCst);
            app.warm("4", "/").await;
            broken.store(true, Ordering::SeqCst);
            let failed = app.send(asking(Method::PUT, &[])).await;
            assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
            broken.store(false, Ordering::SeqCst);
            app.cache.settled().await;
            let after = app.get("4", "/").await;
            assert!(!after.is_hit(), "{after:?}");
        }
    }
}
