//! Sets of bytes, for classes in patterns and for what a value can hold.

use super::encode::is_unreserved;

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) const EMPTY: Self = Self([0; 4]);
    pub(super) const ALL: Self = Self([u64::MAX; 4]);

    /// What [`encode`](super::encode()) writes.
    pub(super) const ENCODED: Self = {
        let mut set = Self::EMPTY.with(b'%');
        let mut byte = 0;
        while byte < 128 {
            if is_unreserved(byte) {
                set = set.with(byte);
            }
            byte += 1;
        }
        set
    };

    /// What a parameter's text can hold: beside encoded text the signs of
    /// [`template_value`](super::template_value).
    pub(super) const VALUE: Self = Self::ENCODED.with(b'+').with(b',').with(b'=');

    /// What a path of several segments can hold.
    pub(super) const PATH: Self = Self::ENCODED.with(b'/');

    /// What a normalised query can hold.
    pub(super) const QUERY: Self = Self::ENCODED.with(b'+').with(b'=').with(b'&');

    pub(super) const fn with(mut self, byte: u8) -> Self {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
        self
    }

    pub(super) const fn without(mut self, byte: u8) -> Self {
        self.0[(byte >> 6) as usize] &= !(1 << (byte & 63));
        self
    }

    pub(super) const fn contains(&self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] & (1 << (byte & 63)) != 0
    }

    pub(super) fn insert(&mut self, byte: u8) {
        *self = self.with(byte);
    }

    pub(super) fn complement(self) -> Self {
        Self(self.0.map(|word| !word))
    }

    pub(super) fn intersects(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).any(|(a, b)| a & b != 0)
    }

    pub(super) fn is_subset(&self, other: &Self) -> bool {
        !self.intersects(&other.complement())
    }
}
