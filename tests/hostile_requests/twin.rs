//! An app behind the layer, and the same one without it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::IntoResponse;
use axum::routing::get;
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

use crate::support::app::{Answer, App};

/// Both apps. Their handlers say all that they have seen of a request.
pub struct Twin {
    pub cached: App,
    plain: App,
    runs: Arc<AtomicUsize>,
}

impl Twin {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self::with(store, |builder| builder)
    }

    pub fn with(store: Arc<dyn Store>, change: impl FnOnce(CacheBuilder) -> CacheBuilder) -> Self {
        let runs = Arc::new(AtomicUsize::new(0));
        let cached = App::of(change(cache(store)), router(&runs));
        let plain = App { router: router(&Arc::default()), ..cached.clone() };
        Self { cached, plain, runs }
    }

    /// How often a handler behind the layer has run.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Asks both, and answers what the layer says if it is what the other says too.
    #[track_caller]
    pub fn ask(&self, request: Asked) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move {
            let wanted = self.plain.send(request.build()).await;
            let answer = self.cached.send(request.build()).await;
            self.cached.cache.settled().await;
            let (got, want) = (answer.text(), wanted.text());
            assert_eq!((answer.status, got), (wanted.status, want), "{request:?} at {place}");
            answer
        }
    }

    /// Asks the one behind the layer alone.
    pub async fn send(&self, request: Asked) -> Answer {
        let answer = self.cached.send(request.build()).await;
        self.cached.cache.settled().await;
        answer
    }
}

/// A request of tenant 4, unless it says otherwise, that can be sent twice.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: Method,
    pub target: String,
    pub fields: Vec<(String, Vec<u8>)>,
}

impl Asked {
    pub fn get(target: &str) -> Self {
        let fields = vec![("x-gym-id".to_owned(), b"4".to_vec())];
        Self { method: Method::GET, target: target.to_owned(), fields }
    }

    /// One without a tenant.
    pub fn bare(target: &str) -> Self {
        Self { fields: Vec::new(), ..Self::get(target) }
    }

    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// One more line.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn build(&self) -> Request<Body> {
        let head: Builder = Request::builder().method(&self.method).uri(&self.target);
        let head =
            self.fields.iter().fold(head, |head, (name, value)| head.header(name, &value[..]));
        head.body(Body::empty()).unwrap()
    }
}

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/users/me"))
        .route(Route::get("/users/{id}"))
        .route(Route::get("/files/{*rest}"))
        .route(Route::get("/list").query(["role"]))
}

fn router(runs: &Arc<AtomicUsize>) -> Router {
    let said = |name: &'static str| {
        let runs = Arc::clone(runs);
        move |method: Method, uri: Uri, params: Option<Path<String>>, headers: HeaderMap| async move {
            runs.fetch_add(1, Ordering::SeqCst);
            let params = params.map(|Path(params)| params);
            seen(name, &method, &uri, params.as_deref(), &headers).into_response()
        }
    };
    let changed = || async { "changed" };
    Router::new()
        .route("/users/me", get(said("me")).delete(changed))
        .route("/users/{id}", get(said("user")).put(changed).delete(changed))
        .route("/files/{*rest}", get(said("file")))
        .route("/list", get(said("list")))
        .route("/private/{id}", get(said("private")))
}

/// All that a handler can see of a request, but for how its path is spelled, and for the fields
/// which every HTTP server adds or takes away.
fn seen(
    name: &str,
    method: &Method,
    uri: &Uri,
    params: Option<&str>,
    headers: &HeaderMap,
) -> String {
    let mut fields = BTreeMap::<&str, Vec<_>>::new();
    for (name, value) in headers {
        fields.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()));
    }
    let query =
        uri.query().map(|query| query.split('&').collect::<std::collections::BTreeSet<_>>());
    format!("{name} {method} {:?} {params:?} {query:?} {fields:?}", uri.authority())
}
