//! Other caches behind the same server as `examples/load_target`, each as its own documentation
//! would have it for speed: `PEER=<name>` and the variables that server knows.
//!
//! None of them keeps tenants apart, coalesces a fill with a later invalidation, or stamps what it
//! stores; their keys are the method and the path.

#[path = "../../../examples/load_target/items.rs"]
mod items;
#[path = "../../../examples/load_target/serve.rs"]
mod serve;
#[path = "../../../examples/load_target/settings.rs"]
mod settings;

mod axum_response_cache;
mod hitbox;
mod http_cache;
mod tower_http_cache;

use std::error::Error;

use axum::Router;
use axum::extract::Path;
use axum::routing::{MethodRouter, get};

use crate::items::Items;
use crate::serve::{changed, item};
use crate::settings::Settings;

fn main() -> Result<(), Box<dyn Error>> {
    serve::run(router)
}

async fn router(settings: Settings, items: Items) -> Result<Router, Box<dyn Error>> {
    let route = route(items);
    match settings.mode.as_str() {
        "tower-http-cache-redis" => tower_http_cache::redis(&settings, route).await,
        "tower-http-cache-memory" => Ok(tower_http_cache::memory(&settings, route)),
        "hitbox-redis" => hitbox::redis(&settings, route),
        "hitbox-moka" => Ok(hitbox::moka(&settings, route)),
        "axum-response-cache" => Ok(axum_response_cache::memory(&settings, route)),
        "http-cache-moka" => Ok(http_cache::moka(&settings, route)),
        mode => Err(format!("MODE={mode}: see benches/peers/src/main.rs for what there is").into()),
    }
}

/// The route that is cached.
fn route(items: Items) -> MethodRouter {
    get(move |Path(n): Path<u64>| async move { item(n, &items).await }).put(changed)
}
