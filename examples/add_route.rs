//! A cached list and its items: each with a time of its own, and a tag that a write ends.
//!
//! `cargo run --example add_route`

use std::time::Duration;

use axum::extract::Path;
use axum::{Router, routing};
use tower_response_cache::{Cache, ConfigError, MemoryStore, On, Route, Tenant};

fn cache() -> Result<Cache, ConfigError> {
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    Cache::builder(MemoryStore::new())
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .route(
            Route::get("/classes").ttl(minute).query(["day"]).tag("classes").same_for_all_users(),
        )
        .route(
            Route::get("/classes/{id}")
                .ttl(hour)
                .ignore_query()
                .tag("class:{id}")
                .same_for_all_users(),
        )
        .invalidate(On::put("/classes/{id}").tag("class:{id}").tag("classes"))
        .build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let one = routing::get(async |Path(id): Path<u32>| format!("class {id}\n"))
        .put(async |Path(id): Path<u32>| format!("class {id} is another now\n"));
    let app = Router::new()
        .route("/classes", routing::get(async || "all classes\n"))
        .route("/classes/{id}", one)
        .layer(cache()?.layer());

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
