//! Where entries and generations live, and what a store guarantees.
//!
//! [`Store`] has one method for each step of the protocol. Two stores come with the crate:
//! [`MemoryStore`] keeps everything in the process, [`RedisStore`] in a Redis that any number of
//! instances share. Both pass [`conformance`], and so must a store of your own.

pub mod conformance;
mod error;
mod memory;
#[cfg(feature = "redis")]
mod near;
#[cfg(feature = "redis")]
mod redis;
mod status;
mod types;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use self::error::{StoreError, StoreErrorKind};
pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
pub use self::near::NearCache;
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
pub use self::status::{NearStatus, StoreStatus};
pub use self::types::{
    Filled, Found, Generations, Invalidated, KeyPage, LeaseToken, Miss, MissRequest, Mode, Refusal,
    Stamped, StoreFuture, StoredKey,
};

use crate::entry::{Millis, Snapshot};
use crate::key::{Glob, Names, ScopeNames, Space};

/// The steps of the cache protocol, as one store carries them out.
///
/// A *name* is the full text under which something is stored, already escaped (see
/// [`Names`]); a store never has to look inside one.
///
/// # Guarantees
///
/// Every method is one atomic step as seen by every other method of every instance that shares
/// the store, except [`delete_pattern`](Store::delete_pattern), which is a sequence of such steps,
/// and the second half of [`fill`](Store::fill) says what of it is atomic.
///
/// A store over several servers may part a step where what it concerns is on more than one of them:
/// generations from entries, their leases and epochs. Then each part is read after the step began, a
/// miss has the generations before it looks at the entry, a fill compares the epoch and the lease in
/// the very step in which the entry appears, and an invalidation moves all epochs before the first
/// group. Ids of another server than the entry's say by themselves of which run they are.
///
/// 1. An [`Id`](crate::entry::Id) is minted by the store, is never minted twice, and can't be guessed.
/// 2. Once [`invalidate`](Store::invalidate) has answered, every later [`lookup`](Store::lookup)
///    and [`miss`](Store::miss) shows another generation for each of the scopes, or none.
/// 3. A generation lives at least as long as every entry that was filled with it, or is lost; a
///    lost one is never seen again, not even after a restart from an old snapshot: what a store
///    forgot, it forgot under another [`RunId`](crate::entry::RunId).
/// 4. [`fill`](Store::fill) and [`stamp`](Store::stamp) refuse when the epoch has moved, or was
///    lost, since the snapshot was taken.
/// 5. A scope that is fenced shows [`Generation::Closed`](crate::entry::Generation::Closed) until the last token is lifted or has
///    passed its deadline, whatever else happens to the scope meanwhile. Losing the fence's own
///    record as well as its generation is the one thing that is not covered.
///
/// 6. A caller that says by which configuration it asks ([`Names::configured`],
///    [`ScopeNames::configuration`]) is protected from others: [`miss`](Store::miss) puts its
///    [`Fingerprint`](crate::key::Fingerprint) on a list of the tenant's, and [`fill`](Store::fill) refuses with
///    [`Refusal::Stamp`] where it is not on it; [`invalidate`](Store::invalidate), [`fence`](Store::fence)
///    and [`lift`](Store::lift) treat the whole tenant ([`Space::whole_tenant`]) as one of the scopes where
///    another one than the caller's is on it, or the list was lost. An `invalidate` moves it hard, and then,
///    since nothing from before is valid, only the caller's is on the list.
///
/// # Dropping a future
///
/// Dropping the future of any method leaves the step either done or not done, never half done,
/// and leaves the store usable. Whether it was done is unknown to the caller then.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads the entry, the generations of its scopes and its epoch, as of one moment.
    ///
    /// One round trip. It judges nothing: whether the entry is valid is for the caller to decide.
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found>;

    /// The answer of [`lookup`](Store::lookup), if it can be had without waiting and without a failure:
    /// then no future is made for it. `None` says nothing, and the caller looks up. Does no I/O.
    fn at_hand(&self, names: &Names) -> Option<Found> {
        let _ = names;
        None
    }

    /// Prepares a fill: creates what is missing of the generations and the epoch, and says
    /// whether the caller may run the handler, should wait for another instance that is running
    /// it, or must run it without storing.
    ///
    /// A missing generation is created open, or closed if its scope has live fence tokens.
    /// The answer is, in this order of precedence:
    ///
    /// - [`Miss::Closed`]: some scope is closed. No lease is taken.
    /// - [`Miss::Again`]: the entry that is stored is valid and fresh (and
    ///   [`MissRequest::ignore_entry`] was not set).
    /// - [`Miss::Wait`]: somebody else holds the lease, taken with these very stamps and epoch.
    /// - [`Miss::Granted`]: go. If a lease was asked for it is now held under the given token for
    ///   the given time; one whose stamps or epoch were outdated has been taken over.
    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss>;

    /// Stamps the groups that a response has named, which is the first half of storing it: the ids
    /// become part of the frame ([`Entry::tags`](crate::entry::Entry::tags)), and
    /// [`fill`](Store::fill) stores that.
    ///
    /// Refused, and nothing changed, with [`Refusal::Run`] if the store's run is another than the
    /// snapshot's, with [`Refusal::Epoch`] if the key's epoch is, and with [`Refusal::Stamp`] if a
    /// group is closed. Otherwise a missing generation is created, open, each one lives for `keep`
    /// from now at least, and the answer holds the current id of each, in the order of
    /// [`ScopeNames::generations`]. `keep` should be the time that the entry may be kept, and what
    /// may pass until its fill: a generation that ends before its entry takes the entry with it.
    ///
    /// # Why a group can be stamped after the handler ran
    ///
    /// A group is known once the handler has answered, too late to read its generation before. But
    /// [`invalidate`](Store::invalidate) moves the epochs of the tenant in the same step as a
    /// group's generation, or before it. So, for an invalidation of a group that this response is in,
    ///
    /// - before the miss: the handler ran after it, and the stamp is the new one;
    /// - between miss and stamp: the epoch has moved, and the stamp is refused;
    /// - between stamp and fill: the epoch has moved, and the fill is refused; and were it not, the
    ///   stamp in the frame is that of before;
    /// - after the fill: the stamp in the entry is outdated.
    ///
    /// An epoch that was lost and created again has another id, and so has a generation: a loss at
    /// any moment refuses, or leaves an entry that is not valid. Nobody has to hold anything
    /// between the steps.
    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped>;

    /// Stores an entry that was made under `snapshot`, to be kept for `ttl`.
    ///
    /// Refused, and nothing changed, if the epoch or a generation is no longer the one in the
    /// snapshot, if another token holds the lease, or if the store's run is another. On success
    /// each generation and the epoch live at least as long as the entry, and the lease of `token`
    /// is gone. Checks and the appearance of the entry are one atomic step; moving the bytes to
    /// the store need not be.
    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled>;

    /// Prolongs the lease if `token` still holds it. Answers whether it did.
    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool>;

    /// Gives the lease up if `token` still holds it. Answers whether it did.
    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool>;

    /// Reads the generations of the tenant's scopes, as of one moment: for the groups of an entry
    /// that a lookup has found.
    ///
    /// One round trip. An entry of another run than the one that answers is not valid, whatever
    /// these are; unless [their ids say it](Generations::run). The scope of all tenants is not read.
    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations>;

    /// Moves the generation of each scope that has one.
    ///
    /// With [epochs](ScopeNames::has_epochs) among the names, as with any group, those of the
    /// tenant that are there move in the same step, or all of them before the first group, and the mode is [`Mode::Hard`], whatever was
    /// asked for.
    ///
    /// A closed generation stays closed, under a new id and with the lifetime it had. A scope
    /// without a generation is left without. Never refused for want of memory.
    fn invalidate<'a>(&'a self, scopes: &'a ScopeNames, mode: Mode)
    -> StoreFuture<'a, Invalidated>;

    /// Closes each scope for fills and lookups until [`lift`](Store::lift) is called with the same
    /// token, or `deadline` has passed since now.
    ///
    /// The scopes must hold no group: lifting moves no epoch, so that a fence would not order what
    /// is stamped after it.
    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()>;

    /// Takes `token` (and tokens past their deadline) off each scope. A scope with none left gets
    /// a new open generation; one with others left stays closed under a new id. A token that is not
    /// there opens nothing, since the others may have been lost with it: a closed scope stays closed
    /// for as long as it was to be, an open one moves, a missing one stays missing.
    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()>;

    /// Moves the key's epoch and removes the entry. Answers whether there was one.
    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool>;

    /// Removes the entry if it still holds exactly `seen`. Answers whether it did.
    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool>;

    /// Removes the entry if it is longer than `most` bytes, and answers whether it was: for what
    /// somebody else wrote there. A store whose look-up may be too slow for such a value should do so
    /// without reading it, which is not what the default does.
    fn trim<'a>(&'a self, names: &'a Names, most: u64) -> StoreFuture<'a, bool> {
        StoreFuture::pending(async move {
            match self.lookup(names).await?.entry {
                Some(frame) if frame.len() as u64 > most => self.discard(names, &frame).await,
                _ => Ok(false),
            }
        })
    }

    /// Removes every entry of the tenant whose key text matches `glob`, and answers how many.
    ///
    /// Moves all of the tenant's epochs, searches and removes in batches, and moves the epochs
    /// again. It ends under concurrent writes. If it fails or is dropped midway, some entries may
    /// be gone and others not; call it again.
    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64>;

    /// Lists the keys of the tenant whose text matches `glob`, page by page: the first page without
    /// a cursor, each further one with the [`KeyPage::next`] of the one before.
    ///
    /// For people who look what is there. A key that is stored all the while is on one page at
    /// least; one that comes or goes meanwhile may be or not be. Whether its entry is valid is not
    /// looked at. A page holds about `limit` keys: at most twice as many, fewer or none where the
    /// search took its time, and then `next` says that there is more. Whatever the cursor, no key of
    /// another tenant is listed.
    ///
    /// A store that can't list refuses ([`StoreErrorKind::Refused`]), as this one does by itself.
    fn keys<'a>(
        &'a self,
        space: &'a Space,
        glob: &'a Glob,
        cursor: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, KeyPage> {
        let _ = (space, glob, cursor, limit);
        let why = "this store does not list its keys";
        StoreFuture::ready(Err(StoreError::new(StoreErrorKind::Refused, why)))
    }

    /// Answers once the store can be reached.
    fn ping(&self) -> StoreFuture<'_, ()>;

    /// The store's clock, in milliseconds since the Unix epoch: the same for every instance,
    /// whatever their own clocks say. Does no I/O.
    fn now(&self) -> Millis;

    /// A cache of this namespace is going to use the store. A store that listens for what moves begins
    /// to. Does no I/O of its own.
    fn attach(&self, namespace: &str) {
        let _ = namespace;
    }

    /// What was last known of the key, at most `span` ago and as far as nothing is known to have moved
    /// since: for when the store can't be asked. `None` from stores that keep no such memory. Does no
    /// I/O.
    fn recall(&self, names: &Names, span: Duration) -> Option<Found> {
        let _ = (names, span);
        None
    }

    /// How it stands, for those who watch it. Does no I/O.
    fn status(&self) -> StoreStatus {
        StoreStatus::default()
    }

    /// Whether a reply has said, of any tenant and lately, that another configuration than the one that
    /// asked may have entries of it, as during a rolling deploy. Then writes for which there is no rule
    /// are told to the store too: the other one may have a rule. Does no I/O.
    fn sees_other_configurations(&self) -> bool {
        false
    }

    /// Tells the store that `found` carried something that belongs elsewhere, so that the
    /// connection it came through may be retired. Stores without connections ignore it.
    fn distrust(&self, found: &Found) {
        let _ = found;
    }
}

