//! P6, P12: what is served because a handler failed is no older than the request may see.

use std::io;
use std::time::Duration;

use crate::support::app::{App, Source, request};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::time::sleep;
use tower_response_cache::{Cache, Route, Scope, Tenant};

on_each_store! {
    async fn p6_a_waiter_never_gets_what_was_invalidated_before_it_began(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(
                Route::get("/users/{id}")
                    .ttl(Duration::from_millis(20))
                    .stale_if_error(Duration::from_secs(60)),
            );
        let source = Source::default();
        source.put("4", "42", "old");
        let handlers = Router::new().route("/users/{id}", get(read)).with_state(source.clone());
        let app = App::of(cache, handlers);
        assert_eq!(ask(&app, "").await, "old");
        app.cache.settled().await;
        // What is stored has expired, and serves those whose handler fails.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(ask(&app, "fail").await, "old");
        sleep(Duration::from_millis(20)).await;

        // The first one's body breaks off, so that the second, which has seen the old entry as well,
        // runs anew under what is in force by then.
        let first = tokio::spawn({ let app = app.clone(); async move { open(&app, "break 300").await } });
        sleep(Duration::from_millis(60)).await;
        let second = tokio::spawn({ let app = app.clone(); async move { ask(&app, "wait 300 fail").await } });
        sleep(Duration::from_millis(100)).await;
        source.put("4", "42", "new");
        app.cache.tenant("4").unwrap().invalidate(&Scope::path("/users/42")).await.unwrap();
        sleep(Duration::from_millis(240)).await;
        // It joins the second one's flight, whose handler is about to fail.
        let third = ask(&app, "").await;
        first.await.unwrap();
        assert_eq!(second.await.unwrap(), "old", "it began before, and has a right to it");
        assert_eq!(third, "new");
    }
}

async fn ask(app: &App, plan: &str) -> String {
    let mut request = request(Method::GET, "4", "/users/42");
    request.headers_mut().insert("x-plan", plan.parse().unwrap());
    app.send(request).await.text().to_owned()
}

async fn open(app: &App, plan: &str) {
    let mut request = request(Method::GET, "4", "/users/42");
    request.headers_mut().insert("x-plan", plan.parse().unwrap());
    let response = app.open(request).await;
    let read = http_body_util::BodyExt::collect(response.into_body()).await;
    assert!(read.is_err());
}

/// Reads; then waits, fails, or breaks off its body, as its request says.
async fn read(State(source): State<Source>, request: Request) -> Response<Body> {
    let value = source.read("4", "42").unwrap();
    let plan = plan_of(request.headers());
    let millis = plan.iter().find_map(|word| word.parse().ok()).unwrap_or(0);
    let pause = Duration::from_millis(millis);
    let has = |word: &str| plan.iter().any(|known| known == word);
    if has("break") {
        let begun = futures_util::stream::once(async { Ok(Bytes::from("begun")) });
        let broken = futures_util::stream::once(async move {
            sleep(pause).await;
            Err(io::Error::other("it breaks off"))
        });
        return Response::new(Body::from_stream(begun.chain(broken)));
    }
    sleep(pause).await;
    let mut response = Response::new(Body::from(value));
    if has("fail") {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    response
}

fn plan_of(headers: &HeaderMap) -> Vec<String> {
    let plan = headers["x-plan"].to_str().unwrap();
    plan.split(' ').map(str::to_owned).collect()
}
