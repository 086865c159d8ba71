//! Look-ups of one moment go to the server as one command.
//!
//! While several are under way, those that come are gathered until the runtime has done what else there
//! was to do, and are sent together. What several of them ask for is asked once: the keys of a tenant
//! have scopes in common. A look-up never joins a command that has been sent, so whatever it is
//! answered was read after it began.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use bb8_redis::redis::{Cmd, Value};
use bytes::Bytes;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use twox_hash::XxHash3_64;

use super::connection::Life;
use super::failure::Failure;
use super::pool::Links;
use crate::entry::RunId;
use crate::store::StoreErrorKind;

/// While no more than so many are under way, each goes by itself: to gather them would cost more than it
/// saves.
const FEW: usize = 3;

/// How many look-ups one command answers. A server does nothing else meanwhile.
const MOST: usize = 64;

/// How many bytes one reply has, as far as that can be foreseen: nobody has his answer before its last
/// one has come.
const MOST_BYTES: usize = 256 << 10;

/// For how long look-ups go by themselves after one was given up, in milliseconds: what kept it from
/// being answered, such as a value that is too large, must not keep others from it, and must show.
const APART: u64 = 1000;

/// The look-ups of one node, or of one slot of it, that wait to be sent.
pub(super) struct Gather {
    links: Arc<Links>,
    runtime: Handle,
    under_way: AtomicUsize,
    open: Mutex<Option<Arc<Round>>>,
    /// How many bytes the answer to one look-up has had of late.
    bytes: AtomicUsize,
    began: Instant,
    /// Until when each goes by itself: milliseconds since then.
    apart_until: AtomicU64,
}

/// The look-ups that are sent together.
struct Round {
    /// What they ask for, until it is sent.
    wanted: Mutex<Option<Wanted>>,
    /// How many still wait.
    waiting: AtomicUsize,
    /// The connection through which it was sent.
    life: OnceLock<Weak<Life>>,
    /// Of the reply; without a failure nobody has asked.
    answer: OnceLock<Result<Arc<Reply>, Option<Failure>>>,
    done: Notify,
}

/// What is asked for, each name once.
#[derive(Default)]
struct Wanted {
    lookups: usize,
    buffer: String,
    /// For each name where it ends, and whether it is an entry's.
    names: Vec<(usize, bool)>,
    places: HashTable<u32>,
}

/// What the server has replied to one command.
struct Reply {
    parts: Vec<Part>,
    run: RunId,
    source: u64,
    address: Arc<str>,
}

enum Part {
    Nothing,
    /// What is there is shared by all who asked for it.
    Entry(Bytes),
    Stamp(Vec<u8>),
}

/// What one look-up has got of a reply.
pub(super) struct Gathered {
    reply: Arc<Reply>,
    places: Places,
}

/// Where the names of one look-up are among those of its round.
type Places = SmallVec<[u32; 8]>;

/// A look-up that is under way.
pub(super) struct UnderWay<'a>(&'a Gather);

impl Gather {
    /// Must be called within a Tokio runtime, which is the one that sends.
    pub(super) fn new(links: Arc<Links>) -> Arc<Self> {
        Self::within(links, Handle::current())
    }

    /// Another one, of the same server and runtime.
    pub(super) fn another(&self) -> Arc<Self> {
        Self::within(Arc::clone(&self.links), self.runtime.clone())
    }

