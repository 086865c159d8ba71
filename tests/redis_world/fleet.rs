//! Instances of one app on one database, whose every answer is compared with it.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tower_response_cache::store::{RedisStoreBuilder, StoreError};
use tower_response_cache::{Cache, CacheBuilder, On, RedisStore, Route, Store, Tenant};

use crate::support::app::{Answer, App, Source, gym_cache, gym_routes, patient};
use crate::support::redis_server::RedisServer;

/// For how long a machine that is busy with other tests may take to recover.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// One instance.
pub(crate) struct Instance(pub(crate) App);

impl Instance {
    /// An instance on this store that waits long for it.
    pub(crate) fn new(store: RedisStore, source: &Source) -> Self {
        Self(App::with(gym_cache(Arc::new(store)), source.clone()))
    }

    /// An instance that waits for the store as briefly as a service would.
    pub(crate) fn brief(store: RedisStore, source: &Source) -> Self {
        let builder = gym_cache(Arc::new(store) as Arc<dyn Store>)
            .lookup_timeout(Duration::from_millis(100))
            .invalidate_timeout(Duration::from_millis(200));
        Self::exactly(builder, source)
    }

    /// An instance whose DELETE has a fence.
    pub(crate) fn fenced(store: RedisStore, source: &Source) -> Self {
        let users = "/users/{id}";
        let builder = Cache::builder(Arc::new(store) as Arc<dyn Store>)
            .namespace("gym")
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get(users))
            .invalidate(On::put(users).subtree(users))
            .invalidate(On::delete(users).subtree(users).fence(Duration::from_secs(2)));
        Self::exactly(patient(builder), source)
    }

    /// An instance with this configuration and no other time-outs than it says.
    pub(crate) fn exactly(builder: CacheBuilder, source: &Source) -> Self {
        let cache = builder.build().unwrap();
        let router = gym_routes(source.clone()).layer(cache.layer());
        Self(App { cache, router, source: source.clone() })
    }

    /// Reads a user, and sees that the answer is what the database holds.
    #[track_caller]
    pub(crate) fn read(&self, id: &str) -> impl Future<Output = Answer> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.0.get("4", &format!("/users/{id}")).await;
            let truth = format!("4/{id}={}", self.0.source.read("4", id).unwrap_or_default());
            assert_eq!(answer.status, StatusCode::OK, "{caller}: {answer:?}");
            assert!(answer.text() == truth, "{caller}: wrong, {truth:.40}: {answer:.400?}");
            answer
        }
    }

    /// Writes a user through the layer.
    #[track_caller]
    pub(crate) fn write(&self, id: &str, value: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = self.0.put("4", &format!("/users/{id}"), value).await;
            assert_eq!(answer.status, StatusCode::NO_CONTENT, "{caller}: {answer:?}");
        }
    }

    /// Reads until it is a hit. No answer on the way there is wrong.
    #[track_caller]
    pub(crate) fn recovers(&self, id: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let began = Instant::now();
            loop {
                let answer = self.read(id).await;
                if answer.is_hit() {
                    return;
                }
                assert!(began.elapsed() < PATIENCE, "{caller}: no hit: {answer:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Waits until nothing is left to be confirmed.
    pub(crate) async fn confirmed(&self) {
        self.0.cache.shutdown(PATIENCE).await.unwrap();
    }

    /// How many invalidations were not confirmed at once.
    pub(crate) fn unconfirmed(&self) -> u64 {
        self.0.cache.stats().unconfirmed
    }

    pub(crate) fn store_errors(&self) -> u64 {
        self.0.cache.stats().store_errors
    }
}

/// A store that has time to connect while the machine is busy with other tests.
pub(crate) fn patiently(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url).connect_timeout(Duration::from_secs(10))
}

pub(crate) async fn connect(server: &RedisServer) -> RedisStore {
    patiently(&server.url()).connect().await.unwrap()
}

/// A database with some users.
pub(crate) fn source() -> Source {
    let source = Source::default();
    for id in ["1", "7", "42"] {
        source.put("4", id, "old");
    }
    source
}

/// Sends what must work.
#[track_caller]
pub(crate) fn tell(server: &RedisServer, command: &str) -> String {
    let parts: Vec<&[u8]> = command.split_whitespace().map(str::as_bytes).collect();
    let reply = server.raw(&parts);
    assert!(!reply.starts_with('-'), "{command}: {reply}");
    reply
}

/// An error and all that is beneath it.
pub(crate) fn whole(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Sees that an error names its server and has these words.
#[track_caller]
pub(crate) fn assert_says(error: &StoreError, address: &str, words: &[&str]) {
    let text = whole(error);
    for word in words.iter().chain([&address]) {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
    for secret in ["s3cret", "wr0ng"] {
        assert!(!format!("{text} {error:?}").contains(secret), "a password: {text}");
    }
}

pub(crate) fn address(server: &RedisServer) -> String {
    format!("127.0.0.1:{}", server.port())
}
