//! Routes that are cached and some that are not, and pages that say why.
//!
//! `cargo run --example why_not_cached`

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::{Router, routing::get};
use tower_response_cache::{Cache, ConfigError, MemoryStore, Route, Tenant};

fn cache() -> Result<Cache, ConfigError> {
    Cache::builder(MemoryStore::new())
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .default_ttl(Duration::from_secs(60))
        .route(Route::get("/classes").query(["day"]))
        .route(Route::get("/basket"))
        .build()
}

/// Says of any request what the cache would do with it: put `/debug/why` before its path.
async fn why(State(cache): State<Cache>, method: Method, uri: Uri, headers: HeaderMap) -> String {
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
    cache.explain_request(&request.into_parts().0).to_string()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = cache()?;
    // For operators alone: it shows keys and tenants.
    let debug = Router::new()
        .route("/debug/cache", get(async |State(cache): State<Cache>| cache.explain().to_string()))
        .nest("/debug/why", Router::new().fallback(why))
        .with_state(cache.clone());
    let app = Router::new()
        .route("/classes", get(async || "all classes\n"))
        .route("/basket", get(async || ([("set-cookie", "basket=1")], "a basket\n")))
        .route("/trainers", get(async || "all trainers\n"))
        .layer(cache.layer())
        .merge(debug);

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
