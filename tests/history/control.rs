//! Stores that break one rule each, so that the checker is known to find what comes of it; and some
//! that are only odd, which must break nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tower_response_cache::Store;
use tower_response_cache::entry::{Generation, Head, Millis, Snapshot};
use tower_response_cache::key::{Glob, Names, ScopeNames, Space};
use tower_response_cache::store::{
    Filled, Found, Generations, Invalidated, LeaseToken, Miss, MissRequest, Mode, Refusal, Stamped,
    StoreError, StoreErrorKind, StoreFuture,
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twist {
    /// Invalidations are confirmed and do nothing.
    Deaf,
    /// A look-up claims that the generations are those in the entry's stamps.
    Agreeable,
    /// A fill is not told that the epoch has moved.
    Epochless,
    /// Look-ups and misses tell the first snapshot of the key for ever, and nothing is stored: what
    /// old work is still shared is shared by a flight.
    Frozen,
    /// The instance's clock is this much ahead, in milliseconds.
    Clock(i64),
    /// Each step waits before it is sent, and again before its answer is heard.
    Slow,
    /// What invalidates fails at times, be it before it is done or after.
    Unsure,
}

/// A store with a twist.
#[derive(Debug)]
pub struct Twisted<S> {
    inner: S,
    twist: Twist,
    first: Mutex<HashMap<String, Snapshot>>,
}

impl<S: Store> Twisted<S> {
    pub fn shared(inner: S, twist: Twist) -> Arc<dyn Store> {
        Arc::new(Self { inner, twist, first: Mutex::default() })
    }

    /// The step, between two waits if this store is slow.
    fn step<'a, T: Send + Unpin + 'a>(&self, step: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
        if self.twist != Twist::Slow {
            return step;
        }
        StoreFuture::pending(async {
            linger().await;
            let answer = step.await;
            linger().await;
            answer
        })
    }

    fn first(&self, names: &Names, snapshot: Snapshot) -> Snapshot {
        self.first.lock().entry(names.entry().to_owned()).or_insert(snapshot).clone()
    }

    async fn with_the_epoch_of_now(
        &self,
        names: &Names,
        snapshot: &Snapshot,
    ) -> Result<Snapshot, StoreError> {
        let found = self.inner.lookup(names).await?;
        Ok(Snapshot { epoch: found.epoch.unwrap_or(snapshot.epoch), ..snapshot.clone() })
    }
}

/// Nothing is done, or it is and the answer is lost; mostly neither.
fn unsure<'a, T: Send + Unpin + 'a>(step: StoreFuture<'a, T>) -> StoreFuture<'a, T> {
    let lost = || Err(StoreErrorKind::Unavailable.into());
    match fastrand::u8(..16) {
        0..2 => StoreFuture::ready(lost()),
        2 => StoreFuture::pending(async move { step.await.and_then(|_| lost()) }),
        _ => step,
    }
}

/// Mostly not at all, and at times for as long as a handler takes.
async fn linger() {
    if fastrand::u8(..3) == 0 {
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..15_000))).await;
    }
}

impl<S: Store> Store for Twisted<S> {
    fn lookup<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, Found> {
        if !matches!(self.twist, Twist::Agreeable | Twist::Frozen) {
            return self.step(self.inner.lookup(names));
        }
        StoreFuture::pending(async {
            let mut found = self.inner.lookup(names).await?;
            let opened = |id| Generation::Open { current: id, behind: [None; Generation::SOFT] };
            if self.twist == Twist::Agreeable
                && let Some((head, _)) = found.entry.as_deref().and_then(Head::parse)
                && head.stamps.len() == found.generations.len()
            {
                found.generations = head.stamps.iter().copied().map(opened).collect();
            }
            let first = self.first.lock().get(names.entry()).cloned();
            if let Some(first) = first {
                found.entry = None;
                found.generations = first.stamps.iter().copied().map(opened).collect();
                found.epoch = Some(first.epoch);
                found.run = first.run;
            }
            Ok(found)
        })
    }

