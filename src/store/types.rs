//! The vocabulary of the [`Store`](super::Store) trait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::StoreError;
use crate::entry::{Entry, Generation, Id, Millis, RunId, Snapshot};

/// What [`lookup`](super::Store::lookup) read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Found {
    /// The stored bytes, whatever they are.
    pub entry: Option<Bytes>,
    /// What they say, if the store keeps that in this process beside them: it is believed without
    /// another look at the bytes.
    pub decoded: Option<Arc<Entry>>,
    /// One for each scope, in the order of the names. Shared: what is kept in this process is found often.
    pub generations: Arc<[Generation]>,
    /// The key's epoch.
    pub epoch: Option<Id>,
    /// The run that answered.
    pub run: RunId,
    /// Which connection answered, for [`distrust`](super::Store::distrust).
    pub source: u64,
    /// Whether the bytes come from the memory of this process, and not from the store.
    pub near: bool,
    /// What [`Store::now`](super::Store::now) said for it, if nothing was waited for after: whoever
    /// judges the entry reads the clock otherwise.
    pub at: Option<Millis>,
}

impl Found {
    /// What was read of a store that has no connections and keeps nothing decoded; the other fields can
    /// be set after.
    #[must_use]
    pub fn new(
        entry: Option<Bytes>,
        generations: impl Into<Arc<[Generation]>>,
        epoch: Option<Id>,
        run: RunId,
    ) -> Self {
        let generations = generations.into();
        Self { entry, decoded: None, generations, epoch, run, source: 0, near: false, at: None }
    }

    /// The snapshot that these generations and this epoch make, if all are present and open.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        Some(Snapshot {
            stamps: self.generations.iter().map(Generation::current).collect::<Option<_>>()?,
            epoch: self.epoch?,
            run: self.run,
        })
    }
}

/// Who holds a lease, or who closed a scope: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseToken(pub [u8; 16]);

impl LeaseToken {
    /// A new token from the operating system's randomness.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&nonce());
        bytes[8..].copy_from_slice(&nonce());
        Self(bytes)
    }
}

/// 8 bytes that nobody can guess, for one attempt at a step that mints ids.
///
/// # Panics
///
/// If the operating system has no randomness to give.
#[must_use]
pub(crate) fn nonce() -> [u8; 8] {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// What a caller wants of [`miss`](super::Store::miss).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MissRequest {
    /// The lease to take: its token and how long it lasts. `None` takes none and waits for none.
    pub lease: Option<(LeaseToken, Millis)>,
    /// The shortest lifetime of a generation that is created here: at least the longest time that
    /// the entry to come may be kept.
    pub keep: Millis,
    /// Digest of the scopes' names, which a valid entry repeats ([`crate::entry::Head`]).
    pub scopes: [u8; 8],
    /// Don't answer [`Miss::Again`]: the caller has looked at the entry and can't use it.
    pub ignore_entry: bool,
}

impl MissRequest {
    /// Without a lease, and with an entry that has appeared looked at; both can be set after.
    #[must_use]
    pub fn new(keep: Millis, scopes: [u8; 8]) -> Self {
        Self { lease: None, keep, scopes, ignore_entry: false }
    }
}

/// The answer of [`miss`](super::Store::miss).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Miss {
    /// Run the handler and store its answer under this snapshot.
    Granted(Snapshot),
    /// Another instance is running the handler under this very snapshot.
    Wait {
        /// The snapshot.
        snapshot: Snapshot,
        /// Who holds the lease.
        holder: LeaseToken,
    },
    /// A valid entry has appeared: look up again.
    Again,
    /// A scope is closed: run the handler and don't store.
    Closed,
}

/// The answer of [`stamp`](super::Store::stamp).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stamped {
    /// The current id of each group, in the order of the names.
    Stamps(Box<[Id]>),
    /// None was given, and why.
    Refused(Refusal),
}

/// The answer of [`generations`](super::Store::generations).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generations {
    /// One for each scope, in the order of the names.
    pub generations: Vec<Generation>,
    /// The run that answered: they say nothing of an entry of another run. `None` if each id says
    /// by itself of which run it is.
    pub run: Option<RunId>,
}

impl Generations {
    /// These generations, as this run has them.
    #[must_use]
    pub fn new(generations: Vec<Generation>, run: RunId) -> Self {
        Self { generations, run: Some(run) }
    }
}

/// The answer of [`fill`](super::Store::fill).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Filled {
    /// It is there.
    Stored,
    /// It is not, and why.
    Refused(Refusal),
}

/// Why a store refused a fill, or the stamps for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The key's epoch has moved since the handler began.
    Epoch,
    /// A generation has moved, was closed or was lost since the handler began.
    Stamp,
    /// Another token holds the key's lease.
    Lease,
    /// The store has restarted since the handler began.
    Run,
    /// The store has no room.
    Space,
}

impl Refusal {
    /// A short name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::Stamp => "stamp",
            Self::Lease => "lease",
            Self::Run => "run",
            Self::Space => "space",
        }
    }
}

/// How an invalidation treats the entries that it reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They are never served again.
    #[default]
    Hard,
    /// They are stale from now on: served within their stale window while one refresh runs.
    Soft,
}

/// The answer of [`invalidate`](super::Store::invalidate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidated {
    /// How many of the scopes had a generation, which was moved. Epochs are not counted.
    pub moved: usize,
}

impl Invalidated {
    /// So many have moved.
    #[must_use]
    pub fn new(moved: usize) -> Self {
        Self { moved }
    }
}

/// One page of the keys of a tenant: the answer of [`keys`](super::Store::keys).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPage {
    /// The keys of this page, each once.
    pub keys: Vec<StoredKey>,
    /// What the next page is asked for with, or `None` if this is the last one. A text of the
    /// store's own; one that it did not give is answered with any page, of the same tenant, or with
    /// an error.
    pub next: Option<String>,
}

impl KeyPage {
    /// These keys, and what the next page is asked for with.
    #[must_use]
    pub fn new(keys: Vec<StoredKey>, next: Option<String>) -> Self {
        Self { keys, next }
    }
}

/// What tells an entry from the others of its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct StoredKey {
    /// The method, and what else tells entries of one text apart. It holds no space.
    pub variant: String,
    /// The key text, which patterns match.
    pub text: String,
}

impl StoredKey {
    /// This variant of this text.
    #[must_use]
    pub fn new(variant: impl Into<String>, text: impl Into<String>) -> Self {
        Self { variant: variant.into(), text: text.into() }
    }
}

/// The future of a store's method: an answer that is there already, or one to wait for.
///
/// A store that answers from memory costs no allocation.
pub struct StoreFuture<'a, T>(Answer<'a, T>);

enum Answer<'a, T> {
    Ready(Option<Result<T, StoreError>>),
    Pending(Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>),
}

impl<'a, T> StoreFuture<'a, T> {
    /// An answer that is there.
    #[must_use]
    pub fn ready(answer: Result<T, StoreError>) -> Self {
        Self(Answer::Ready(Some(answer)))
    }

    /// An answer that `future` will give.
    #[must_use]
    pub fn pending(future: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Self {
        Self(Answer::Pending(Box::pin(future)))
    }

    /// Whether the answer is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.0, Answer::Ready(_))
    }
}

impl<T> fmt::Debug for StoreFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFuture").field("is_ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl<T: Unpin> Future for StoreFuture<'_, T> {
    type Output = Result<T, StoreError>;

    /// # Panics
    ///
    /// If polled again after it has answered.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Answer::Ready(answer) => Poll::Ready(answer.take().expect("polled after completion")),
            Answer::Pending(future) => future.as_mut().poll(cx),
        }
    }
}
