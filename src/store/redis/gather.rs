//! Look-ups of one moment go to the server as one command.
//!
//! While several are under way, those that come are gathered until the runtime has done what else there
//! was to do, and are sent together. What several of them ask for is asked once: the keys of a tenant
//! have scopes in common. A look-up never joins a command that has been sent, so whatever it is
//! answered was read after it began.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bb8_redis::redis::{Cmd, Value};
use bytes::Bytes;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use xxhash_rust::xxh3::xxh3_64;

use super::connection::Life;
use super::failure::Failure;
use super::node::Node;
use crate::entry::RunId;
use crate::key::Names;
use crate::store::StoreErrorKind;

/// So many look-ups at once are sent each by itself: to gather them would cost more than it saves.
const FEW: usize = 3;

/// How many look-ups one command answers. A server does nothing else meanwhile.
const MOST: usize = 64;

/// The look-ups of one node that wait to be sent.
pub(super) struct Gather {
    runtime: Handle,
    under_way: AtomicUsize,
    open: Mutex<Option<Arc<Round>>>,
}

/// The look-ups that are sent together.
struct Round {
    /// What they ask for, until it is sent.
    wanted: Mutex<Option<Wanted>>,
    /// The connection through which it was sent.
    life: OnceLock<Weak<Life>>,
    answer: OnceLock<Result<Arc<Reply>, Failure>>,
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
    /// Must be called within a Tokio runtime.
    pub(super) fn new() -> Self {
        Self { runtime: Handle::current(), under_way: AtomicUsize::new(0), open: Mutex::new(None) }
    }

    /// A look-up begins. Answers whether it had better be sent together with others.
    pub(super) fn begin(&self) -> (UnderWay<'_>, bool) {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        (UnderWay(self), before >= FEW)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads the entry of a key, if it is wanted, the first `count` of its scopes and its epoch, in this
/// order, together with what others read from this node.
///
/// # Dropping
///
/// Leaves the others alone. What has been gathered is sent all the same.
pub(super) async fn read(
    node: &Arc<Node>,
    names: &Names,
    with_entry: bool,
    count: usize,
) -> Result<Gathered, Failure> {
    let (round, places) = join(node, names, with_entry, count);
    let mut waiter = Waiter(Some(&round));
    loop {
        let mut done = pin!(round.done.notified());
        done.as_mut().enable();
        if let Some(answer) = round.answer.get() {
            waiter.0 = None;
            return answer.clone().map(|reply| Gathered { reply, places });
        }
        done.await;
    }
}

fn join(node: &Arc<Node>, names: &Names, with_entry: bool, count: usize) -> (Arc<Round>, Places) {
    let mut open = node.gather.open.lock();
    if let Some(round) = &*open
        && let Some(wanted) = &mut *round.wanted.lock()
        && wanted.lookups < MOST
    {
        return (Arc::clone(round), wanted.add(names, with_entry, count));
    }
    let mut wanted = Wanted::default();
    let places = wanted.add(names, with_entry, count);
    let round = Arc::new(Round {
        wanted: Mutex::new(Some(wanted)),
        life: OnceLock::new(),
        answer: OnceLock::new(),
        done: Notify::new(),
    });
    *open = Some(Arc::clone(&round));
    drop(open);
    let sender = Sender(Arc::clone(&round));
    node.gather.runtime.spawn(send(Arc::clone(node), sender));
    (round, places)
}

async fn send(node: Arc<Node>, sender: Sender) {
    let round = &sender.0;
    let link = node.links.link().await;
    // Whoever is ready to run may have something to look up.
    tokio::task::yield_now().await;
    let Some(wanted) = round.wanted.lock().take() else { return };
    let read = async {
        let mut link = link?;
        let _ = round.life.set(link.life());
        let Value::Array(values) = link.read(wanted.command()).await? else {
            return Err(link.nonsense("MGET"));
        };
        if values.len() != wanted.names.len() {
            return Err(link.nonsense("MGET"));
        }
        let parts =
            values.into_iter().zip(&wanted.names).map(|(value, (_, is_entry))| match value {
                Value::BulkString(bytes) if *is_entry => Part::Entry(bytes.into()),
                Value::BulkString(bytes) => Part::Stamp(bytes),
                _ => Part::Nothing,
            });
        let address = Arc::clone(link.address());
        Ok(Reply { parts: parts.collect(), run: link.run(), source: link.id(), address })
    };
    let answer = read.await;
    sender.answer(answer.map(Arc::new));
}

/// One who waits for a round. Dropped before, the round was given up.
struct Waiter<'a>(Option<&'a Round>);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let life = self.0.and_then(|round| round.life.get()).and_then(Weak::upgrade);
        if let Some(life) = life {
            life.give_up();
        }
    }
}

/// Answers a round, whatever becomes of it.
struct Sender(Arc<Round>);

impl Sender {
    fn answer(&self, answer: Result<Arc<Reply>, Failure>) {
        let _ = self.0.answer.set(answer);
        self.0.done.notify_waiters();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if self.0.answer.get().is_none() {
            self.0.wanted.lock().take();
            let why = "the runtime that the store was made in has ended";
            self.answer(Err(Failure::new(StoreErrorKind::Unavailable, why)));
        }
    }
}

impl Wanted {
    fn add(&mut self, names: &Names, with_entry: bool, count: usize) -> Places {
        self.lookups += 1;
        let entry = with_entry.then(|| self.place(names.entry(), true));
        let scopes = names.scopes().take(count);
        let mut places: Places = entry.into_iter().collect();
        places.extend(scopes.map(|name| self.place(name, false)));
        places.push(self.place(names.epoch(), false));
        places
    }

    /// Where the name is, once it is there.
    fn place(&mut self, name: &str, is_entry: bool) -> u32 {
        let Self { buffer, names, places, .. } = self;
        let at = |place: u32| {
            let place = place as usize;
            let start = place.checked_sub(1).map_or(0, |before| names[before].0);
            &buffer[start..names[place].0]
        };
        let hash = |name: &str| xxh3_64(name.as_bytes());
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
