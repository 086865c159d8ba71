//! How many bytes all runs together hold of what their clients have not read.
//!
//! A run reads ahead of its client, so that the body can be stored. With many runs and slow clients
//! that would be as many bodies in memory; so there is one bound for all. What is over it is
//! not stored, and comes as fast as its client reads it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that are held now, and how many there may be.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    held: AtomicUsize,
    most: usize,
}

impl ReadAhead {
    pub(crate) fn new(most: usize) -> Self {
        Self { held: AtomicUsize::new(0), most }
    }

    /// Adds bytes that have been read already. Answers whether there is room for more: if not, the
    /// run is to read no further.
    pub(super) fn add(&self, bytes: usize) -> bool {
        self.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most
    }

    /// Takes off bytes that are held no more.
    pub(super) fn sub(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}
