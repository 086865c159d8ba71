//! What the memory store knows of a tenant beside its entries: its scopes, epochs, leases.
//!
//! Each method is one step under the tenant's lock; `now` and the ids come in as arguments.

use super::holdings::Holdings;
use super::scopes::{Map, Minter, Moves, SLOT, Scopes, Timed};
use crate::entry::{Generation, Id, Millis, Snapshot};
use crate::key::Fingerprint;
use crate::store::{LeaseToken, Refusal};

/// What was looked at, and until when it stays as it is if nothing moves.
pub(super) struct Look {
    pub(super) generations: Vec<Generation>,
    pub(super) epoch: Option<Id>,
    pub(super) until: Millis,
}

impl Look {
    /// Where nothing is known.
    pub(super) fn of_nothing(scopes: usize) -> Self {
        Self { generations: vec![Generation::Missing; scopes], epoch: None, until: Millis::MAX }
    }
}
/// All that is known of one tenant.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    pub(super) scopes: Scopes,
    pub(super) holdings: Holdings,
    epochs: Map<Timed<Id>>,
    leases: Map<Timed<(LeaseToken, Snapshot)>>,
    /// Whose entries there may be. Never lost but with all generations.
    configurations: Vec<Fingerprint>,
    sweep_at: usize,
}

