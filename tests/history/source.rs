//! The source of truth that all instances share: a version for each key, and the handlers over it.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;

pub const TENANTS: [&str; 2] = ["a", "b"];

/// What a tenant can be asked for. Few, so that races are frequent.
pub const TARGETS: [&str; 7] =
    ["/users/1", "/users/2", "/users/1/stats", "/users/2/stats", LIST, NEWS, PRICES];

/// Its key text is `users:m`.
pub const LIST: &str = "/users?role=m";
/// Has a stale window; soft invalidations happen to it alone.
pub const NEWS: &str = "/news/1";
/// Expires quickly and is served stale if its handler fails, which it often does.
pub const PRICES: &str = "/prices/1";

/// One key of one tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub tenant: &'static str,
    pub target: &'static str,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.tenant, self.target)
    }
}

/// Every key there is.
pub fn all_keys() -> impl Iterator<Item = Key> {
    TENANTS
        .into_iter()
        .flat_map(|tenant| TARGETS.into_iter().map(move |target| Key { tenant, target }))
}

/// The versions. One counter for all, so that a version names one commit.
#[derive(Clone, Default)]
pub struct Source(Arc<Mutex<Commits>>);

#[derive(Default)]
struct Commits {
    last: u64,
    versions: HashMap<Key, u64>,
    committed: HashSet<(Key, u64)>,
    tickets: HashMap<u64, u64>,
}

impl Source {
    /// Commits a new version of all of these at once.
    pub fn commit(&self, keys: &[Key]) -> u64 {
        let mut known = self.0.lock();
        known.last += 1;
        let version = known.last;
        for key in keys {
            known.versions.insert(*key, version);
            known.committed.insert((*key, version));
        }
        version
    }

    /// The version in force: 0 if there was no commit yet.
    pub fn version(&self, key: Key) -> u64 {
        self.0.lock().versions.get(&key).copied().unwrap_or(0)
    }

    /// The version that the request with this ticket has committed, if it came so far.
    pub fn redeem(&self, ticket: u64) -> Option<u64> {
        self.0.lock().tickets.remove(&ticket)
    }

    /// Whether the key ever had this version.
    pub fn had(&self, key: Key, version: u64) -> bool {
        version == 0 || self.0.lock().committed.contains(&(key, version))
    }
}

/// What a handler is to do, as its request tells it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long it waits: once it has read, or before it commits.
    pub first: Duration,
    /// How long it waits then: in the middle of the body, or after the commit.
    pub second: Duration,
    pub end: End,
}

/// How a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Answer,
    Fail,
    Panic,
}

/// What a handler that is to panic panics with.
#[derive(Debug)]
pub struct Injected;

impl Plan {
    /// One that answers at once.
    pub fn prompt() -> Self {
        Self { first: Duration::ZERO, second: Duration::ZERO, end: End::Answer }
    }

    pub fn to_header(self) -> String {
        let end = match self.end {
            End::Answer => 0,
            End::Fail => 1,
            End::Panic => 2,
        };
        format!("{},{},{end}", self.first.as_micros(), self.second.as_micros())
    }

    fn of(headers: &HeaderMap) -> Self {
        let text = headers["x-plan"].to_str().unwrap();
        let numbers: Vec<u64> = text.split(',').map(|number| number.parse().unwrap()).collect();
        let end = [End::Answer, End::Fail, End::Panic][usize::try_from(numbers[2]).unwrap()];
        let [first, second] = [numbers[0], numbers[1]].map(Duration::from_micros);
        Self { first, second, end }
    }

    fn failure(self) -> Option<Response<Body>> {
        match self.end {
            End::Answer => None,
            End::Fail => Some(answer(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed")),
            // Goes past the panic hook, which would fill the log.
            End::Panic => std::panic::resume_unwind(Box::new(Injected)),
        }
    }
}

/// The handlers, without a cache.
pub fn routes(source: Source) -> Router {
    Router::new()
        .route("/users", get(read))
        .route("/users/{id}", get(read).put(write))
        .route("/users/{id}/stats", get(read))
        .route("/users/{id}/fenced", axum::routing::put(write))
        .route("/users/{id}/held", axum::routing::put(write))
        .route("/news/{id}", get(read))
        .route("/news/{id}/hard", axum::routing::put(write))
        .route("/news/{id}/soft", axum::routing::put(write))
        .route("/prices/{id}", get(read).put(write))
        .route("/plans", axum::routing::put(write))
        .with_state(source)
}

/// The body says whose answer it is, to what, of which version, and a digest of all that.
pub fn body_of(key: Key, version: u64) -> String {
    let text = format!("{} {} {version}", key.tenant, key.target);
    let check = text
        .bytes()
        .fold(7_u64, |sum, byte| sum.wrapping_mul(0x0100_0000_01b3).wrapping_add(u64::from(byte)));
    format!("{text} {check:016x}")
}

/// Reads first and dawdles then, as long in its head as in its body.
async fn read(State(source): State<Source>, request: Request) -> Response<Body> {
    let key = key_of(&request);
    let version = source.version(key);
    let mut response = dawdle(body_of(key, version), Plan::of(request.headers())).await;
    response.headers_mut().insert("x-version", version.into());
    response
}

async fn dawdle(body: String, plan: Plan) -> Response<Body> {
    tokio::time::sleep(plan.first).await;
    if let Some(failure) = plan.failure() {
        return failure;
    }
    if plan.second.is_zero() {
        return answer(StatusCode::OK, body);
    }
    let (front, back) = body.split_at(body.len() / 2);
    let [front, back] = [front, back].map(|part| Bytes::from(part.to_owned()));
    let front = futures_util::stream::once(async { Ok::<_, Infallible>(front) });
    let back = futures_util::stream::once(async move {
        tokio::time::sleep(plan.second).await;
        Ok(back)
    });
    answer(StatusCode::OK, Body::from_stream(front.chain(back)))
}

/// Commits, and then perhaps dawdles or fails.
async fn write(State(source): State<Source>, request: Request) -> Response<Body> {
    let plan = Plan::of(request.headers());
    let (ticket, keys) = order_in(request.headers());
    tokio::time::sleep(plan.first).await;
    let version = source.commit(&keys);
    source.0.lock().tickets.insert(ticket, version);
    tokio::time::sleep(plan.second).await;
    plan.failure().unwrap_or_else(|| answer(StatusCode::NO_CONTENT, Body::empty()))
}

/// Marked as a handler's own, so that it can be told from what the layer answers by itself.
fn answer(status: StatusCode, body: impl Into<Body>) -> Response<Body> {
    Response::builder().status(status).header("x-handler", "1").body(body.into()).unwrap()
}

fn key_of(request: &Request) -> Key {
    let tenant = request.headers()["x-tenant"].to_str().unwrap();
    let target = request.uri().path_and_query().unwrap().as_str();
    all_keys().find(|key| key.tenant == tenant && key.target == target).unwrap()
}

/// What a write is to commit, as positions in [`all_keys`] behind its ticket.
pub fn order(ticket: u64, keys: &[Key]) -> String {
    let places = keys.iter().map(|key| all_keys().position(|known| known == *key).unwrap());
    places.fold(ticket.to_string(), |text, place| format!("{text},{place}"))
}

fn order_in(headers: &HeaderMap) -> (u64, Vec<Key>) {
    let mut numbers = headers["x-order"].to_str().unwrap().split(',');
    let ticket = numbers.next().unwrap().parse().unwrap();
    (ticket, numbers.map(|place| all_keys().nth(place.parse().unwrap()).unwrap()).collect())
}
