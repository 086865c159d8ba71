//! The store itself.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::builder::RedisStoreBuilder;
use super::nodes::Nodes;
use crate::entry::{Millis, Snapshot};
use crate::key::{Glob, Names, ScopeNames, Space};
use crate::store::near::{Mode as NearMode, Moving, Near};
use crate::store::{
    Filled, Found, Generations, Invalidated, KeyPage, LeaseToken, Miss, MissRequest, Mode,
    NearStatus, OTHERS_REMEMBERED, Stamped, Store, StoreError, StoreFuture, StoreStatus,
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
    pub(super) nodes: Nodes,
    began: Instant,
    /// When a connection was last distrusted: milliseconds since `began`, and 1.
    distrusted: AtomicU64,
    pub(super) near: Option<Arc<Near>>,
    /// When another configuration was last seen to have entries, likewise.
    others: AtomicU64,
}

impl RedisStore {
    /// Connects to the server at `url`: `redis://[user:password@]host[:port][/database]`,
    /// `rediss://…` for TLS (with the feature `tls`), or
    /// `unix:///path[?user=…&pass=…&db=…]` for a socket.
    ///
    /// To a cluster: `redis+cluster://[user:password@]host:port[,host:port…]`, with some of its
    /// nodes. To the primary that sentinels name:
    /// `redis+sentinel://[user:password@]host:port[,host:port…]/service[/database]`, with some of
    /// the sentinels. With TLS they begin with `rediss+`.
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

    /// Must be called within a Tokio runtime.
    pub(super) fn new(nodes: Nodes) -> Self {
        let near = nodes.shared.kit.near.clone();
        let (distrusted, others) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { nodes, began: Instant::now(), distrusted, near, others }
    }

    /// This moment, and what the server's clock says at it.
    fn moment(&self) -> (Instant, Millis) {
        let at = Instant::now();
        (at, self.nodes.shared.kit.clock.at(at))
    }

    /// Another configuration may have entries of some tenant.
    pub(super) fn seen_others(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.others.store(now + 1, Ordering::Relaxed);
    }

    /// Where another configuration may have entries, all of the tenant may have moved.
    fn move_whole(&self, scopes: &ScopeNames) {
        if let Some(near) = &self.near
            && scopes.configuration().is_some()
            && self.sees_other_configurations()
        {
            near.told(scopes.space().whole_tenant().as_bytes());
        }
    }

    /// How many bytes its [near-cache](super::RedisStoreBuilder::near_cache) holds now.
    #[must_use]
    pub fn near_bytes(&self) -> u64 {
        self.near.as_ref().map_or(0, |near| near.bytes())
    }

    /// Whether the near-cache, if there is one, answers hits: in the coherent mode while its feed is
    /// proven alive, in a cluster that of each primary.
    #[must_use]
    pub fn is_near_alive(&self) -> bool {
        let map = self.nodes.map();
        self.near.as_ref().is_some_and(|near| {
            near.mode() == NearMode::Strict
                || !map.nodes.is_empty()
                    && map.nodes.iter().all(|node| near.is_told_by(node.address()))
        })
    }

    /// How many steps were sent on to another node of a cluster: because a slot had moved (`MOVED`),
    /// and because it was about to (`ASK`).
    #[must_use]
    pub fn redirects(&self) -> (u64, u64) {
        self.nodes.turns()
    }
}