    fn within(links: Arc<Links>, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            links,
            runtime,
            under_way: AtomicUsize::new(0),
            open: Mutex::new(None),
            bytes: AtomicUsize::new(0),
            began: Instant::now(),
            apart_until: AtomicU64::new(0),
        })
    }

    /// A look-up begins. Answers whether it had better be sent together with others.
    pub(super) fn begin(&self) -> (UnderWay<'_>, bool) {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let many = before >= FEW
            && self.room() > 1
            && self.now() >= self.apart_until.load(Ordering::Relaxed);
        (UnderWay(self), many)
    }

    /// How many look-ups there may be in a round.
    fn room(&self) -> usize {
        (MOST_BYTES / self.bytes.load(Ordering::Relaxed).max(1)).min(MOST)
    }

    /// So many look-ups were answered with so many bytes. Large answers are foreseen at once, small ones
    /// after some.
    fn learn(&self, lookups: usize, bytes: usize) {
        let (known, mean) = (self.bytes.load(Ordering::Relaxed), bytes / lookups.max(1));
        self.bytes.store(mean.max(known - known / 8), Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - APART)
    }

    /// Reads what has these names, of each of which is said whether it is an entry's, together with what
    /// others read here. `None` if it had better be asked for alone: nobody has sent it, or the server
    /// refuses what may be another's.
    ///
    /// # Dropping
    ///
    /// Leaves the others alone. What nobody waits for any more is not sent.
    pub(super) async fn read<'a>(
        self: &Arc<Self>,
        names: impl Iterator<Item = (&'a str, bool)>,
    ) -> Result<Option<Gathered>, Failure> {
        let (waiter, places) = self.join(names);
        let round = &waiter.round;
        loop {
            let mut done = pin!(round.done.notified());
            done.as_mut().enable();
            match round.answer.get() {
                None => done.await,
                Some(Ok(reply)) => return Ok(Some(Gathered { reply: Arc::clone(reply), places })),
                Some(Err(None)) => return Ok(None),
                Some(Err(Some(failure))) if failure.kind == StoreErrorKind::Refused => {
                    return Ok(None);
                }
                Some(Err(Some(failure))) => return Err(failure.clone()),
            }
        }
    }

    fn join<'a>(
        self: &Arc<Self>,
        names: impl Iterator<Item = (&'a str, bool)>,
    ) -> (Waiter, Places) {
        let mut open = self.open.lock();
        if let Some(round) = &*open
            && let Some(wanted) = &mut *round.wanted.lock()
            && wanted.lookups < self.room()
        {
            round.waiting.fetch_add(1, Ordering::Relaxed);
            return (self.waiter(round), wanted.add(names));
        }
        let mut wanted = Wanted::default();
        let places = wanted.add(names);
        let round = Arc::new(Round {
            wanted: Mutex::new(Some(wanted)),
            waiting: AtomicUsize::new(1),
            life: OnceLock::new(),
            answer: OnceLock::new(),
            done: Notify::new(),
        });
        *open = Some(Arc::clone(&round));
        drop(open);
        self.runtime.spawn(send(Arc::clone(self), Sender(Arc::clone(&round))));
        (self.waiter(&round), places)
    }

    fn waiter(self: &Arc<Self>, round: &Arc<Round>) -> Waiter {
        Waiter { gather: Arc::clone(self), round: Arc::clone(round) }
    }

    /// Takes what a round asks for, so that nobody joins it any more; nothing if nobody waits for it.
    fn take(&self, round: &Arc<Round>) -> Option<Wanted> {
        let mut open = self.open.lock();
        // Nor is its reply kept longer than somebody wants it.
        if open.as_ref().is_some_and(|last| Arc::ptr_eq(last, round)) {
            *open = None;
        }
        let wanted = round.wanted.lock().take();
        wanted.filter(|_| round.waiting.load(Ordering::Relaxed) > 0)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn send(gather: Arc<Gather>, sender: Sender) {
    let round = &sender.0;
    let link = gather.links.link().await;
    // Whoever is ready to run may have something to look up.
    tokio::task::yield_now().await;
    let Some(wanted) = gather.take(round) else { return };
    let read = async {
        let mut link = link?;
        let _ = round.life.set(link.life());
        let Value::Array(values) = link.read(wanted.command()).await? else {
            return Err(link.nonsense("MGET"));
        };
        if values.len() != wanted.names.len() {
            return Err(link.nonsense("MGET"));
        }
        let mut bytes = 0;
        let parts =
            values.into_iter().zip(&wanted.names).map(|(value, (_, is_entry))| match value {
                Value::BulkString(value) if *is_entry => {
                    bytes += value.len();
                    Part::Entry(value.into())
                }
                Value::BulkString(value) => Part::Stamp(value),
                _ => Part::Nothing,
            });
        let parts = parts.collect();
        gather.learn(wanted.lookups, bytes);
        let address = Arc::clone(link.address());
        Ok(Reply { parts, run: link.run(), source: link.id(), address })
    };
    let answer = read.await;
    sender.answer(answer.map(Arc::new).map_err(Some));
}

/// One who waits for a round.
struct Waiter {
    gather: Arc<Gather>,
    round: Arc<Round>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.round.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.round.answer.get().is_some() {
            return;
        }
        // It was given up.
        if let Some(life) = self.round.life.get() {
            let until = self.gather.now() + APART;
            self.gather.apart_until.store(until, Ordering::Relaxed);
            if let Some(life) = life.upgrade() {
                life.give_up();
            }
        }
    }
}

