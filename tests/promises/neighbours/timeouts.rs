//! Time-outs on either side.

use std::time::Duration;

use axum::Router;
use axum::http::{Method, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::Full;
use tokio::sync::watch;
use tower::timeout::error::Elapsed;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
use tower_http::timeout::TimeoutLayer;
use tower_response_cache::Route;

use super::{App, Runs, app, asking, built, cache};
use crate::support::Backend;

/// Handlers that answer only once they may, as if a database were slow.
fn slow(runs: &Runs, may: &watch::Sender<bool>) -> Router {
    let (runs, may) = (runs.clone(), may.subscribe());
    let handler = move || {
        let (runs, mut may) = (runs.clone(), may.clone());
        async move {
            runs.count();
            may.wait_for(|may| *may).await.unwrap();
            "slow"
        }
    };
    Router::new().route("/", axum::routing::get(handler.clone()).put(handler))
}

fn limit() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(300))
}

fn outside(backend: &Backend, slow: Router) -> App {
    let cache = built(cache(backend.store.clone()).route(Route::get("/")));
    let router = slow.layer(cache.layer()).layer(limit());
    app(cache, router)
}

fn inside(backend: &Backend, slow: Router) -> App {
    let cache = built(cache(backend.store.clone()).route(Route::get("/")));
    let router = slow.layer(limit()).layer(cache.layer());
    app(cache, router)
}

on_each_store! {
    async fn p14_after_a_time_out_outside_the_fill_goes_on(backend: Backend) {
        let (runs, may) = (Runs::default(), watch::channel(false).0);
        let app = outside(&backend, slow(&runs, &may));
        assert_eq!(app.get("4", "/").await.status, StatusCode::REQUEST_TIMEOUT);
        may.send(true).unwrap();
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        assert_eq!((hit.text(), runs.so_far()), ("slow", 1));
    }

    async fn p10_a_write_that_times_out_outside_invalidates(backend: Backend) {
        let (runs, may) = (Runs::default(), watch::channel(true).0);
        let app = outside(&backend, slow(&runs, &may));
        app.warm("4", "/").await;
        may.send(false).unwrap();
        let late = app.send(asking(Method::PUT, &[])).await;
        assert_eq!(late.status, StatusCode::REQUEST_TIMEOUT);
        may.send(true).unwrap();
        app.cache.settled().await;
        let after = app.get("4", "/").await;
        assert!(!after.is_hit(), "{after:?}");
    }

    async fn a_time_out_inside_is_not_stored_and_is_everybodys_own(backend: Backend) {
        let (runs, may) = (Runs::default(), watch::channel(false).0);
        let app = inside(&backend, slow(&runs, &may));
        let late = app.get("4", "/").await;
        assert_eq!(late.status, StatusCode::REQUEST_TIMEOUT);
        assert!(late.cache_status().contains("fwd=miss; detail=status"), "{late:?}");
        may.send(true).unwrap();
        app.cache.settled().await;
        assert_eq!(app.cache.stats().stored, 0);
        app.warm("4", "/").await;
    }

    async fn p10_a_write_that_times_out_inside_invalidates(backend: Backend) {
        let (runs, may) = (Runs::default(), watch::channel(true).0);
        let app = inside(&backend, slow(&runs, &may));
        app.warm("4", "/").await;
        may.send(false).unwrap();
        let late = app.send(asking(Method::PUT, &[])).await;
        assert_eq!(late.status, StatusCode::REQUEST_TIMEOUT);
        may.send(true).unwrap();
        let after = app.get("4", "/").await;
        assert!(!after.is_hit(), "{after:?}");
    }

    async fn towers_own_time_out_is_an_error_on_either_side(backend: Backend) {
        for place in ["inside", "outside"] {
            let may = watch::channel(false).0;
            let waits = may.subscribe();
            let handler = service_fn(move |_: Request<String>| {
                let mut waits = waits.clone();
                async move {
                    waits.wait_for(|may| *may).await.unwrap();
                    Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"slow"))))
                }
            });
            let builder = cache(backend.store.clone()).namespace(place).route(Route::get("/"));
            let cache = built(builder);
            let short = || (place == "inside").then_some(Duration::from_millis(300));
            let service = ServiceBuilder::new()
                .option_layer((place == "outside").then(|| tower::timeout::TimeoutLayer::new(Duration::from_millis(300))))
                .layer(cache.layer())
                .option_layer(short().map(tower::timeout::TimeoutLayer::new))
                .service(handler);
            let ask = || Request::get("/").header("x-gym-id", "4").body(String::new()).unwrap();
            let late = service.clone().oneshot(ask()).await.map(drop).unwrap_err();
            assert!(late.is::<Elapsed>(), "{place}: {late}");
            assert_eq!(cache.stats().stored, 0);
            may.send(true).unwrap();
            cache.settled().await;
            let response = service.oneshot(ask()).await.unwrap();
            let status = response.headers()["cache-status"].to_str().unwrap();
            assert_eq!(status.contains("; hit"), place == "outside", "{status}");
        }
    }
}