impl Store for RedisStore {
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        // Names without a scope are those of somebody who looks at what the store itself has: kept
        // under them, the answer would stand in the way of requests.
        let Some(near) = self.near.as_ref().filter(|_| names.scope_count() > 0) else {
            return StoreFuture::pending(self.do_lookup(names));
        };
        // Before what is kept is compared, as with the feeds' proofs.
        let is_believed = near.mode() == NearMode::Coherent && self.nodes.shared.stands();
        let (at, now) = self.moment();
        match near.get(names, at, now) {
            Some(kept) if is_believed => StoreFuture::ready(Ok(kept.found(Some(now)))),
            Some(kept) => StoreFuture::pending(self.confirm_near(near, names, kept)),
            None => StoreFuture::pending(self.look_and_keep(near, names)),
        }
    }

    fn at_hand(&self, names: &Names) -> Option<Found> {
        let near = self.near.as_ref().filter(|near| near.mode() == NearMode::Coherent)?;
        if names.scope_count() == 0 || !self.nodes.shared.stands() {
            return None;
        }
        let (at, now) = self.moment();
        near.get(names, at, now).map(|kept| kept.found(Some(now)))
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
        StoreFuture::pending(async move {
            let filled = self.do_fill(names, snapshot, token, frame, ttl).await;
            // What is kept is another one, whatever came of this.
            self.near.iter().for_each(|near| near.forget(names));
            filled
        })
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
        let moving = self.near.as_ref().map(|near| near.moving(scopes));
        StoreFuture::pending(async move {
            let done = then_move(self.do_invalidate(scopes, mode), moving).await;
            self.move_whole(scopes);
            done
        })
    }

    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        let moving = self.near.as_ref().map(|near| near.moving(scopes));
        StoreFuture::pending(async move {
            let done = then_move(self.do_fence(scopes, token, deadline), moving).await;
            self.move_whole(scopes);
            done
        })
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        let moving = self.near.as_ref().map(|near| near.moving(scopes));
        StoreFuture::pending(async move {
            let done = then_move(self.do_lift(scopes, token), moving).await;
            self.move_whole(scopes);
            done
        })
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        let moving = self.near.as_ref().map(|near| near.moving_epoch(names));
        StoreFuture::pending(then_move(self.do_remove(names), moving))
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        self.near.iter().for_each(|near| near.forget(names));
        StoreFuture::pending(self.do_discard(names, seen))
    }

    fn trim<'a>(&'a self, names: &'a Names, most: u64) -> StoreFuture<'a, bool> {
        StoreFuture::pending(self.do_trim(names, most))
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        StoreFuture::pending(self.do_delete_pattern(space, glob))
    }

    fn keys<'a>(
        &'a self,
        space: &'a Space,
        glob: &'a Glob,
        cursor: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, KeyPage> {
        StoreFuture::pending(self.do_keys(space, glob, cursor, limit))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        StoreFuture::pending(async { Ok(self.nodes.ping().await?) })
    }

    fn attach(&self, namespace: &str) {
        self.nodes.attach(namespace);
    }

    fn recall(&self, names: &Names, span: Duration) -> Option<Found> {
        self.near.as_ref()?.recall(names, span).map(|kept| kept.found(None))
    }

    fn status(&self) -> StoreStatus {
        let map = self.nodes.map();
        let places: Vec<&str> = map.nodes.iter().map(|node| &**node.address()).collect();
        let mut status = StoreStatus::at(match places.as_slice() {
            [] => "Redis, of which no primary is known".to_owned(),
            places => format!("Redis at {}", places.join(", ")),
        });
        let counts = map.nodes.iter().map(|node| node.links.count());
        status.connections = Some(counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1)));
        status.near = self.near.as_ref().map(|near| NearStatus {
            strict: near.mode() == NearMode::Strict,
            bytes: near.bytes(),
            alive: self.is_near_alive(),
        });
        status
    }

    fn now(&self) -> Millis {
        self.nodes.shared.kit.clock.now()
    }

    fn sees_other_configurations(&self) -> bool {
        let last = self.others.load(Ordering::Relaxed);
        last != 0 && self.began.elapsed() < Duration::from_millis(last) + OTHERS_REMEMBERED
    }

    /// Retires the connection, at most once a second: a foreign value that stays where it is must
    /// not keep all connections down.
    fn distrust(&self, found: &Found) {
        self.near.iter().for_each(|near| near.told_all());
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let last = self.distrusted.load(Ordering::Relaxed);
        let rested = last == 0 || now.saturating_sub(last) >= 1000;
        if rested
            && self
                .distrusted
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.nodes.retire(found.source);
        }
    }
}

/// Takes a step that moves names, which have moved for the near-cache as well once it is over, or is
/// given up: by then the store may have done it.
async fn then_move<T>(step: impl Future<Output = T>, moving: Option<Moving<'_>>) -> T {
    let done = step.await;
    drop(moving);
    done
}
