//! What the memory store knows of a tenant beside its entries: generations, fences, epochs, leases.
//!
//! Each method is one step under the tenant's lock; `now` and the ids come in as arguments.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use super::holdings::Holdings;
use crate::entry::{Generation, Id, Millis, Snapshot};
use crate::key::Fingerprint;
use crate::store::{LeaseToken, Mode, Refusal};

/// By name. Names are for clients to pick, hence the seed, which each map has for itself.
type Map<T> = HashMap<Box<str>, T, RandomState>;

/// The ids that one attempt mints, each another.
pub(super) struct Minter {
    micros: Cell<u64>,
    nonce: [u8; 8],
}

impl Minter {
    pub(super) fn new(micros: u64, nonce: [u8; 8]) -> Self {
        Self { micros: Cell::new(micros), nonce }
    }

    fn id(&self) -> Id {
        let micros = self.micros.get();
        self.micros.set(micros + 1);
        Id::mint(micros, self.nonce)
    }
}

/// A value that is gone after its time.
#[derive(Clone, Debug)]
struct Timed<T> {
    value: T,
    until: Millis,
}

/// Generations and fences by name.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    generations: Map<Timed<Generation>>,
    fences: Map<Vec<(LeaseToken, Millis)>>,
    /// What the generations' names and slots take, in bytes.
    weight: usize,
    sweep_at: usize,
    moves: Moves,
}

/// Counts whatever makes another answer of what was looked at, but for the passing of time, under the lock of
/// what is looked at: who finds it as it was knows the answer until its time, and needs no lock.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves(Arc<AtomicU64>);

impl Moves {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The counter, and what it says now.
    pub(super) fn counted(&self) -> (Self, u64) {
        (self.clone(), self.count())
    }

    fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

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

/// What the maps need for a generation beside its name, roughly.
const SLOT: usize = 160;

impl Scopes {
    pub(super) fn generation(&self, name: &str, now: Millis) -> Generation {
        self.generation_until(name, now).0
    }

    /// The generation, and until when it stays if nothing moves it.
    pub(super) fn generation_until(&self, name: &str, now: Millis) -> (Generation, Millis) {
        match self.generations.get(name) {
            Some(kept) if kept.until > now => (kept.value, kept.until),
            _ => (Generation::Missing, Millis::MAX),
        }
    }

    /// The count of its moves.
    pub(super) fn moves(&self) -> &Moves {
        &self.moves
    }

    /// The generation, created if it is missing: closed if the scope has live tokens.
    pub(super) fn open(
        &mut self,
        name: &str,
        keep: Millis,
        now: Millis,
        mint: &Minter,
    ) -> Generation {
        self.sweep(now);
        let found = self.generation(name, now);
        let (value, until) = match found {
            Generation::Missing => match self.latest_deadline(name, now) {
                Some(deadline) => (Generation::Closed, deadline),
                None => (fresh(mint.id()), now + keep),
            },
            Generation::Closed => return found,
            Generation::Open { .. } => {
                self.prolong(name, now + keep);
                return found;
            }
        };
        self.put(name, Timed { value, until });
        value
    }

    /// Makes the generation live until `until` at least.
    pub(super) fn prolong(&mut self, name: &str, until: Millis) {
        if let Some(kept) = self.generations.get_mut(name) {
            kept.until = kept.until.max(until);
        }
    }

    /// Moves the generation if there is one. A closed one stays closed, for as long as it was.
    pub(super) fn advance(&mut self, name: &str, mode: Mode, now: Millis, mint: &Minter) -> bool {
        let Some(kept) = self.generations.get_mut(name) else { return false };
        self.moves.advance();
        if kept.until <= now {
            // Not only passed over: a clock that is set back would find it again, as it was.
            self.generations.remove(name);
            self.weight = self.weight.saturating_sub(name.len() + SLOT);
            return false;
        }
        if let Generation::Open { current, behind } = kept.value {
            kept.value = match mode {
                Mode::Hard => fresh(mint.id()),
                Mode::Soft => Generation::Open {
                    current: mint.id(),
                    behind: [Some(current), behind[0], behind[1]],
                },
            };
        }
        true
    }

    /// Adds a token and closes the scope until the latest deadline.
    pub(super) fn close(&mut self, name: &str, token: LeaseToken, now: Millis, deadline: Millis) {
        self.sweep(now);
        let tokens = self.fences.entry(name.into()).or_default();
        tokens.retain(|(held, until)| *held != token && *until > now);
        tokens.push((token, deadline));
        let until = tokens.iter().map(|(_, until)| *until).max().unwrap_or(deadline);
        self.put(name, Timed { value: Generation::Closed, until });
    }

    /// Whether the scope's fence has this token.
    pub(super) fn is_closed_by(&self, name: &str, token: LeaseToken) -> bool {
        let tokens = self.fences.get(name);
        tokens.is_some_and(|tokens| tokens.iter().any(|(held, _)| *held == token))
    }

