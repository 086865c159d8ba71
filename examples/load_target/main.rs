//! The server that load tests drive: `GET /items/{n}` with this crate's layer, with a cache that
//! is written by hand, or with none. `scripts/load-test` compares them.
//!
//! `MODE=redis cargo run --release --example load_target`

mod handwritten;
mod items;
mod layered;
mod serve;
mod settings;

use std::error::Error;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::{get, put};

use crate::handwritten::Handwritten;
use crate::items::Items;
use crate::serve::{changed, item, json};
use crate::settings::Settings;

fn main() -> Result<(), Box<dyn Error>> {
    serve::run(router)
}

async fn router(settings: Settings, items: Items) -> Result<Router, Box<dyn Error>> {
    match settings.mode.as_str() {
        "bare" => Ok(bare(&items)),
        "handwritten" => handwritten(&settings, items).await,
        "redis" | "near" | "strict" | "memory" => layered(&settings, items).await,
        mode => {
            Err(format!("MODE={mode}: expected bare, handwritten, redis, near, strict or memory")
                .into())
        }
    }
}

/// The ceiling: a body that is there already.
fn bare(items: &Items) -> Router {
    let body = items.ready(0);
    let answer = move |Path(_): Path<u64>| async move { json(body) };
    Router::new().route("/items/{n}", get(answer).put(changed))
}

async fn handwritten(settings: &Settings, items: Items) -> Result<Router, Box<dyn Error>> {
    let url = &settings.redis_url;
    let cached = Handwritten::connect(url, settings.connections, items, settings.ttl).await?;
    let changing = cached.clone();
    let read = move |Path(n): Path<u64>, headers: HeaderMap| async move {
        cached.get(n, &headers).await.map(json)
    };
    let write = move |Path(n): Path<u64>, headers: HeaderMap| async move {
        changing.put(n, &headers).await
    };
    Ok(Router::new().route("/items/{n}", get(read).put(write)))
}

async fn layered(settings: &Settings, items: Items) -> Result<Router, Box<dyn Error>> {
    let cache = layered::cache(settings).await?;
    let read = move |Path(n): Path<u64>| async move { item(n, &items).await };
    let app = Router::new()
        .route("/items/{n}", get(read).put(changed))
        .route("/items", put(changed))
        .layer(cache.layer())
        // Beside what is measured: how many look-ups the near-cache answered so far.
        .route("/near", get(move || async move { cache.stats().near.to_string() }));
    Ok(app)
}