/// What a fill has to agree with.
pub(super) struct FillCheck<'a, I> {
    pub(super) scopes: I,
    pub(super) stamps: &'a [Id],
    pub(super) epoch: (&'a str, Id),
    pub(super) lease: (&'a str, Option<LeaseToken>),
}

impl Tenant {
    /// How much it takes, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.scopes.weight() + (self.epochs.len() + self.leases.len()) * SLOT
    }

    /// Forgets what has expired, and half of what can be forgotten. Answers whether nothing is
    /// left.
    pub(super) fn shed(&mut self, now: Millis) -> bool {
        // Which counts as a move of all that is forgotten here.
        self.scopes.shed();
        // A lost epoch refuses the fills under way, a lost lease costs a run.
        self.epochs.retain(|_, _| fastrand::bool());
        self.leases.retain(|_, _| fastrand::bool());
        self.is_idle(now)
    }

    /// The generations of `scopes` and the epoch.
    pub(super) fn look<'a>(
        &self,
        scopes: impl Iterator<Item = &'a str>,
        epoch: &str,
        now: Millis,
    ) -> Look {
        let epoch = self.epochs.get(epoch).filter(|kept| kept.until > now);
        let mut first = epoch.map_or(Millis::MAX, |kept| kept.until);
        let generations = scopes.map(|name| {
            let (generation, until) = self.scopes.generation_until(name, now);
            first = first.min(until);
            generation
        });
        let generations = generations.collect();
        Look { generations, epoch: epoch.map(|kept| kept.value), until: first }
    }

    /// The count of what moves its generations and its epochs.
    pub(super) fn moves(&self) -> &Moves {
        self.scopes.moves()
    }

    pub(super) fn open_epoch(
        &mut self,
        name: &str,
        keep: Millis,
        now: Millis,
        mint: &Minter,
    ) -> Id {
        if let Some(kept) = self.epochs.get_mut(name).filter(|kept| kept.until > now) {
            kept.until = kept.until.max(now + keep);
            kept.value
        } else {
            let value = mint.id();
            self.moves().advance();
            self.epochs.insert(name.into(), Timed { value, until: now + keep });
            value
        }
    }

    /// The ids of the groups with these names, each created if it is missing, provided that the
    /// epoch is still the expected one. Whatever refuses changes nothing.
    pub(super) fn stamp(
        &mut self,
        groups: &[String],
        (epoch, expected): (&str, Id),
        keep: Millis,
        now: Millis,
        mint: &Minter,
    ) -> Result<Box<[Id]>, Refusal> {
        let kept = self.epochs.get(epoch).filter(|kept| kept.until > now);
        if kept.is_none_or(|kept| kept.value != expected) {
            return Err(Refusal::Epoch);
        }
        if groups.iter().any(|name| self.scopes.generation(name, now) == Generation::Closed) {
            return Err(Refusal::Stamp);
        }
        let open = |name: &String| self.scopes.open(name, keep, now, mint).current();
        groups.iter().map(open).collect::<Option<_>>().ok_or(Refusal::Stamp)
    }

    pub(super) fn move_epoch(&mut self, name: &str, mint: &Minter) {
        self.moves().advance();
        if let Some(kept) = self.epochs.get_mut(name) {
            kept.value = mint.id();
        }
    }

    pub(super) fn move_epochs(&mut self, mint: &Minter) {
        self.moves().advance();
        self.epochs.values_mut().for_each(|kept| kept.value = mint.id());
    }

    /// Puts a configuration on the list, and answers whether it was there.
    pub(super) fn join(&mut self, own: Fingerprint) -> bool {
        let known = self.configurations.contains(&own);
        if !known {
            if self.configurations.len() >= Fingerprint::MAX {
                self.configurations = vec![Fingerprint::UNKNOWN];
            }
            self.configurations.push(own);
        }
        known
    }

    /// Whether another configuration may have entries.
    pub(super) fn has_others(&self, own: Fingerprint) -> bool {
        self.configurations.iter().any(|known| *known != own)
    }

    /// Nothing from before is valid any more.
    pub(super) fn has_moved_wholly(&mut self, own: Fingerprint) {
        self.configurations = vec![own];
    }

    /// Takes the lease, unless another token holds it under this very snapshot: that one is the
    /// answer then.
    pub(super) fn lease(
        &mut self,
        entry: &str,
        token: LeaseToken,
        snapshot: &Snapshot,
        ttl: Millis,
        now: Millis,
    ) -> Option<LeaseToken> {
        if let Some(kept) = self.leases.get(entry) {
            let (holder, held_under) = &kept.value;
            if kept.until > now && *holder != token && held_under == snapshot {
                return Some(*holder);
            }
        }
        if self.leases.len() >= self.sweep_at.max(64) {
            self.leases.retain(|_, kept| kept.until > now);
            self.sweep_at = self.leases.len() * 2;
        }
        let lease = Timed { value: (token, snapshot.clone()), until: now + ttl };
        self.leases.insert(entry.into(), lease);
        None
    }

    pub(super) fn renew(
        &mut self,
        entry: &str,
        token: LeaseToken,
        ttl: Millis,
        now: Millis,
    ) -> bool {
        match self.leases.get_mut(entry) {
            Some(kept) if kept.until > now && kept.value.0 == token => {
                kept.until = now + ttl;
                true
            }
            _ => false,
        }
    }

    pub(super) fn release(&mut self, entry: &str, token: LeaseToken, now: Millis) -> bool {
        let held =
            self.leases.get(entry).is_some_and(|kept| kept.until > now && kept.value.0 == token);
        if held {
            self.leases.remove(entry);
        }
        held
    }

    /// Judges a fill. If it is admitted, its generations live as long as the entry and its lease
    /// is gone; the caller stores the entry before it lets go of the tenant.
    pub(super) fn admit_fill<'a>(
        &mut self,
        check: FillCheck<'a, impl Iterator<Item = &'a str> + Clone>,
        ttl: Millis,
        now: Millis,
    ) -> Result<(), Refusal> {
        let (epoch, expected) = check.epoch;
        match self.epochs.get_mut(epoch) {
            Some(kept) if kept.until > now && kept.value == expected => {
                kept.until = kept.until.max(now + ttl);
            }
            _ => return Err(Refusal::Epoch),
        }
        let mut agreed = check.scopes.clone().zip(check.stamps);
        if !agreed.all(|(name, stamp)| {
            self.scopes.generation(name, now).current().as_ref() == Some(stamp)
        }) {
            return Err(Refusal::Stamp);
        }
        let (entry, token) = check.lease;
        if let Some(kept) = self.leases.get(entry).filter(|kept| kept.until > now) {
            if Some(kept.value.0) != token {
                return Err(Refusal::Lease);
            }
            self.leases.remove(entry);
        }
        for name in check.scopes {
            self.scopes.prolong(name, now + ttl);
        }
        Ok(())
    }

    /// Forgets what has expired. Answers whether nothing is left.
    pub(super) fn is_idle(&mut self, now: Millis) -> bool {
        self.scopes.forget_expired(now);
        self.epochs.retain(|_, kept| kept.until > now);
        self.leases.retain(|_, kept| kept.until > now);
        self.scopes.is_empty() && self.epochs.is_empty() && self.leases.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Mode;

    #[test]
    fn whatever_may_change_an_answer_is_counted() {
        type Change<'a> = (&'a str, &'a dyn Fn(&mut Tenant, &Minter));
        let token = LeaseToken([1; 16]);
        let changes: [Change<'_>; 12] = [
            ("a generation", &|it, mint| _ = it.scopes.open("a", 10, 0, mint)),
            ("a move", &|it, mint| _ = it.scopes.advance("a", Mode::Hard, 1, mint)),
            ("a soft move", &|it, mint| _ = it.scopes.advance("a", Mode::Soft, 1, mint)),
            ("a fence", &|it, _| it.scopes.close("a", token, 1, 5)),
            ("its end", &|it, mint| it.scopes.lift("a", token, 2, mint)),
            ("an epoch", &|it, mint| _ = it.open_epoch("!1", 10, 0, mint)),
            ("its move", &|it, mint| it.move_epoch("!1", mint)),
            ("the move of all", &|it, mint| it.move_epochs(mint)),
            ("want of room", &|it, _| _ = it.shed(3)),
            ("another", &|it, mint| _ = it.scopes.open("b", 10, 0, mint)),
            // To a clock that is set back neither was over.
            ("a move after its time", &|it, mint| _ = it.scopes.advance("b", Mode::Hard, 11, mint)),
            ("what is swept", &|it, _| _ = it.is_idle(100)),
        ];
        let mut tenant = Tenant::default();
        let mint = Minter::new(1, [0; 8]);
        for (what, change) in changes {
            let before = tenant.moves().count();
            change(&mut tenant, &mint);
            assert!(tenant.moves().count() > before, "{what}");
        }
    }
}