    /// Takes the token off, and opens the scope if it was there and no other is left.
    pub(super) fn lift(&mut self, name: &str, token: LeaseToken, now: Millis, mint: &Minter) {
        // How long a generation that opens here lives if nothing is filled under it.
        const REOPENED: Millis = 3_600_000;
        let mut found = false;
        if let Some(tokens) = self.fences.get_mut(name) {
            found = tokens.iter().any(|(held, _)| *held == token);
            tokens.retain(|(held, until)| *held != token && *until > now);
            if let Some(until) = tokens.iter().map(|(_, until)| *until).max() {
                self.put(name, Timed { value: Generation::Closed, until });
                return;
            }
            self.fences.remove(name);
        }
        if !found {
            // Not this token's to open.
            self.advance(name, Mode::Hard, now, mint);
            return;
        }
        let until = now + REOPENED;
        self.put(name, Timed { value: fresh(mint.id()), until });
    }

    fn latest_deadline(&self, name: &str, now: Millis) -> Option<Millis> {
        let tokens = self.fences.get(name)?;
        tokens.iter().map(|(_, until)| *until).filter(|until| *until > now).max()
    }

    /// Forgets what has expired, each time the number of generations has doubled.
    fn sweep(&mut self, now: Millis) {
        if self.generations.len() >= self.sweep_at.max(64) {
            self.forget_expired(now);
            self.sweep_at = self.generations.len() * 2;
        }
    }

    fn put(&mut self, name: &str, generation: Timed<Generation>) {
        self.moves.advance();
        if self.generations.insert(name.into(), generation).is_none() {
            self.weight += name.len() + SLOT;
        }
    }

    /// Forgets half of the open generations: what was stored under them is not valid any more.
    /// Closed ones stay, since somebody is writing.
    fn shed(&mut self) {
        self.moves.advance();
        self.generations.retain(|_, kept| kept.value == Generation::Closed || fastrand::bool());
        self.weigh();
    }

    fn weigh(&mut self) {
        self.weight = self.generations.keys().map(|name| name.len() + SLOT).sum();
    }

    fn forget_expired(&mut self, now: Millis) {
        // To a clock that is set back they have not expired.
        self.moves.advance();
        self.generations.retain(|_, kept| kept.until > now);
        self.weigh();
        self.fences.retain(|_, tokens| tokens.iter().any(|(_, until)| *until > now));
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
        self.scopes.weight + (self.epochs.len() + self.leases.len()) * SLOT
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
        self.scopes.generations.is_empty()
            && self.scopes.fences.is_empty()
            && self.epochs.is_empty()
            && self.leases.is_empty()
    }
}

fn fresh(current: Id) -> Generation {
    Generation::Open { current, behind: [None; Generation::SOFT] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_alone_do_not_fill_the_memory() {
        let mut scopes = Scopes::default();
        for now in 0..100_000 {
            // As held after a write that was lost: nobody lifts it, and nobody reads.
            scopes.close(&format!("path:/users/{now}"), LeaseToken::random(), now, now + 10);
        }
        assert!(scopes.generations.len() < 200, "{}", scopes.generations.len());
        assert!(scopes.fences.len() < 200, "{}", scopes.fences.len());
    }

    #[test]
    fn whatever_may_change_an_answer_is_counted() {
        type Change<'a> = (&'a str, &'a dyn Fn(&mut Tenant, &Minter));
        let token = LeaseToken([1; 16]);
        let changes: [Change<'_>; 11] = [
            ("a generation", &|it, mint| _ = it.scopes.open("a", 10, 0, mint)),
            ("a move", &|it, mint| _ = it.scopes.advance("a", Mode::Hard, 1, mint)),
            ("a soft move", &|it, mint| _ = it.scopes.advance("a", Mode::Soft, 1, mint)),
            ("a fence", &|it, _| it.scopes.close("a", token, 1, 5)),
            ("its end", &|it, mint| it.scopes.lift("a", token, 2, mint)),
            ("an epoch", &|it, mint| _ = it.open_epoch("!1", 10, 0, mint)),
            ("its move", &|it, mint| it.move_epoch("!1", mint)),
            ("the move of all", &|it, mint| it.move_epochs(mint)),
            ("want of room", &|it, _| _ = it.shed(3)),
            // To a clock that is set back neither was over.
            ("a move after its time", &|it, mint| {
                it.scopes.open("b", 10, 0, mint);
                it.scopes.moves().0.store(0, Ordering::Relaxed);
                it.scopes.advance("b", Mode::Hard, 11, mint);
            }),
            ("what is swept", &|it, _| _ = it.is_idle(100)),
        ];
        let mut tenant = Tenant::default();
        let mint = Minter::new(1, [0; 8]);
        for (what, change) in changes {
            tenant.moves().0.store(0, Ordering::Relaxed);
            change(&mut tenant, &mint);
            assert!(tenant.moves().count() > 0, "{what}");
        }
    }
}
