//! One cached route and one that changes what it shows, on the memory store.
//!
//! `cargo run --example quickstart`

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router, routing};
use tower_response_cache::{Cache, MemoryStore, On, Route, Tenant};

/// The notes of each team.
type Notes = Arc<Mutex<HashMap<String, Vec<String>>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = Cache::builder(MemoryStore::new())
        .namespace("quickstart")
        .tenant(Tenant::header("x-team"))
        .same_for_all_users()
        .route(Route::get("/notes").ttl(Duration::from_secs(300)).ignore_query())
        .invalidate(On::post("/notes").path("/notes"))
        .build()?;

    let app = Router::new()
        .route("/notes", routing::get(list).post(add))
        .layer(cache.layer())
        .with_state(Notes::default());

    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("listening on {url}");
    println!("Twice, and look at cache-status: curl -i -H 'x-team: red' {url}/notes");
    println!("Then add a note, and read again: curl -i -H 'x-team: red' -d hello {url}/notes");
    println!("Another team, another entry:     curl -i -H 'x-team: blue' {url}/notes");
    axum::serve(listener, app).await?;
    Ok(())
}

async fn list(State(notes): State<Notes>, headers: HeaderMap) -> Json<Vec<String>> {
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    Json(notes.get(&team(&headers)).cloned().unwrap_or_default())
}

async fn add(State(notes): State<Notes>, headers: HeaderMap, note: String) -> StatusCode {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    notes.entry(team(&headers)).or_default().push(note);
    StatusCode::CREATED
}

fn team(headers: &HeaderMap) -> String {
    headers.get("x-team").and_then(|team| team.to_str().ok()).unwrap_or_default().to_owned()
}
