//! A job that changes what is cached, without a request on any route of the cache.
//!
//! `cargo run --example background_job`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::{Router, routing};
use tokio::sync::mpsc;
use tower_response_cache::{Cache, ConfigError, MemoryStore, Route, Scope, Tenant};

fn cache() -> Result<Cache, ConfigError> {
    let prices = Route::get("/prices").ttl(Duration::from_secs(3600)).ignore_query().tag("prices");
    Cache::builder(MemoryStore::new())
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .route(prices.same_for_all_users())
        .build()
}

/// Takes new prices, gym by gym, and ends what is cached of the old ones.
async fn import(cache: Cache, price: Arc<AtomicU32>, mut gyms: mpsc::Receiver<&'static str>) {
    while let Some(gym) = gyms.recv().await {
        // First the change, in a database: committed ...
        price.fetch_add(1, Ordering::SeqCst);
        // ... and then the cache. With the answer `Ok`, nobody gets the old price any more.
        let Ok(tenant) = cache.tenant(gym) else { continue };
        if let Err(error) = tenant.invalidate(&Scope::tag("prices")).await {
            // Not confirmed yet: this process passes the entries by, and goes on trying.
            eprintln!("{gym}: {error}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = cache()?;
    let price = Arc::new(AtomicU32::new(20));
    let (jobs, gyms) = mpsc::channel(16);
    let job = tokio::spawn(import(cache.clone(), Arc::clone(&price), gyms));

    let prices = routing::get(async move || format!("{} euros\n", price.load(Ordering::SeqCst)));
    let imports = routing::post(async move || match jobs.try_send("4") {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    });
    let app =
        Router::new().route("/prices", prices).route("/imports", imports).layer(cache.layer());

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let end = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, app).with_graceful_shutdown(end).await?;
    // Nobody sends jobs any more: the last one ends, and then what it left to be confirmed.
    job.await?;
    cache.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
