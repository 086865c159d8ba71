//! P5, P10, P13, P14, P22: the layer among other layers, on either side of it. `docs/LAYERS.md` says
//! to users what these tests show.

mod authentication;
mod compression_inside;
mod compression_outside;
mod fields;
mod limits;
mod panics;
mod routing;
mod timeouts;
mod upgrades;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::decompression::DecompressionLayer;
use tower_response_cache::{Cache, CacheBuilder, Store, Tenant};

use crate::support::app::{Answer, App, Source, patient, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users()
}

/// An app whose layers a test has put around the cache's by itself.
fn app(cache: Cache, router: Router) -> App {
    App { cache, router, source: Source::default() }
}

/// Builds a cache that waits for its store on a busy machine.
fn built(builder: CacheBuilder) -> Cache {
    patient(builder).build().unwrap()
}

/// Counts the runs of a handler.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicUsize>);

impl Runs {
    fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn so_far(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A GET, or another method, on `/` with these fields.
fn asking(method: Method, fields: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = request(method, "4", "/");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// What `page` answers: long enough to be worth compressing.
fn page_text() -> String {
    let lines =
        (0..200).map(|line| format!("line {line} of a page that is the same for everybody"));
    lines.collect::<Vec<_>>().join("\n")
}

/// One route, `/`, that answers [`page_text`] under `etag`, if there is one.
fn page(runs: &Runs, etag: Option<&'static str>) -> Router {
    let runs = runs.clone();
    let handler = move || {
        runs.count();
        let mut response = page_text().into_response();
        if let Some(etag) = etag {
            response.headers_mut().insert(header::ETAG, etag.parse().unwrap());
        }
        async move { response }
    };
    Router::new().route("/", get(handler))
}

/// What a client that understands every encoding makes of an answer's body.
async fn decoded(answer: &Answer) -> String {
    let answer = answer.clone_response();
    let client = DecompressionLayer::new().layer(service_fn(move |_: Request<String>| {
        let response = answer.lock().take().unwrap();
        async move { Ok::<_, std::convert::Infallible>(response) }
    }));
    let response = client.oneshot(Request::new(String::new())).await.unwrap();
    let body = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

impl Answer {
    fn clone_response(&self) -> parking_lot::Mutex<Option<Response<Body>>> {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        parking_lot::Mutex::new(Some(response))
    }

    /// A field's only value, or nothing.
    fn field(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    /// The members of Vary, in lower case and in order.
    fn vary(&self) -> Vec<String> {
        let lines = self.headers.get_all(header::VARY).iter();
        let mut members: Vec<_> = lines
            .flat_map(|line| line.to_str().unwrap().split(','))
            .map(|member| member.trim().to_ascii_lowercase())
            .collect();
        members.sort();
        members
    }
}
