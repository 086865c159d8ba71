//! What tells one configuration from another.

use std::fmt;

use twox_hash::XxHash3_64;

/// A digest of all that decides which keys there are, which scopes they have and which writes move
/// them. Two instances with the same one see the same; during a rolling deploy there are two.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; Self::LEN]);

impl Fingerprint {
    /// Its length in bytes.
    pub const LEN: usize = 8;

    /// In a list of fingerprints, stands for any number of unknown ones.
    pub const UNKNOWN: Self = Self([0; Self::LEN]);

    /// The most of them that are told apart in one list; with more they are unknown.
    pub const MAX: usize = 8;

    /// The fingerprint of a configuration that `text` describes.
    #[must_use]
    pub fn of(text: &str) -> Self {
        // None is the one that stands for the unknown.
        Self(XxHash3_64::oneshot(text.as_bytes()).max(1).to_be_bytes())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// What a key's names owe to a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Configured {
    /// A digest of what of a request is in the key. Under two of them one text may stand for answers to
    /// different requests.
    pub layout: u64,
    /// The whole configuration, if it counts who else fills entries of the tenant.
    pub fingerprint: Option<Fingerprint>,
}
