//! The embedded store stays within its bounds, whatever clients ask for.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use tower::ServiceExt;
use tower_response_cache::{Cache, MemoryStore, Route, Tenant};

/// The memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test]
async fn floods_of_paths_and_of_tenants_end_at_the_limit() {
    let store = Arc::new(MemoryStore::with_capacity(1 << 20));
    let cache = Cache::builder(Arc::clone(&store))
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/missing/{id}"))
        .route(Route::get("/found/{id}"))
        .build()
        .unwrap();
    let router = Router::new()
        .route("/missing/{id}", get(|| async { StatusCode::NOT_FOUND }))
        .route("/found/{id}", get(|| async { "x".repeat(1000) }))
        .layer(cache.layer());
    let ask = async |gym: String, path: String| {
        let request = Request::get(path).header("x-gym-id", gym).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    for id in 0..1000 {
        ask("4".to_owned(), format!("/found/{id}")).await;
    }
    let before = resident();
    for id in 0..30_000 {
        ask("4".to_owned(), format!("/missing/{id:0>400}")).await;
        ask(format!("{id:0>100}"), "/found/1".to_owned()).await;
    }
    cache.settled().await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 << 20, "grew by {grown} bytes for a store of 1 MiB");
    assert!(store.bytes() <= 1 << 20, "{store:?}");
    // The fill is refused if what is known of all tenants has just been cut down, about once in 300; the
    // next one is not.
    for _ in 0..2 {
        ask("4".to_owned(), "/found/7".to_owned()).await;
        cache.settled().await;
    }
    let hit = ask("4".to_owned(), "/found/7".to_owned()).await;
    let said = hit.headers()["cache-status"].to_str().unwrap();
    assert!(said.contains("; hit"), "{said}: {:?} {store:?}", cache.stats());
}
