//! The cache among other layers, each where it belongs, with a router nested in another.
//!
//! `cargo run --example layers`

use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header::AUTHORIZATION};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Extension, Router, routing::get};
use tower::ServiceBuilder;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_response_cache::{Cache, ConfigError, Identity, MemoryStore, On, Route, Tenant};

/// What a request has proved.
#[derive(Clone)]
struct Session {
    gym: u32,
    user: u32,
}

async fn authenticate(mut request: Request, next: Next) -> Result<Response, StatusCode> {
    // In place of your own look at a token or a session.
    let token = request.headers().get(AUTHORIZATION).ok_or(StatusCode::UNAUTHORIZED)?;
    let session = match token.as_bytes() {
        b"Bearer ann" => Session { gym: 4, user: 1 },
        b"Bearer bob" => Session { gym: 4, user: 2 },
        _ => return Err(StatusCode::UNAUTHORIZED),
    };
    request.extensions_mut().insert(session);
    Ok(next.run(request).await)
}

fn cache() -> Result<Cache, ConfigError> {
    let user = Identity::extension(|session: &Session| session.user.to_string());
    // Paths count from the root, also for routes of a nested router.
    Cache::builder(MemoryStore::new())
        .namespace("gym")
        .tenant(Tenant::extension(|session: &Session| session.gym.to_string()))
        .route(Route::get("/api/classes").same_for_all_users())
        .route(Route::get("/api/me").per_user(user))
        .invalidate(On::post("/api/classes").path("/api/classes"))
        .build()
}

fn app(cache: &Cache) -> Router {
    let who = async |Extension(session): Extension<Session>| format!("user {}\n", session.user);
    let api = Router::new()
        .route("/classes", get(async || "all of them\n").post(async || "one more\n"))
        .route("/me", get(who));
    let timeout = Duration::from_secs(10);
    // From the outermost to the innermost of those outside of the cache.
    let outside = ServiceBuilder::new()
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http())
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(CorsLayer::permissive())
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, timeout))
        .layer(CompressionLayer::new())
        .layer(from_fn(authenticate));
    Router::new()
        .nest("/api", api)
        // Inside: 64 handlers at once, of all routes.
        .layer(GlobalConcurrencyLimitLayer::new(64))
        .layer(cache.layer())
        .layer(outside)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app(&cache()?)).await?;
    Ok(())
}
