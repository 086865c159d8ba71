//! The values of a scope's parameters, found in a key.

/// The most parameters that a scope has.
pub const MAX_PARAMS: usize = 8;

/// The values of a scope's parameters, in the order of
/// [`ScopeTemplate::params`](super::ScopeTemplate::params), as slices of the key they were found in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Captures<'k> {
    values: [&'k str; MAX_PARAMS],
    len: usize,
}

impl<'k> Captures<'k> {
    /// The values.
    pub fn values(&self) -> &[&'k str] {
        &self.values[..self.len]
    }

    /// The value of the parameter with this number.
    pub fn value(&self, index: usize) -> Option<&'k str> {
        self.values().get(index).copied()
    }

    /// Templates have at most [`MAX_PARAMS`] parameters, which their parsers see to.
    pub(super) fn push(&mut self, value: &'k str) {
        debug_assert!(self.len < MAX_PARAMS);
        if let Some(slot) = self.values.get_mut(self.len) {
            *slot = value;
            self.len += 1;
        }
    }
}