/// For how long a store takes another configuration to be there that was seen once. A list is cleared
/// by the first write under the one that is left.
const OTHERS_REMEMBERED: Duration = Duration::from_secs(600);

/// A store that several caches share.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        (**self).lookup(names)
    }

    fn at_hand(&self, names: &Names) -> Option<Found> {
        (**self).at_hand(names)
    }

    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss> {
        (**self).miss(names, request)
    }

    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped> {
        (**self).stamp(names, snapshot, groups, keep)
    }

    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled> {
        (**self).fill(names, snapshot, token, frame, ttl)
    }

    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool> {
        (**self).renew(names, token, ttl)
    }

    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool> {
        (**self).release(names, token)
    }

    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations> {
        (**self).generations(scopes)
    }

    fn invalidate<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        mode: Mode,
    ) -> StoreFuture<'a, Invalidated> {
        (**self).invalidate(scopes, mode)
    }

    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        (**self).fence(scopes, token, deadline)
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        (**self).lift(scopes, token)
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        (**self).remove(names)
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        (**self).discard(names, seen)
    }

    fn trim<'a>(&'a self, names: &'a Names, most: u64) -> StoreFuture<'a, bool> {
        (**self).trim(names, most)
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        (**self).delete_pattern(space, glob)
    }

    fn keys<'a>(
        &'a self,
        space: &'a Space,
        glob: &'a Glob,
        cursor: Option<&'a str>,
        limit: usize,
    ) -> StoreFuture<'a, KeyPage> {
        (**self).keys(space, glob, cursor, limit)
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        (**self).ping()
    }

    fn now(&self) -> Millis {
        (**self).now()
    }

    fn attach(&self, namespace: &str) {
        (**self).attach(namespace);
    }

    fn recall(&self, names: &Names, span: Duration) -> Option<Found> {
        (**self).recall(names, span)
    }

    fn status(&self) -> StoreStatus {
        (**self).status()
    }

    fn sees_other_configurations(&self) -> bool {
        (**self).sees_other_configurations()
    }

    fn distrust(&self, found: &Found) {
        (**self).distrust(found);
    }
}
