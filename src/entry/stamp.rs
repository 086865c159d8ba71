//! What says whether an entry is still valid: ids, generations, stamps, and the run of the store.

use std::fmt;

/// A span of time, or a moment of the store's clock since the Unix epoch, in milliseconds.
pub type Millis = u64;

/// An unguessable id that a store mints for a generation or an epoch.
///
/// 16 bytes: the store's time in microseconds (big-endian, 8 bytes), then 8 random bytes of the
/// attempt that asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; Self::LEN]);

impl Id {
    /// Its length in bytes.
    pub const LEN: usize = 16;

    /// The id made of a time in microseconds and the nonce of one attempt.
    #[must_use]
    pub const fn mint(micros: u64, nonce: [u8; 8]) -> Self {
        let mut bytes = [0; Self::LEN];
        let (time, random) = bytes.split_at_mut(8);
        time.copy_from_slice(&micros.to_be_bytes());
        random.copy_from_slice(&nonce);
        Self(bytes)
    }

    /// The id with these bytes, if there are 16 of them.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// When it was minted, by the store's clock.
    #[must_use]
    pub fn minted_at(&self) -> Millis {
        let mut micros = [0; 8];
        micros.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(micros) / 1000
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Which run of the store an answer came from: a restart is another run, and nothing that was
/// stored in one run is believed in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(pub [u8; 8]);

/// What a store knows of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Generation {
    /// Nothing. It equals no stamp.
    Missing,
    /// Fenced. It equals no stamp.
    Closed,
    /// The id in force, and the ids that soft invalidations have put behind it, newest first.
    Open {
        /// The id in force.
        current: Id,
        /// Up to [`Generation::SOFT`] older ids.
        behind: [Option<Id>; Generation::SOFT],
    },
}

impl Generation {
    /// How many ids a store keeps behind the current one.
    pub const SOFT: usize = 3;

    /// The stored form: 16 bytes for each id of an open one, the current first; the letter `c`
    /// and an id for a closed one.
    ///
    /// Anything else is [`Missing`](Generation::Missing), so that a foreign value can't be taken
    /// for a generation.
    #[must_use]
    pub fn parse(stored: &[u8]) -> Self {
        if stored.is_empty()
            || !stored.len().is_multiple_of(Id::LEN)
            || stored.len() > Id::LEN * (Self::SOFT + 1)
        {
            let closed = stored.len() == Id::LEN + 1 && stored[0] == b'c';
            return if closed { Self::Closed } else { Self::Missing };
        }
        let mut ids = stored.chunks_exact(Id::LEN).map(Id::from_slice);
        let Some(current) = ids.next().flatten() else {
            return Self::Missing;
        };
        let mut behind = [None; Self::SOFT];
        for (slot, id) in behind.iter_mut().zip(ids) {
            *slot = id;
        }
        Self::Open { current, behind }
    }

    /// The id in force, if the scope is open and known.
    #[must_use]
    pub fn current(&self) -> Option<Id> {
        match self {
            Self::Open { current, .. } => Some(*current),
            Self::Missing | Self::Closed => None,
        }
    }
}

/// The state of a key's scopes before its handler ran: what a fill is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The current id of each scope, in the order of the names.
    pub stamps: Box<[Id]>,
    /// The key's epoch.
    pub epoch: Id,
    /// The run of the store.
    pub run: RunId,
}
