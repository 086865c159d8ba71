//! What the memory store knows of scopes: generations and fences by name.
//!
//! Each method is one step under the lock of whose scopes they are; `now` and the ids come in as arguments.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;

use crate::entry::{Generation, Id, Millis};
use crate::store::{LeaseToken, Mode};

/// By name. Names are for clients to pick, hence the seed, which each map has for itself.
pub(super) type Map<T> = HashMap<Box<str>, T, RandomState>;

/// The ids that one attempt mints, each another.
pub(super) struct Minter {
    micros: Cell<u64>,
    nonce: [u8; 8],
}

impl Minter {
    pub(super) fn new(micros: u64, nonce: [u8; 8]) -> Self {
        Self { micros: Cell::new(micros), nonce }
    }

    pub(super) fn id(&self) -> Id {
        let micros = self.micros.get();
        self.micros.set(micros + 1);
        Id::mint(micros, self.nonce)
    }
}

/// A value that is gone after its time.
#[derive(Clone, Debug)]
pub(super) struct Timed<T> {
    pub(super) value: T,
    pub(super) until: Millis,
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

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

/// What the maps need for a generation beside its name, roughly.
pub(super) const SLOT: usize = 160;

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

    /// How much the generations take, in bytes, roughly.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.generations.is_empty() && self.fences.is_empty()
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
    pub(super) fn shed(&mut self) {
        self.moves.advance();
        self.generations.retain(|_, kept| kept.value == Generation::Closed || fastrand::bool());
        self.weigh();
    }

    fn weigh(&mut self) {
        self.weight = self.generations.keys().map(|name| name.len() + SLOT).sum();
    }

    pub(super) fn forget_expired(&mut self, now: Millis) {
        // To a clock that is set back they have not expired.
        self.moves.advance();
        self.generations.retain(|_, kept| kept.until > now);
        self.weigh();
        self.fences.retain(|_, tokens| tokens.iter().any(|(_, until)| *until > now));
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
}
