//! An app with its admin routers, asked without a socket.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;
use tower_response_cache::{CacheBuilder, InvalidationSet, Store};

use crate::support::app::{App, gym_cache};

/// What an admin router has answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The JSON of an answer that is no error.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        self.json()
    }

    /// The short name of an error with this status.
    #[track_caller]
    pub fn error(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        let json = self.json();
        let message = json["message"].as_str().expect("a message");
        assert!(message.len() > 10, "says what to do: {message}");
        json["error"].as_str().expect("a name").to_owned()
    }
}

/// The routes and rules of these tests: the gym's, and sets.
pub fn config(store: Arc<dyn Store>) -> CacheBuilder {
    gym_cache(store)
        .set(InvalidationSet::named("user").subtree("/users/{id}").path("/users").or_all())
        .set(InvalidationSet::named("world").all_tenants())
}

pub fn app(store: Arc<dyn Store>) -> App {
    App::with(config(store), crate::support::app::Source::default())
}

pub fn operator(app: &App) -> Router {
    app.cache.admin_router()
}

pub fn of_tenant(app: &App, tenant: &str) -> Router {
    app.cache.tenant(tenant).unwrap().admin_router()
}

pub async fn get(router: &Router, target: &str) -> Answer {
    send(router, Request::get(target).body(Body::empty()).unwrap()).await
}

/// A change through the API, as a program makes it.
pub async fn post(router: &Router, target: &str, body: &Value) -> Answer {
    let request = Request::builder().method(Method::POST).uri(target);
    let request = request.header("content-type", "application/json");
    send(router, request.body(Body::from(body.to_string())).unwrap()).await
}

pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(parts.headers["cache-control"], "no-store");
    assert_eq!(parts.headers["x-frame-options"], "DENY");
    assert_eq!(parts.headers["x-content-type-options"], "nosniff");
    let policy = parts.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe"));
    let cors = parts.headers.keys().any(|name| name.as_str().starts_with("access-control"));
    assert!(!cors, "{:?}", parts.headers);
    Answer { status: parts.status, headers: parts.headers, text }
}

/// A text as a query takes it.
pub fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        write!(escaped, "%{byte:02X}").expect("a String takes everything");
        escaped
    })
}
