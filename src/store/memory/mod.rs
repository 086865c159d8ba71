//! The embedded store: everything in this process, bounded in bytes.

mod holdings;
mod metadata;
mod scopes;
mod standing;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use foldhash::quality::RandomState;
use parking_lot::RwLock;
use quick_cache::OptionsBuilder;
use quick_cache::sync::{Cache as Map, DefaultLifecycle};

use self::holdings::{Held, Kept, Room, Share, Shelf};
use self::metadata::Tenant;
use self::scopes::{Minter, Scopes};
use super::types::nonce;
use super::{
    Filled, Found, Generations, Invalidated, KeyPage, LeaseToken, Miss, MissRequest, Mode,
    OTHERS_REMEMBERED, Stamped, Store, StoreFuture, StoreStatus,
};
use crate::clock::{Clock, SystemClock};
use crate::entry::{Generation, Millis, RunId, Snapshot};
use crate::key::{Glob, Names, ScopeNames, Space};

/// A store in this process, with the same guarantees as a shared one.
///
/// It holds at most a given number of bytes, 64 MiB unless told otherwise, and gives up the entries
/// that are used least; what it knows of scopes and tenants takes a quarter as much at most. What it
/// holds is gone when it is dropped.
///
/// A tenant that asks for any number of keys gives up its own entries, and not those of others: once
/// the store is full, one that holds more than a quarter of it makes room for its next entry
/// among its own. With [`tenant_limit`](Self::tenant_limit) it holds no more than that even where
/// there is room. So does one that has the more of the metadata: its own is forgotten first.
///
/// ```
/// use tower_response_cache::{Cache, MemoryStore, Route, Tenant};
///
/// let cache = Cache::builder(MemoryStore::with_capacity(8 << 20))
///     .tenant(Tenant::header("x-gym-id"))
///     .same_for_all_users()
///     .route(Route::get("/users"))
///     .build()?;
/// # Ok::<(), tower_response_cache::ConfigError>(())
/// ```
pub struct MemoryStore {
    run: RunId,
    clock: Arc<dyn Clock>,
    entries: Entries,
    /// What is in each of their shards.
    shelves: Box<[Arc<Shelf>]>,
    /// How much of them may be one tenant's.
    share: Share,
    tenants: RwLock<HashMap<Space, Arc<RwLock<Tenant>>, RandomState>>,
    /// Generations of all tenants at once, one a namespace.
    everybody: RwLock<Scopes>,
    /// What the tenants' metadata takes, in bytes, and may take.
    metadata: AtomicUsize,
    metadata_limit: usize,
    /// When caches of several configurations were last seen to fill it: a millisecond, and 1.
    others: AtomicU64,
}

impl MemoryStore {
    /// The capacity of [`MemoryStore::new`]: 64 MiB.
    pub const DEFAULT_CAPACITY: u64 = 64 << 20;

