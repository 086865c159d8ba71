//! What each tenant holds of the store's entries, and which of them it gives up for its own next one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::Entries;
use super::standing::Standing;
use crate::entry::{Entry, Millis};

/// An entry as it is kept.
///
/// The map answers with clones. A clone shares the bytes and is on nobody's account, so that reading
/// an entry costs one reference; what is read has been of use, which a clone leaves word of.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) held: Arc<Held>,
    pub(super) until: Millis,
    /// Whether it has been read since it was last thought of giving it up.
    used: AtomicBool,
    bytes: u64,
    /// `None` in a clone.
    charge: Option<Arc<Charge>>,
}

/// What is kept of an entry, for all who have found it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) frame: Bytes,
    /// What it says, if it is an entry.
    pub(super) entry: Option<Arc<Entry>>,
    pub(super) standing: Standing,
}

impl Held {
    pub(super) fn new(frame: Bytes, entry: Option<Arc<Entry>>) -> Arc<Self> {
        Arc::new(Self { frame, entry, standing: Standing::default() })
    }
}

impl Kept {
    /// How much it takes, with its name.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_of(&self, charge: &Arc<Charge>) -> bool {
        self.charge.as_ref().is_some_and(|own| Arc::ptr_eq(own, charge))
    }
}

impl Clone for Kept {
    fn clone(&self) -> Self {
        // Read first: a line of memory that many write to is slower than one that many read.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let held = Arc::clone(&self.held);
        Self { held, used: AtomicBool::new(false), charge: None, ..*self }
    }
}

/// What an entry takes: on its tenant's account for as long as it is in the store, whichever way it
/// goes.
#[derive(Debug)]
pub(super) struct Charge {
    bytes: u64,
    account: Arc<Account>,
    shelf: Arc<Shelf>,
}

impl Charge {
    fn new(bytes: u64, account: &Arc<Account>, shelf: &Arc<Shelf>) -> Arc<Self> {
        shelf.0.fetch_add(bytes, Ordering::Relaxed);
        account.bytes.fetch_add(bytes, Ordering::Relaxed);
        account.entries.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { bytes, account: Arc::clone(account), shelf: Arc::clone(shelf) })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shelf.0.fetch_sub(self.bytes, Ordering::Relaxed);
        self.account.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.account.entries.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Account {
    bytes: AtomicU64,
    entries: AtomicUsize,
}

/// How many bytes are in one part of the store. Each part has its share of the room to itself.
#[derive(Debug, Default)]
pub(super) struct Shelf(AtomicU64);

/// A place in the store for an entry to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room<'a> {
    pub(super) entries: &'a Entries,
    pub(super) shelves: &'a [Arc<Shelf>],
    /// On which of them the entry will be.
    pub(super) at: usize,
    pub(super) share: Share,
}

/// The entries of one tenant.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    account: Arc<Account>,
    /// For each shelf: what came first before what came later, or was of use. Some are gone.
    queues: Vec<VecDeque<(Arc<str>, Weak<Charge>)>>,
    /// How many there are in the queues.
    queued: usize,
}

/// How much one tenant may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) bytes: u64,
    /// Whether it is the most in any case, or only where there is no room.
    pub(super) is_strict: bool,
}

/// How many entries one fill passes by at most since they were of use. What it gives up needs no bound:
/// each has been filled once.
const CHANCES: usize = 64;

impl Holdings {
    /// How many bytes of names and entries they are.
    pub(super) fn bytes(&self) -> u64 {
        self.account.bytes.load(Ordering::Relaxed)
    }

    /// Puts an entry of so many bytes on the account, and into the store under this name. Answers
    /// whether it is there.
    pub(super) fn put(
        &mut self,
        name: &str,
        (held, until): (Arc<Held>, Millis),
        bytes: u64,
        room: Room<'_>,
    ) -> bool {
        let name: Arc<str> = name.into();
        let charge = Charge::new(bytes, &self.account, &room.shelves[room.at]);
        let weak = Arc::downgrade(&charge);
        let used = AtomicBool::new(false);
        let kept = Kept { held, until, used, bytes, charge: Some(charge) };
        room.entries.insert(Arc::clone(&name), kept);
        let is_there = weak.strong_count() > 0;
        if is_there {
            self.note(name, weak, room);
        }
        is_there
    }

    fn note(&mut self, name: Arc<str>, charge: Weak<Charge>, room: Room<'_>) {
        let live = self.account.entries.load(Ordering::Relaxed);
        if self.queued > 2 * live + CHANCES {
            for queue in &mut self.queues {
                queue.retain(|(_, charge)| charge.strong_count() > 0);
            }
            self.queued = self.queues.iter().map(VecDeque::len).sum();
        }
        self.queues.resize_with(room.shelves.len(), VecDeque::new);
        self.queues[room.at].push_back((name, charge));
        self.queued += 1;
    }

    /// Gives up entries until there is room for one of so many bytes, which takes the place of what
    /// has its name. Answers whether there may be so much at all.
    pub(super) fn make_room(
        &mut self,
        name: &str,
        bytes: u64,
        room: Room<'_>,
        now: Millis,
    ) -> bool {
        let Room { entries, shelves, at, share } = room;
        if share.is_strict && bytes > share.bytes {
            return false;
        }
        let mut chances = CHANCES;
        let mut old = entries.peek(name).map_or(0, |kept| kept.bytes());
        loop {
            let needed = |held: u64| held.saturating_sub(old).saturating_add(bytes);
            let held = self.bytes();
            if needed(held) <= share.bytes {
                return true;
            }
            if !share.is_strict {
                let on_shelf = shelves[at].0.load(Ordering::Relaxed);
                // Who is alone in the store takes nothing from others.
                let is_alone = entries.weight() <= held;
                if is_alone || needed(on_shelf) <= entries.shard_capacity() {
                    return true;
                }
            }
            let mut given_up = self.give_one_up(at, &mut chances, now, entries);
            if given_up.is_none() && share.is_strict {
                given_up = (0..shelves.len())
                    .find_map(|other| self.give_one_up(other, &mut chances, now, entries));
            }
            let Some(given_up) = given_up else { return !share.is_strict };
            if *given_up == *name {
                old = 0;
            }
        }
    }

    /// Takes all of them out of the store.
    pub(super) fn give_all_up(&mut self, entries: &Entries) {
        self.queued = 0;
        for (name, charge) in self.queues.drain(..).flatten() {
            if let Some(charge) = charge.upgrade() {
                entries.remove_if(&*name, |kept| kept.is_of(&charge));
            }
        }
    }

    /// Answers the name of what it gave up, if there was anything on this shelf.
    fn give_one_up(
        &mut self,
        at: usize,
        chances: &mut usize,
        now: Millis,
        entries: &Entries,
    ) -> Option<Arc<str>> {
        let queue = self.queues.get_mut(at)?;
        while let Some((name, weak)) = queue.pop_front() {
            self.queued -= 1;
            let Some(charge) = weak.upgrade() else { continue };
            let mut spared = false;
            let given_up = entries.remove_if(&*name, |kept| {
                // Another may have come in its place.
                let is_it = kept.is_of(&charge);
                let was_of_use = kept.until > now && kept.used.swap(false, Ordering::Relaxed);
                spared = is_it && was_of_use && *chances > 0;
                is_it && !spared
            });
            if spared {
                *chances -= 1;
                queue.push_back((name, weak));
                self.queued += 1;
            } else if given_up.is_some() {
                return Some(name);
            }
        }
        None
    }
}
