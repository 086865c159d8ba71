//! Clients who know what they may see: every value names its key and its version.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use fastrand::Rng;
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tower_response_cache::{Cache, On, Route, Store, Tenant};

use crate::support::app::{App, patient};

const GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The database behind all instances, and what has been confirmed of it.
#[derive(Clone, Default)]
pub struct World {
    versions: Arc<Mutex<HashMap<(String, String), u64>>>,
    confirmed: Arc<Mutex<HashMap<(String, String), u64>>>,
    spread: bool,
}

/// What clients have seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub reads: AtomicUsize,
    pub hits: AtomicUsize,
    pub writes: AtomicUsize,
    pub unconfirmed: AtomicUsize,
    pub wrong: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl World {
    /// One whose instances spread what they store of each tenant over slots.
    pub fn spread() -> Self {
        Self::default().spread_out()
    }

    /// The same world, to instances that do so.
    pub fn spread_out(self) -> Self {
        Self { spread: true, ..self }
    }

    /// The newest version of a key.
    pub fn version(&self, gym: &str, id: &str) -> u64 {
        self.versions.lock().get(&(gym.to_owned(), id.to_owned())).copied().unwrap_or(0)
    }

    /// An instance: every key can be reached by its path, its tenant, its group, and everybody's rule.
    pub fn app(&self, store: Arc<dyn Store>) -> App {
        let second = Duration::from_secs(1);
        let builder = Cache::builder(store)
            .namespace("gym")
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/users/{id}"))
            .invalidate(On::put("/users/{id}").path("/users/{id}").must_confirm())
            .invalidate(On::put("/plans").all_tenants().must_confirm())
            .invalidate(On::put("/fenced/{id}").path("/users/{id}").fence(second).must_confirm());
        let builder = if self.spread { builder.spread_tenants() } else { builder };
        let cache = patient(builder).build().unwrap();
        let router = Router::new()
            .route("/users/{id}", get(read).put(write))
            .route("/fenced/{id}", put(write))
            .route("/plans", put(async || StatusCode::NO_CONTENT))
            .with_state(self.clone())
            .layer(cache.layer());
        App { cache, router, source: crate::support::app::Source::default() }
    }

    /// The next version of a key, behind the layer's back.
    pub fn bump(&self, gym: &str, id: &str) {
        *self.versions.lock().entry((gym.to_owned(), id.to_owned())).or_default() += 1;
    }

    /// Reads and writes of these tenants at random through all of these instances, until told to end.
    pub fn traffic(&self, apps: &[App], tenants: usize, seen: &Arc<Seen>) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for client in 0..8 {
            let (world, seen) = (self.clone(), Arc::clone(seen));
            let app = apps[client % apps.len()].clone();
            clients.spawn(async move {
                let mut rng = Rng::new();
                while !seen.stop.load(Ordering::Relaxed) {
                    let (gym, id) = (rng.usize(..tenants).to_string(), rng.u8(..3).to_string());
                    if rng.u8(..20) == 0 {
                        world.write(&app, &gym, &id, &seen).await;
                    } else {
                        world.read(&app, &gym, &id, &seen).await;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        clients
    }

    async fn read(&self, app: &App, gym: &str, id: &str, seen: &Seen) {
        let key = (gym.to_owned(), id.to_owned());
        let floor = self.confirmed.lock().get(&key).copied().unwrap_or(0);
        let answer = app.get(gym, &format!("/users/{id}")).await;
        seen.reads.fetch_add(1, Ordering::Relaxed);
        if answer.is_hit() {
            seen.hits.fetch_add(1, Ordering::Relaxed);
        }
        let version = answer.text().strip_prefix(&format!("{gym}/{id}="));
        let version = version.and_then(|version| version.parse::<u64>().ok());
        if answer.status != StatusCode::OK || version.is_none_or(|version| version < floor) {
            seen.wrong.lock().push(format!("{gym}/{id}, at least {floor}: {answer:?}"));
        }
    }

    async fn write(&self, app: &App, gym: &str, id: &str, seen: &Seen) {
        let answer = app.put(gym, &format!("/users/{id}"), "").await;
        seen.writes.fetch_add(1, Ordering::Relaxed);
        if answer.status == StatusCode::OK {
            let version: u64 = answer.text().parse().unwrap();
            let mut confirmed = self.confirmed.lock();
            let floor = confirmed.entry((gym.to_owned(), id.to_owned())).or_default();
            *floor = version.max(*floor);
        } else {
            seen.unconfirmed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Seen {
    /// Ends the traffic, and sees that nobody has seen anything wrong.
    pub async fn end(&self, what: &str, mut clients: JoinSet<()>) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        println!(
            "{what}: {} reads, {} hits, {} writes, {} of them unconfirmed",
            count(&self.reads),
            count(&self.hits),
            count(&self.writes),
            count(&self.unconfirmed)
        );
        let wrong = self.wrong.lock();
        assert!(wrong.is_empty(), "{what}: {} wrong: {:#?}", wrong.len(), wrong.first());
        assert!(count(&self.hits) > 50, "{what}: too little has happened to prove anything");
    }
}

async fn read(
    State(world): State<World>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> impl IntoResponse {
    let gym = headers["x-gym-id"].to_str().unwrap().to_owned();
    let version = world.versions.lock().get(&(gym.clone(), id.clone())).copied().unwrap_or(0);
    ([(GROUPS, format!("\"group-{id}\""))], format!("{gym}/{id}={version}"))
}

async fn write(State(world): State<World>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let gym = headers["x-gym-id"].to_str().unwrap().to_owned();
    let mut versions = world.versions.lock();
    let version = versions.entry((gym, id)).or_default();
    *version += 1;
    version.to_string().into_response()
}
