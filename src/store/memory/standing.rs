//! How a kept entry's scopes stood when it was last looked up.

use std::sync::Arc;

use parking_lot::RwLock;

use super::scopes::Moves;
use crate::entry::{Generation, Id, Millis};

/// The generations and the epoch of a look-up, with the counts that they were read under: while nothing has
/// moved, the next one is answered the same, without a search for each name.
#[derive(Debug, Default)]
pub(super) struct Standing(RwLock<Option<Stood>>);

/// What was read.
#[derive(Debug)]
pub(super) struct Stood {
    /// Of which scopes ([`crate::key::Names::scopes_digest`]).
    pub(super) scopes: [u8; 8],
    pub(super) generations: Arc<[Generation]>,
    pub(super) epoch: Option<Id>,
    /// Until when, if nothing moves.
    pub(super) until: Millis,
    /// Under which count of the tenant's moves, and of everybody's if they are among the scopes.
    pub(super) of_tenant: (Moves, u64),
    pub(super) of_everybody: Option<(Moves, u64)>,
}

impl Stood {
    fn has_not_moved(&self) -> bool {
        let stands = |(moves, count): &(Moves, u64)| moves.count() == *count;
        stands(&self.of_tenant) && self.of_everybody.as_ref().is_none_or(stands)
    }
}

impl Standing {
    /// What a look-up at `now` finds for these scopes, if that is known.
    pub(super) fn get(
        &self,
        scopes: [u8; 8],
        now: Millis,
    ) -> Option<(Arc<[Generation]>, Option<Id>)> {
        // Whoever would have to wait looks for himself.
        let stood = self.0.try_read()?;
        let stood = stood.as_ref()?;
        let holds = stood.scopes == scopes && now < stood.until && stood.has_not_moved();
        holds.then(|| (Arc::clone(&stood.generations), stood.epoch))
    }

    /// Remembers what was read, if the scopes are open: only then is there something to be found again.
    pub(super) fn set(&self, stood: Stood) {
        if stood.generations.iter().any(|it| it.current().is_none()) {
            return;
        }
        let before = self.0.try_write().map(|mut last| last.replace(stood));
        // Dropped outside the lock.
        drop(before);
    }
}
