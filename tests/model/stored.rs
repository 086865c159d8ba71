//! What the server stores, for one key with one configured scope and at most one tag.

use std::num::NonZeroU8;

/// What the source of truth held; a handler answers with the version at its start.
pub(super) type Version = u8;
/// A run of the Redis server. A restart is another run.
pub(super) type Run = u8;
/// A set of small numbers: of fence tokens (one a write), of flights, of fault kinds.
pub(super) type Set = u8;

/// An id that the store minted. Only equality means anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) NonZeroU8);

/// Where the next id comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mint(pub(super) u8);

impl Mint {
    /// An id that nothing in the world carries yet.
    pub(super) fn id(&mut self) -> Id {
        self.0 += 1;
        Id(NonZeroU8::new(self.0).expect("a scenario mints fewer than 64 ids"))
    }
}

/// `ns:g:{tenant}:<scope>`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Generation {
    #[default]
    Missing,
    /// With what soft invalidations have put behind it, newest first.
    Open { current: Id, behind: [Option<Id>; 2] },
    /// Until the latest deadline of these tokens: the key's TTL.
    Closed { id: Id, until: Set },
}

impl Generation {
    /// A generation with nothing behind it.
    pub(super) fn open(current: Id) -> Self {
        Self::Open { current, behind: [None; 2] }
    }

    /// The id in force, if there is one and the scope is open.
    pub(super) fn current(self) -> Option<Id> {
        match self {
            Self::Open { current, .. } => Some(current),
            Self::Missing | Self::Closed { .. } => None,
        }
    }

    /// Whether a soft invalidation has put `stamp` behind the current id.
    pub(super) fn is_behind(self, stamp: Id) -> bool {
        matches!(self, Self::Open { behind, .. } if behind.contains(&Some(stamp)))
    }
}

/// The answer of the miss script: what a fill is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Snapshot {
    pub(super) stamp: Id,
    pub(super) epoch: Id,
    pub(super) run: Run,
}

/// `ns:e:{tenant}:<key>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) stamp: Id,
    pub(super) tag: Option<Id>,
    pub(super) run: Run,
}

/// `ns:l:{tenant}:<key>`. The token is the number of the flight that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lease {
    pub(super) token: u8,
    pub(super) stamp: Id,
    pub(super) epoch: Id,
}

/// All that the server stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Redis {
    pub(super) run: Run,
    pub(super) generation: Generation,
    pub(super) epoch: Option<Id>,
    pub(super) tag: Option<Id>,
    /// Writes whose fence token is there and before its deadline.
    pub(super) fence: Set,
    /// A token of nobody's, beside those: it lasts until the latest deadline of these writes.
    pub(super) nobody: Set,
    pub(super) entry: Option<Entry>,
    pub(super) lease: Option<Lease>,
}
