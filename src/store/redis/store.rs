//! The store itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bb8_redis::redis::cmd;
use bytes::Bytes;

use super::builder::RedisStoreBuilder;
use super::pool::Links;
use crate::entry::{Millis, Snapshot};
use crate::key::{Glob, Names, ScopeNames, Space};
use crate::store::{
    Filled, Found, Generations, Invalidated, LeaseToken, Miss, MissRequest, Mode, Stamped, Store,
    StoreError, StoreFuture,
};

/// A [`Store`] in Redis, shared by every instance that uses the same server and namespace.
///
/// It reconnects by itself: a step that finds the connection broken makes a new one. No step takes
/// longer than the time to connect and 3 seconds for each command; a caller with less patience
/// drops the future. It belongs to the Tokio runtime that it was made in.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_response_cache::store::RedisStore;
///
/// let store = RedisStore::connect("redis://127.0.0.1").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RedisStore {
    pub(super) links: Links,
    began: Instant,
    /// When a connection was last distrusted: milliseconds since `began`, and 1.
    distrusted: AtomicU64,
}

impl RedisStore {
    /// Connects to the server at `url`: `redis://[user:password@]host[:port][/database]`,
    /// `rediss://…` for TLS (with the feature `tls`), or
    /// `unix:///path[?user=…&pass=…&db=…]` for a socket.
    ///
    /// # Errors
    ///
    /// See [`RedisStoreBuilder::connect`].
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::builder(url).connect().await
    }

    /// Begins the settings of a store at `url`.
    pub fn builder(url: &str) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url)
    }

    pub(super) fn new(links: Links) -> Self {
        Self { links, began: Instant::now(), distrusted: AtomicU64::new(0) }
    }
}

impl Store for RedisStore {
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        StoreFuture::pending(self.do_lookup(names))
    }

    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss> {
        StoreFuture::pending(self.do_miss(names, request))
    }

    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped> {
        StoreFuture::pending(self.do_stamp(names, snapshot, groups, keep))
    }

    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled> {
        StoreFuture::pending(self.do_fill(names, snapshot, token, frame, ttl))
    }

    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool> {
        StoreFuture::pending(self.do_renew(names, token, ttl))
    }

    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool> {
        StoreFuture::pending(self.do_release(names, token))
    }

    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations> {
        StoreFuture::pending(self.do_generations(scopes))
    }

    fn invalidate<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        mode: Mode,
    ) -> StoreFuture<'a, Invalidated> {
        StoreFuture::pending(self.do_invalidate(scopes, mode))
    }

    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        StoreFuture::pending(self.do_fence(scopes, token, deadline))
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        StoreFuture::pending(self.do_lift(scopes, token))
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        StoreFuture::pending(self.do_remove(names))
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        StoreFuture::pending(self.do_discard(names, seen))
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        StoreFuture::pending(self.do_delete_pattern(space, glob))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        StoreFuture::pending(async {
            let mut link = self.links.link().await?;
            link.command(&cmd("PING")).await?;
            Ok(())
        })
    }

    fn now(&self) -> Millis {
        self.links.server.clock.now()
    }

    /// Retires the connection, at most once a second: a foreign value that stays where it is must
    /// not keep all connections down.
    fn distrust(&self, found: &Found) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = self.distrusted.load(Ordering::Relaxed);
        let rested = last == 0 || now.saturating_sub(last) >= 1000;
        if rested
            && self
                .distrusted
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.links.server.retire(found.source);
        }
    }
}
