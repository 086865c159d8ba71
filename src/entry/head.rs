//! The first bytes of a stored frame: all that a store's own checks need to read.

use super::{Id, Millis, RunId, Snapshot};

/// The beginning of every frame, at fixed offsets, so that a script inside the store can compare
/// it without knowing the rest.
///
/// | bytes | content |
/// |---|---|
/// | 0..4 | `TRC` and the version, 1 |
/// | 4..12 | the [`RunId`] that the stamps were read from |
/// | 12..20 | digest of the names of the scopes, in their order |
/// | 20 | how many stamps follow |
/// | 21..21+16n | the stamps |
/// | then 8 | [`fresh_until`](Head::fresh_until), big-endian |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The run that the stamps were read from.
    pub run: RunId,
    /// Digest of the names of the scopes ([`crate::key::Names::scopes_digest`]).
    pub scopes: [u8; 8],
    /// The generation of each scope before the handler ran.
    pub stamps: Box<[Id]>,
    /// Until when the entry is fresh, by the store's clock.
    pub fresh_until: Millis,
}

impl Head {
    /// What a frame of this version begins with.
    pub const MAGIC: [u8; 4] = *b"TRC\x01";

    /// The most stamps that an entry can carry.
    pub const MAX_STAMPS: usize = u8::MAX as usize;

    /// How many bytes [`write`](Self::write) appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        Self::MAGIC.len() + 8 + 8 + 1 + self.stamps.len() * Id::LEN + 8
    }

    /// Whether `frame` is valid under `snapshot` and fresh at `now`, as far as its head can tell.
    #[must_use]
    pub fn is_fresh(frame: &[u8], scopes: [u8; 8], snapshot: &Snapshot, now: Millis) -> bool {
        Self::parse(frame).is_some_and(|(head, _)| {
            head.run == snapshot.run
                && head.scopes == scopes
                && head.stamps == snapshot.stamps
                && head.fresh_until > now
        })
    }

    /// Appends the head to `frame`.
    ///
    /// # Panics
    ///
    /// If there are more than [`MAX_STAMPS`](Self::MAX_STAMPS) stamps, which `build()` excludes.
    pub fn write(&self, frame: &mut Vec<u8>) {
        let count = u8::try_from(self.stamps.len()).expect("build() bounds the scopes");
        frame.extend_from_slice(&Self::MAGIC);
        frame.extend_from_slice(&self.run.0);
        frame.extend_from_slice(&self.scopes);
        frame.push(count);
        for stamp in &self.stamps {
            frame.extend_from_slice(stamp.as_bytes());
        }
        frame.extend_from_slice(&self.fresh_until.to_be_bytes());
    }

    /// Reads the head and answers it with its length, or `None` if these bytes begin otherwise.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<(Self, usize)> {
        let rest = frame.strip_prefix(&Self::MAGIC)?;
        let (run, rest) = rest.split_first_chunk::<8>()?;
        let (scopes, rest) = rest.split_first_chunk::<8>()?;
        let (&count, rest) = rest.split_first()?;
        let (stamps, rest) = rest.split_at_checked(usize::from(count) * Id::LEN)?;
        let (fresh_until, rest) = rest.split_first_chunk::<8>()?;
        let head = Self {
            run: RunId(*run),
            scopes: *scopes,
            stamps: stamps.chunks_exact(Id::LEN).filter_map(Id::from_slice).collect(),
            fresh_until: Millis::from_be_bytes(*fresh_until),
        };
        Some((head, frame.len() - rest.len()))
    }
}
