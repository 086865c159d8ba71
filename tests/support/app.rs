//! An axum app behind the layer, asked without a socket.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use tower::ServiceExt;
use tower_response_cache::{Cache, CacheBuilder, On, Route, Store, Tenant};

/// One gym's database: users by id.
type Gyms = HashMap<String, HashMap<String, String>>;

/// The state behind the handlers, shared by the instances of a fleet.
#[derive(Clone, Default)]
pub struct Source {
    gyms: Arc<Mutex<Gyms>>,
    runs: Arc<AtomicUsize>,
}

impl Source {
    /// How often a reading handler has run.
    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub fn put(&self, gym: &str, user: &str, value: &str) {
        let mut gyms = self.gyms.lock();
        gyms.entry(gym.to_owned()).or_default().insert(user.to_owned(), value.to_owned());
    }

    pub fn read(&self, gym: &str, user: &str) -> Option<String> {
        self.gyms.lock().get(gym)?.get(user).cloned()
    }
}

/// One instance: a cache, and the router behind it.
#[derive(Clone)]
pub struct App {
    pub cache: Cache,
    pub router: Router,
    pub source: Source,
}

/// What a client got.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What Cache-Status says.
    pub fn cache_status(&self) -> &str {
        self.headers.get("cache-status").map_or("", |value| value.to_str().unwrap())
    }

    pub fn is_hit(&self) -> bool {
        self.cache_status().contains("; hit")
    }

    #[track_caller]
    pub fn assert_hit(&self) {
        assert!(self.is_hit(), "no hit: {self:?}");
    }

    #[track_caller]
    pub fn assert_miss(&self) {
        assert!(self.cache_status().contains("; fwd=miss"), "no miss: {self:?}");
    }

    #[track_caller]
    pub fn assert_bypass(&self, detail: &str) {
        let expected = format!("; fwd=bypass; detail={detail}");
        assert!(self.cache_status().contains(&expected), "no bypass for {detail}: {self:?}");
    }
}

/// The configuration that most tests use.
pub fn gym_cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/users").query(["role", "status"]))
        .route(Route::get("/users/{id}"))
        .route(Route::get("/users/{id}/stats"))
        .invalidate(On::put("/users/{id}").subtree("/users/{id}").path("/users"))
        .invalidate(On::delete("/users/{id}").subtree("/users/{id}").path("/users"))
        .invalidate(On::post("/users").path("/users"))
}

/// On a machine that is busy with other tests a look-up may take longer than a service would wait
/// for, and the request would go past the cache as it should.
pub fn patient(builder: CacheBuilder) -> CacheBuilder {
    builder.lookup_timeout(Duration::from_secs(5)).fill_timeout(Duration::from_secs(5))
}

impl App {
    /// The gym app, with the routes of [`gym_cache`].
    pub fn gym(store: Arc<dyn Store>) -> Self {
        Self::with(gym_cache(store), Source::default())
    }

    /// The gym app on this configuration and this database.
    pub fn with(builder: CacheBuilder, source: Source) -> Self {
        let cache = patient(builder).build().unwrap();
        let router = gym_routes(source.clone()).layer(cache.layer());
        Self { cache, router, source }
    }

    /// Any router behind this configuration.
    pub fn of(builder: CacheBuilder, router: Router) -> Self {
        let cache = patient(builder).build().unwrap();
        Self { router: router.layer(cache.layer()), cache, source: Source::default() }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends without reading the body.
    pub async fn open(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn get(&self, gym: &str, target: &str) -> Answer {
        self.send(request(Method::GET, gym, target)).await
    }

    /// A GET after everything that was under way has been stored.
    pub async fn get_settled(&self, gym: &str, target: &str) -> Answer {
        self.cache.settled().await;
        self.get(gym, target).await
    }

    pub async fn put(&self, gym: &str, target: &str, value: &str) -> Answer {
        let mut request = request(Method::PUT, gym, target);
        *request.body_mut() = Body::from(value.to_owned());
        self.send(request).await
    }

    pub async fn delete(&self, gym: &str, target: &str) -> Answer {
        self.send(request(Method::DELETE, gym, target)).await
    }

    /// Asks once, so that it is stored, and sees that a second time is a hit.
    pub async fn warm(&self, gym: &str, target: &str) {
        self.get(gym, target).await;
        self.get_settled(gym, target).await.assert_hit();
    }
}

pub fn request(method: Method, gym: &str, target: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(target).header("x-gym-id", gym);
    request.body(Body::empty()).unwrap()
}

/// Handlers over `source`. A request's `x-delay-ms` makes its handler wait after it has read or
/// written, and before it answers.
pub fn gym_routes(source: Source) -> Router {
    Router::new()
        .route("/users", get(list).post(create))
        .route("/users/{id}", get(read).put(write).delete(remove))
        .route("/users/{id}/stats", get(stats))
        .with_state(source)
}

async fn list(
    State(source): State<Source>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> String {
    source.runs.fetch_add(1, Ordering::SeqCst);
    let gym = gym_of(&headers);
    let users = source.gyms.lock().get(&gym).cloned().unwrap_or_default();
    let mut users: Vec<_> = users.into_iter().collect();
    users.sort();
    delay(&headers).await;
    format!("{gym}: {users:?} {}", query.get("role").cloned().unwrap_or_default())
}

async fn read(
    State(source): State<Source>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<String, StatusCode> {
    source.runs.fetch_add(1, Ordering::SeqCst);
    let gym = gym_of(&headers);
    let value = source.read(&gym, &id).unwrap_or_default();
    delay(&headers).await;
    Ok(format!("{gym}/{id}={value}"))
}

async fn stats(State(source): State<Source>, headers: HeaderMap, Path(id): Path<String>) -> String {
    source.runs.fetch_add(1, Ordering::SeqCst);
    let value = source.read(&gym_of(&headers), &id).unwrap_or_default();
    delay(&headers).await;
    format!("stats of {id}: {value}")
}

async fn write(
    State(source): State<Source>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    source.put(&gym_of(&headers), &id, &body);
    delay(&headers).await;
    StatusCode::NO_CONTENT
}

async fn create(State(source): State<Source>, headers: HeaderMap, body: String) -> StatusCode {
    source.put(&gym_of(&headers), &body, &body);
    StatusCode::CREATED
}

async fn remove(
    State(source): State<Source>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> StatusCode {
    if let Some(users) = source.gyms.lock().get_mut(&gym_of(&headers)) {
        users.remove(&id);
    }
    StatusCode::NO_CONTENT
}

fn gym_of(headers: &HeaderMap) -> String {
    let gym = headers.get("x-gym-id").map(|value| value.as_bytes().to_vec()).unwrap_or_default();
    String::from_utf8_lossy(&gym).into_owned()
}

async fn delay(headers: &HeaderMap) {
    let millis = headers.get("x-delay-ms").and_then(|value| value.to_str().ok()?.parse().ok());
    tokio::time::sleep(Duration::from_millis(millis.unwrap_or(0))).await;
}
