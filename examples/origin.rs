//! The origin of `docs/HTTP.md`: what stands there before a cache.
//!
//! `cargo run --example origin`

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;

const STALE: &str = "max-age=1, stale-while-revalidate=60, stale-if-error=60";

fn answer(status: StatusCode, fields: &[(&str, &str)], body: &'static str) -> Response<Body> {
    let response =
        fields.iter().fold(Response::builder(), |all, (name, value)| all.header(*name, *value));
    // The names and values above are fit for a response, whatever a client sends.
    response.status(status).body(Body::from(body)).unwrap_or_default()
}

async fn text() -> Response<Body> {
    let fields = [
        ("content-type", "text/plain"),
        ("cache-control", "max-age=60"),
        ("etag", "\"v1\""),
        ("last-modified", "Mon, 01 Jan 2024 00:00:00 GMT"),
    ];
    answer(StatusCode::OK, &fields, "0123456789 and so on\n")
}

async fn greeting(headers: HeaderMap) -> Response<Body> {
    let is_german = headers.get("accept-language").is_some_and(|language| language == "de");
    let (language, body) = if is_german { ("de", "Guten Tag\n") } else { ("en", "Good day\n") };
    let fields = [
        ("cache-control", "max-age=60"),
        ("vary", "Accept-Language"),
        ("content-language", language),
    ];
    answer(StatusCode::OK, &fields, body)
}

async fn news(headers: HeaderMap) -> Response<Body> {
    let fields = [("cache-control", STALE), ("etag", "\"n1\"")];
    if headers.get("if-none-match").is_some_and(|tag| tag == "\"n1\"") {
        answer(StatusCode::NOT_MODIFIED, &fields, "")
    } else {
        answer(StatusCode::OK, &fields, "nothing new\n")
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let account = async || answer(StatusCode::OK, &[("cache-control", "private")], "yours\n");
    let app = Router::new()
        .route("/text", get(text).post(async || StatusCode::NO_CONTENT))
        .route("/greeting", get(greeting))
        .route("/news", get(news))
        .route("/account", get(account));

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