    /// A store of 64 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(Self::DEFAULT_CAPACITY)
    }

    /// A store that holds at most `bytes` of names and entries.
    ///
    /// An entry larger than an eighth of it may be refused.
    #[must_use]
    pub fn with_capacity(bytes: u64) -> Self {
        Self::with_clock(bytes, Arc::new(SystemClock))
    }

    /// A store that reads the time from `clock`.
    ///
    /// # Panics
    ///
    /// Never: the options are complete.
    #[must_use]
    pub fn with_clock(bytes: u64, clock: Arc<dyn Clock>) -> Self {
        let shards = if bytes >= 32 << 20 { 8 } else { 1 };
        let options = OptionsBuilder::new()
            .shards(shards)
            .weight_capacity(bytes.max(1))
            .estimated_items_capacity(usize::try_from(bytes / 4096).unwrap_or(usize::MAX).max(16))
            .build()
            .expect("both capacities are set");
        let entries = Map::with_options(
            options,
            Weighter,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        Self {
            run: RunId(nonce()),
            clock,
            share: Share { bytes: bytes / 4, is_strict: false },
            shelves: (0..entries.num_shards()).map(|_| Arc::default()).collect(),
            entries,
            tenants: RwLock::default(),
            everybody: RwLock::default(),
            metadata: AtomicUsize::new(0),
            others: AtomicU64::new(0),
            metadata_limit: usize::try_from(bytes / 4).unwrap_or(usize::MAX).max(64 << 10),
        }
    }

    /// Lets no tenant hold more than `bytes` of names and entries, whether the store is full or not; an
    /// entry that is larger by itself is refused. If not set, a tenant may hold what nobody else
    /// needs, and a quarter of the store where others do.
    ///
    /// What belongs to no tenant counts as one tenant's.
    ///
    /// ```
    /// use tower_response_cache::MemoryStore;
    ///
    /// let store = MemoryStore::with_capacity(64 << 20).tenant_limit(4 << 20);
    /// ```
    #[must_use]
    pub fn tenant_limit(mut self, bytes: u64) -> Self {
        self.share = Share { bytes, is_strict: true };
        self
    }

    /// How many bytes of names and entries it holds now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// How many of them are this tenant's.
    #[must_use]
    pub fn bytes_of(&self, space: &Space) -> u64 {
        self.tenant(space).map_or(0, |tenant| tenant.read().holdings.bytes())
    }

    fn tenant(&self, space: &Space) -> Option<Arc<RwLock<Tenant>>> {
        self.tenants.read().get(space).cloned()
    }

    fn tenant_or_new(&self, space: &Space) -> Arc<RwLock<Tenant>> {
        if let Some(tenant) = self.tenant(space) {
            return tenant;
        }
        let mut tenants = self.tenants.write();
        let tenant = tenants.entry(space.clone()).or_insert_with(|| {
            self.metadata.fetch_add(TENANT_WEIGHT, Ordering::Relaxed);
            Arc::default()
        });
        Arc::clone(tenant)
    }

    /// Changes what is known of a tenant, and keeps what is known of all within its limit.
    fn change<T>(&self, space: &Space, change: impl FnOnce(&mut Tenant) -> T) -> T {
        self.change_known(self.tenant_or_new(space), change)
    }

    /// The same, of a tenant of which something is known already; `None` for any other.
    fn change_if_known<T>(
        &self,
        space: &Space,
        change: impl FnOnce(&mut Tenant) -> T,
    ) -> Option<T> {
        Some(self.change_known(self.tenant(space)?, change))
    }

    fn change_known<T>(
        &self,
        tenant: Arc<RwLock<Tenant>>,
        change: impl FnOnce(&mut Tenant) -> T,
    ) -> T {
        let mut known = tenant.write();
        let before = known.weight();
        let answer = change(&mut known);
        let after = known.weight();
        drop(known);
        drop(tenant);
        let total = if after >= before {
            self.metadata.fetch_add(after - before, Ordering::Relaxed) + (after - before)
        } else {
            self.metadata.fetch_sub(before - after, Ordering::Relaxed)
        };
        if total > self.metadata_limit {
            self.shed();
        }
        answer
    }

    /// Forgets about half of what is known of the tenants that have most of it. A lost generation
    /// loses entries and revives none.
    fn shed(&self) {
        let now = self.clock.millis();
        let mut tenants = self.tenants.write();
        // Those that have no more than half of an even share have no more than half of the limit
        // together: the others are enough.
        let fair = self.metadata_limit / (2 * tenants.len().max(1));
        tenants.retain(|_, tenant| {
            let mut known = tenant.write();
            if known.weight() + TENANT_WEIGHT <= fair || !known.shed(now) {
                return true;
            }
            // Whoever holds a handle is about to write to it.
            let is_kept = Arc::strong_count(tenant) > 1;
            if !is_kept {
                // Without generations none of them is ever valid again.
                known.holdings.give_all_up(&self.entries);
            }
            is_kept
        });
        let total = tenants.values().map(|tenant| tenant.read().weight() + TENANT_WEIGHT).sum();
        self.metadata.store(total, Ordering::Relaxed);
    }

    fn entry(&self, name: &str, now: Millis) -> Option<Kept> {
        self.entries.get(name).filter(|kept| kept.until > now)
    }

    /// Puts an entry into the store, in the place of others of its tenant if need be. Answers whether
    /// it is there.
    fn keep(
        &self,
        tenant: &mut Tenant,
        name: &str,
        held: Arc<Held>,
        until: Millis,
        now: Millis,
    ) -> bool {
        let holdings = &mut tenant.holdings;
        let bytes = weight(name, &held);
        let room = Room {
            entries: &self.entries,
            shelves: &self.shelves,
            at: self.entries.shard_index(name),
            share: self.share,
        };
        holdings.make_room(name, bytes, room, now) && holdings.put(name, (held, until), bytes, room)
    }

    fn note_others(&self, others: bool) {
        if others {
            self.others.store(self.clock.millis() + 1, Ordering::Relaxed);
        }
    }

    fn minter(&self) -> Minter {
        Minter::new(self.clock.micros(), nonce())
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("bytes", &self.entries.weight())
            .field("capacity", &self.entries.capacity())
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        StoreFuture::ready(Ok(self.do_lookup(names)))
    }

    fn at_hand(&self, names: &Names) -> Option<Found> {
        Some(self.do_lookup(names))
    }

    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss> {
        StoreFuture::ready(Ok(self.do_miss(names, request)))
    }

    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped> {
        StoreFuture::ready(Ok(self.do_stamp(names, snapshot, groups, keep)))
    }

    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled> {
        StoreFuture::ready(Ok(self.do_fill(names, snapshot, token, frame, ttl)))
    }

    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool> {
        let now = self.clock.millis();
        let held = self
            .tenant(names.space())
            .is_some_and(|tenant| tenant.write().renew(names.entry(), token, ttl, now));
        StoreFuture::ready(Ok(held))
    }

    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool> {
        let now = self.clock.millis();
        let held =
            self.change_if_known(names.space(), |tenant| tenant.release(names.entry(), token, now));
        StoreFuture::ready(Ok(held == Some(true)))
    }

    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations> {
        StoreFuture::ready(Ok(self.do_generations(scopes)))
    }

    fn invalidate<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        mode: Mode,
    ) -> StoreFuture<'a, Invalidated> {
        let now = self.clock.millis();
        let mint = self.minter();
        let mode = if scopes.has_epochs() { Mode::Hard } else { mode };
        let mut moved = 0;
        if let Some(tenant) = self.tenant(scopes.space()) {
            // Epochs and generations under one lock: see `Store::stamp`.
            let mut tenant = tenant.write();
            if scopes.has_epochs() {
                tenant.move_epochs(&mint);
            }
            for name in scopes.generations() {
                moved += usize::from(tenant.scopes.advance(name, mode, now, &mint));
            }
            if let Some(own) = scopes.configuration().filter(|own| tenant.has_others(*own)) {
                let whole = scopes.space().whole_tenant();
                tenant.scopes.advance(&whole, Mode::Hard, now, &mint);
                tenant.has_moved_wholly(own);
                self.note_others(true);
            }
        }
        if let Some(name) = scopes.all_tenants() {
            moved += usize::from(self.everybody.write().advance(&name, mode, now, &mint));
        }
        StoreFuture::ready(Ok(Invalidated { moved }))
    }

    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        debug_assert!(!scopes.has_epochs(), "a group can't be fenced");
        let now = self.clock.millis();
        self.change(scopes.space(), |tenant| {
            for name in scopes.generations() {
                tenant.scopes.close(name, token, now, now + deadline);
            }
            if scopes.configuration().is_some_and(|own| tenant.has_others(own)) {
                let whole = scopes.space().whole_tenant();
                tenant.scopes.close(&whole, token, now, now + deadline);
                self.note_others(true);
            }
        });
        if let Some(name) = scopes.all_tenants() {
            self.everybody.write().close(&name, token, now, now + deadline);
        }
        StoreFuture::ready(Ok(()))
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        let now = self.clock.millis();
        let mint = self.minter();
        self.change_if_known(scopes.space(), |tenant| {
            for name in scopes.generations() {
                tenant.scopes.lift(name, token, now, &mint);
            }
            if let Some(own) = scopes.configuration() {
                let whole = scopes.space().whole_tenant();
                let others = tenant.has_others(own);
                if others || tenant.scopes.is_closed_by(&whole, token) {
                    tenant.scopes.lift(&whole, token, now, &mint);
                }
                if others {
                    tenant.has_moved_wholly(own);
                    self.note_others(true);
                }
            }
        });
        if let Some(name) = scopes.all_tenants() {
            self.everybody.write().lift(&name, token, now, &mint);
        }
        StoreFuture::ready(Ok(()))
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        let now = self.clock.millis();
        if let Some(tenant) = self.tenant(names.space()) {
            // Under the tenant's lock, or a fill between the two steps would stay.
            let mut tenant = tenant.write();
            tenant.move_epoch(names.epoch(), &self.minter());
            let removed = self.entries.remove(names.entry());
            return StoreFuture::ready(Ok(removed.is_some_and(|(_, kept)| kept.until > now)));
        }
        StoreFuture::ready(Ok(false))
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        let removed = self.entries.remove_if(names.entry(), |kept| kept.held.frame == *seen);
        StoreFuture::ready(Ok(removed.is_some()))
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        StoreFuture::ready(Ok(self.do_delete_pattern(space, glob)))
    }

    fn keys<'a>(
        &'a self,
        space: &'a Space,
        glob: &'a Glob,
        cursor: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, KeyPage> {
        StoreFuture::ready(Ok(self.do_keys(space, glob, cursor, limit)))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        StoreFuture::ready(Ok(()))
    }

    fn sees_other_configurations(&self) -> bool {
        let last = self.others.load(Ordering::Relaxed);
        let span = Millis::try_from(OTHERS_REMEMBERED.as_millis()).unwrap_or(Millis::MAX);
        last != 0 && self.clock.millis() < last.saturating_add(span)
    }

    fn status(&self) -> StoreStatus {
        StoreStatus::at("the memory of this process")
    }

    fn now(&self) -> Millis {
        self.clock.millis()
    }
}

/// What a tenant takes beside its metadata, in bytes, roughly.
const TENANT_WEIGHT: usize = 512;

type Entries = Map<Arc<str>, Kept, Weighter, RandomState>;

fn weight(name: &str, held: &Held) -> u64 {
    // What the map and the tenant's queue need for an entry, and what is remembered of its scopes, roughly.
    const SLOT: usize = 384;
    let decoded = held
        .entry
        .as_deref()
        .map_or(0, |entry| entry.overhead() + entry.head.stamps.len() * size_of::<Generation>());
    (name.len() + held.frame.len() + SLOT + decoded) as u64
}

#[derive(Clone)]
struct Weighter;

impl quick_cache::Weighter<Arc<str>, Kept> for Weighter {
    fn weight(&self, _: &Arc<str>, kept: &Kept) -> u64 {
        kept.bytes()
    }
}
