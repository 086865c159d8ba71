//! A client who leaves while the command that closes his write's scopes is on its way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use bytes::Bytes;
use tower_response_cache::entry::{Millis, Snapshot};
use tower_response_cache::key::{Glob, Names, ScopeNames, Space};
use tower_response_cache::store::{
    Filled, Found, Generations, Invalidated, LeaseToken, Miss, MissRequest, Mode, Stamped,
    StoreFuture,
};
use tower_response_cache::{MemoryStore, On, Store};

use crate::support::app::{App, Source, gym_cache, request};

const FENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_comes_after_its_client_has_left_is_taken_away() {
    let rule = On::patch("/users/{id}").path("/users/{id}").fence(FENCE);
    let builder = gym_cache(Arc::new(LateFence(Arc::new(MemoryStore::new()))));
    let app = App::with(builder.invalidate(rule), Source::default());
    app.warm("4", "/users/42").await;
    let write = app.send(request(Method::PATCH, "4", "/users/42"));
    assert!(tokio::time::timeout(Duration::from_millis(10), write).await.is_err());
    app.cache.settled().await;
    tokio::time::sleep(3 * LATE).await;
    let began = Instant::now();
    while !app.get_settled("4", "/users/42").await.is_hit() {
        assert!(began.elapsed() < FENCE / 6, "closed by a client who has gone");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How late.
const LATE: Duration = Duration::from_millis(50);

/// A store to which a fence is on its way for a while, whoever waits for it: as one that other commands
/// overtake on other connections.
#[derive(Debug)]
struct LateFence(Arc<MemoryStore>);

impl Store for LateFence {
    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        let (store, scopes) = (Arc::clone(&self.0), scopes.clone());
        let sent = tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            store.fence(&scopes, token, deadline).await
        });
        StoreFuture::pending(async move { sent.await.unwrap() })
    }

    fn at_hand(&self, names: &Names) -> Option<Found> {
        self.0.at_hand(names)
    }

    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        self.0.lookup(names)
    }

    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss> {
        self.0.miss(names, request)
    }

    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped> {
        self.0.stamp(names, snapshot, groups, keep)
    }

    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled> {
        self.0.fill(names, snapshot, token, frame, ttl)
    }

    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool> {
        self.0.renew(names, token, ttl)
    }

    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool> {
        self.0.release(names, token)
    }

    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations> {
        self.0.generations(scopes)
    }

    fn invalidate<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        mode: Mode,
    ) -> StoreFuture<'a, Invalidated> {
        self.0.invalidate(scopes, mode)
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        self.0.lift(scopes, token)
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        self.0.remove(names)
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        self.0.discard(names, seen)
    }

    fn trim<'a>(&'a self, names: &'a Names, most: u64) -> StoreFuture<'a, bool> {
        self.0.trim(names, most)
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        self.0.delete_pattern(space, glob)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.0.ping()
    }

    fn now(&self) -> Millis {
        self.0.now()
    }

    fn distrust(&self, found: &Found) {
        self.0.distrust(found);
    }
}
