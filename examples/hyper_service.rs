//! The layer around a plain `tower` service on a hyper server, without axum.
//!
//! `cargo run --example hyper_service`

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_response_cache::{Cache, MemoryStore, On, Route, Tenant};

/// How often each tenant has counted.
type Counts = Arc<Mutex<HashMap<HeaderValue, u64>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder(MemoryStore::new())
        .namespace("counter")
        .tenant(Tenant::header("x-tenant"))
        .same_for_all_users()
        .route(Route::get("/count").ttl(Duration::from_secs(60)).ignore_query())
        .invalidate(On::post("/count").path("/count"))
        .build()?;

    let counts = Counts::default();
    let service = ServiceBuilder::new()
        .layer(cache.layer())
        .service(service_fn(move |request| ready(Ok::<_, Infallible>(answer(&request, &counts)))));

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("listening on {url}");
    println!("Read:  curl -i -H 'x-tenant: a' {url}/count");
    println!("Count: curl -i -H 'x-tenant: a' -X POST {url}/count");
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: that passes, the server should not.
                eprintln!("accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("connection: {error}");
            }
        });
    }
}

/// `GET /count` shows the tenant's count, `POST /count` adds one to it.
fn answer(request: &Request<Incoming>, counts: &Counts) -> Response<Full<Bytes>> {
    let Some(tenant) = request.headers().get("x-tenant").cloned() else {
        return text(StatusCode::BAD_REQUEST, "x-tenant is missing".to_owned());
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/count") => text(StatusCode::OK, add(counts, tenant, 0).to_string()),
        (&Method::POST, "/count") => text(StatusCode::OK, add(counts, tenant, 1).to_string()),
        (_, "/count") => text(StatusCode::METHOD_NOT_ALLOWED, "only GET and POST".to_owned()),
        _ => text(StatusCode::NOT_FOUND, "only /count".to_owned()),
    }
}

fn add(counts: &Counts, tenant: HeaderValue, more: u64) -> u64 {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let count = counts.entry(tenant).or_default();
    *count += more;
    *count
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
}
