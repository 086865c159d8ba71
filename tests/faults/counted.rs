//! A store that counts the steps that reach it.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tower_response_cache::Store;
use tower_response_cache::entry::{Millis, Snapshot};
use tower_response_cache::key::{Glob, Names, ScopeNames, Space};
use tower_response_cache::store::{
    Filled, Found, Generations, Invalidated, LeaseToken, Miss, MissRequest, Mode, Stamped,
    StoreErrorKind, StoreFuture,
};

/// All of them but pings are counted.
#[derive(Debug)]
pub struct Counted<S> {
    inner: S,
    steps: AtomicU64,
    /// Its invalidations do not get through.
    is_deaf: bool,
}

impl<S: Store> Counted<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, steps: AtomicU64::new(0), is_deaf: false }
    }

    pub fn deaf(inner: S) -> Self {
        Self { is_deaf: true, ..Self::new(inner) }
    }

    pub fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }

    fn next(&self) -> &S {
        self.steps.fetch_add(1, Ordering::SeqCst);
        &self.inner
    }
}

impl<S: Store> Store for Counted<S> {
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        self.next().lookup(names)
    }

    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss> {
        self.next().miss(names, request)
    }

    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped> {
        self.next().stamp(names, snapshot, groups, keep)
    }

    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled> {
        self.next().fill(names, snapshot, token, frame, ttl)
    }

    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool> {
        self.next().renew(names, token, ttl)
    }

    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool> {
        self.next().release(names, token)
    }

    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations> {
        self.next().generations(scopes)
    }

    fn invalidate<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        mode: Mode,
    ) -> StoreFuture<'a, Invalidated> {
        let step = self.next().invalidate(scopes, mode);
        if !self.is_deaf {
            return step;
        }
        StoreFuture::pending(async { Err(StoreErrorKind::Unavailable.into()) })
    }

    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        self.next().fence(scopes, token, deadline)
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        self.next().lift(scopes, token)
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        self.next().remove(names)
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        self.next().discard(names, seen)
    }

    fn trim<'a>(&'a self, names: &'a Names, most: u64) -> StoreFuture<'a, bool> {
        // Asked for in the background, after a look-up that was counted.
        self.inner.trim(names, most)
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        self.next().delete_pattern(space, glob)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.inner.ping()
    }

    fn now(&self) -> Millis {
        self.inner.now()
    }

    fn distrust(&self, found: &Found) {
        self.inner.distrust(found);
    }
}
