//! Servers, a network before them, an instance behind that, and the same app without a cache.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use tower_response_cache::{Cache, CacheBuilder, On, RedisStore, Route, Scope};

use crate::counted::Counted;
use crate::network::Network;
use crate::support::app::{App, Source, gym_cache, gym_routes};
use crate::support::fault_proxy::Mode;

/// How long a look-up may take. Long, for a machine that is busy with other tests.
pub const LOOKUP: Duration = Duration::from_millis(150);

/// How long an invalidation may take.
pub const INVALIDATE: Duration = Duration::from_millis(300);

/// How long connecting may take.
pub const CONNECT: Duration = Duration::from_secs(1);

/// What a busy machine adds to any time.
pub const SLACK: Duration = Duration::from_millis(1200);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Network(Mode),
    /// SIGKILL; they come back empty.
    Kill,
    /// SIGSTOP and SIGCONT.
    Stop,
}

/// The whole of it.
pub struct Fixture {
    pub network: Network,
    pub store: Arc<Counted<RedisStore>>,
    pub app: App,
    /// The same handlers and writes, and no cache.
    pub plain: App,
    /// Another instance, whose network is whole, but in a cluster: there all go by the addresses that it
    /// tells.
    pub other: App,
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub async fn with(change: impl Fn(CacheBuilder) -> CacheBuilder) -> Self {
        Self::on(Network::one(), change).await
    }

    pub async fn on(network: Network, change: impl Fn(CacheBuilder) -> CacheBuilder) -> Self {
        let store = network.builder().connections(2).connect_timeout(CONNECT);
        let store = Arc::new(Counted::new(store.connect().await.unwrap()));
        let source = Source::default();
        let configured = |store| {
            let builder = configured(store);
            if network.is_spread { builder.spread_tenants() } else { builder }
        };
        let app = instance(change(configured(Arc::clone(&store))), source.clone());
        let direct = RedisStore::builder(&network.direct_url()).connect().await.unwrap();
        let direct = configured(Arc::new(Counted::new(direct)));
        let other = instance(direct.lookup_timeout(Duration::from_secs(5)), source);
        let source = Source::default();
        let plain = App { cache: app.cache.clone(), router: routes(source.clone()), source };
        Self { network, store, app, plain, other }
    }

    pub async fn begin(&mut self, fault: Fault) {
        match fault {
            Fault::Network(mode) => self.network.set(mode).await,
            Fault::Kill => self.network.kill(),
            Fault::Stop => self.network.pause(),
        }
    }

    pub async fn end(&mut self, fault: Fault) {
        match fault {
            Fault::Network(_) => self.network.set(Mode::Pass).await,
            Fault::Kill => self.network.restart(),
            Fault::Stop => self.network.resume(),
        }
    }

    /// Asks until the breaker is open.
    pub async fn open_breaker(&self) {
        let began = Instant::now();
        while !self.app.cache.stats().breaker_open {
            assert!(began.elapsed() < Duration::from_secs(10), "the breaker does not open");
            self.app.get("4", "/users/0").await;
        }
        // For steps that were let through just before.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    /// Asks until there is a hit, and answers how long that took.
    pub async fn hit_again(&self, target: &str) -> Duration {
        let began = Instant::now();
        while !self.app.get("4", target).await.is_hit() {
            assert!(began.elapsed() < Duration::from_secs(10), "no hit of {target} any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }
}

fn configured(store: Arc<Counted<RedisStore>>) -> CacheBuilder {
    gym_cache(store)
        .lookup_timeout(LOOKUP)
        .fill_timeout(INVALIDATE)
        .invalidate_timeout(INVALIDATE)
        .route(Route::get("/teams/{id}"))
        .with_values()
        .scope(Scope::pattern("value:*"))
        .invalidate(On::put("/fenced/{id}").path("/users/{id}").fence(Duration::from_secs(2)))
}

fn instance(builder: CacheBuilder, source: Source) -> App {
    let cache: Cache = builder.build().unwrap();
    let router = routes(source.clone()).layer(cache.layer());
    App { cache, router, source }
}

/// The gym's, a write with a fence, and teams, whose answers name a group.
fn routes(source: Source) -> Router {
    let own = Router::new()
        .route("/fenced/{id}", put(fenced))
        .route("/teams/{id}", get(team).put(change_team))
        .with_state(source.clone());
    gym_routes(source).merge(own)
}

fn gym_of(headers: &HeaderMap) -> &str {
    headers["x-gym-id"].to_str().unwrap()
}

async fn fenced(
    State(source): State<Source>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    source.put(gym_of(&headers), &id, &body);
    StatusCode::NO_CONTENT
}

async fn team(
    State(source): State<Source>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> ([(&'static str, String); 1], String) {
    let gym = gym_of(&headers);
    let value = source.read(gym, &format!("team-{id}")).unwrap_or_default();
    ([("cache-groups", format!("\"team-{id}\""))], format!("{gym}/{id}={value}"))
}

async fn change_team(
    State(source): State<Source>,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: String,
) -> [(&'static str, String); 1] {
    source.put(gym_of(&headers), &format!("team-{id}"), &body);
    // The target's own path is invalidated by the rule of the path; this is for the rest.
    [("cache-group-invalidation", format!("\"team-{id}\""))]
}