    fn miss<'a>(&'a self, names: &'a Names, request: &'a MissRequest) -> StoreFuture<'a, Miss> {
        if self.twist != Twist::Frozen {
            return self.step(self.inner.miss(names, request));
        }
        StoreFuture::pending(async {
            Ok(match self.inner.miss(names, request).await? {
                Miss::Granted(snapshot) => Miss::Granted(self.first(names, snapshot)),
                Miss::Wait { snapshot, holder } => {
                    Miss::Wait { snapshot: self.first(names, snapshot), holder }
                }
                other => other,
            })
        })
    }

    fn stamp<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        groups: &'a ScopeNames,
        keep: Millis,
    ) -> StoreFuture<'a, Stamped> {
        match self.twist {
            Twist::Frozen => StoreFuture::ready(Ok(Stamped::Refused(Refusal::Stamp))),
            Twist::Epochless => StoreFuture::pending(async move {
                let snapshot = self.with_the_epoch_of_now(names, snapshot).await?;
                self.inner.stamp(names, &snapshot, groups, keep).await
            }),
            _ => self.step(self.inner.stamp(names, snapshot, groups, keep)),
        }
    }

    fn fill<'a>(
        &'a self,
        names: &'a Names,
        snapshot: &'a Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> StoreFuture<'a, Filled> {
        match self.twist {
            Twist::Frozen => StoreFuture::ready(Ok(Filled::Refused(Refusal::Stamp))),
            Twist::Epochless => StoreFuture::pending(async move {
                let snapshot = self.with_the_epoch_of_now(names, snapshot).await?;
                self.inner.fill(names, &snapshot, token, frame, ttl).await
            }),
            _ => self.step(self.inner.fill(names, snapshot, token, frame, ttl)),
        }
    }

    fn renew<'a>(
        &'a self,
        names: &'a Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> StoreFuture<'a, bool> {
        self.step(self.inner.renew(names, token, ttl))
    }

    fn release<'a>(&'a self, names: &'a Names, token: LeaseToken) -> StoreFuture<'a, bool> {
        self.step(self.inner.release(names, token))
    }

    fn generations<'a>(&'a self, scopes: &'a ScopeNames) -> StoreFuture<'a, Generations> {
        self.step(self.inner.generations(scopes))
    }

    fn invalidate<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        mode: Mode,
    ) -> StoreFuture<'a, Invalidated> {
        match self.twist {
            Twist::Deaf => StoreFuture::ready(Ok(Invalidated::new(scopes.len()))),
            Twist::Unsure => unsure(self.inner.invalidate(scopes, mode)),
            _ => self.step(self.inner.invalidate(scopes, mode)),
        }
    }

    fn fence<'a>(
        &'a self,
        scopes: &'a ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> StoreFuture<'a, ()> {
        match self.twist {
            Twist::Deaf => StoreFuture::ready(Ok(())),
            Twist::Unsure => unsure(self.inner.fence(scopes, token, deadline)),
            _ => self.step(self.inner.fence(scopes, token, deadline)),
        }
    }

    fn lift<'a>(&'a self, scopes: &'a ScopeNames, token: LeaseToken) -> StoreFuture<'a, ()> {
        match self.twist {
            Twist::Deaf => StoreFuture::ready(Ok(())),
            Twist::Unsure => unsure(self.inner.lift(scopes, token)),
            _ => self.step(self.inner.lift(scopes, token)),
        }
    }

    fn remove<'a>(&'a self, names: &'a Names) -> StoreFuture<'a, bool> {
        self.step(self.inner.remove(names))
    }

    fn discard<'a>(&'a self, names: &'a Names, seen: &'a Bytes) -> StoreFuture<'a, bool> {
        self.step(self.inner.discard(names, seen))
    }

    fn trim<'a>(&'a self, names: &'a Names, most: u64) -> StoreFuture<'a, bool> {
        self.step(self.inner.trim(names, most))
    }

    fn delete_pattern<'a>(&'a self, space: &'a Space, glob: &'a Glob) -> StoreFuture<'a, u64> {
        self.step(self.inner.delete_pattern(space, glob))
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.step(self.inner.ping())
    }

    fn now(&self) -> Millis {
        match self.twist {
            Twist::Clock(ahead) => self.inner.now().saturating_add_signed(ahead),
            _ => self.inner.now(),
        }
    }

    fn distrust(&self, found: &Found) {
        self.inner.distrust(found);
    }
}