/// Answers a round, whatever becomes of it.
struct Sender(Arc<Round>);

impl Sender {
    fn answer(&self, answer: Result<Arc<Reply>, Option<Failure>>) {
        let _ = self.0.answer.set(answer);
        self.0.done.notify_waiters();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.0.answer.get().is_none() {
            self.0.wanted.lock().take();
            // The runtime has ended, or nobody waits.
            self.answer(Err(None));
        }
    }
}

impl Wanted {
    fn add<'a>(&mut self, names: impl Iterator<Item = (&'a str, bool)>) -> Places {
        self.lookups += 1;
        names.map(|(name, is_entry)| self.place(name, is_entry)).collect()
    }

    /// Where the name is, once it is there.
    fn place(&mut self, name: &str, is_entry: bool) -> u32 {
        let Self { buffer, names, places, .. } = self;
        let at = |place: u32| {
            let place = place as usize;
            let start = place.checked_sub(1).map_or(0, |before| names[before].0);
            &buffer[start..names[place].0]
        };
        let hash = |name: &str| XxHash3_64::oneshot(name.as_bytes());
        match places.entry(hash(name), |place| at(*place) == name, |place| hash(at(*place))) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(slot) => {
                // A round has a few hundred names at most.
                let place = u32::try_from(names.len()).unwrap_or(u32::MAX);
                slot.insert(place);
                buffer.push_str(name);
                names.push((buffer.len(), is_entry));
                place
            }
        }
    }

    fn command(&self) -> Cmd {
        let count = self.names.len();
        let mut command = Cmd::with_capacity(1 + count, self.buffer.len() + 16);
        command.arg("MGET");
        let mut start = 0;
        for (end, _) in &self.names {
            command.arg(&self.buffer[start..*end]);
            start = *end;
        }
        command
    }
}

impl Gathered {
    /// The run, the connection and the server that have answered.
    pub(super) fn by(&self) -> (RunId, u64, &Arc<str>) {
        (self.reply.run, self.reply.source, &self.reply.address)
    }

    /// The entry, if it was asked for as the first of the names, and is there.
    pub(super) fn entry(&self) -> Option<Bytes> {
        match self.part(0) {
            Part::Entry(bytes) => Some(bytes.clone()),
            Part::Nothing | Part::Stamp(_) => None,
        }
    }

    /// What is stored under the name at this place, if that is no entry's.
    pub(super) fn stamp(&self, at: usize) -> Option<&[u8]> {
        match self.part(at) {
            Part::Stamp(bytes) => Some(bytes),
            Part::Nothing | Part::Entry(_) => None,
        }
    }

    fn part(&self, at: usize) -> &Part {
        let place = self.places.get(at).map_or(usize::MAX, |place| *place as usize);
        self.reply.parts.get(place).unwrap_or(&Part::Nothing)
    }
}
