//! Who waits for whom, within this process.
//!
//! A *flight* is one attempt to get the answer for one key under one snapshot. Whoever saw the
//! same snapshot may join it: the handler behind it runs after that snapshot came into force, so
//! nothing that was invalidated before the joiner began can come of it.
//!
//! Where no snapshot can be had (the store is away, or a scope is closed) nothing is known of a run
//! that has begun. There a request shares only *the next run*, which starts after it asked.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::entry::{Entry, Snapshot};
use crate::key::Names;

/// How a flight stands.
#[derive(Clone, Debug)]
enum Stage {
    Under,
    Landed(Arc<Entry>),
    Failed(Arc<Entry>),
    Private,
    Shed,
}

/// How a flight ended, for those who joined it.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The whole response, stored or about to be.
    Landed(Arc<Entry>),
    /// The run has failed, and this is what is stale.
    Failed(Arc<Entry>),
    /// There is an answer, but it is nobody else's: each runs its own.
    Private,
    /// There was no room for the run.
    Shed,
    /// Whoever led it is gone: look again.
    Lost,
}

/// All flights of one cache.
#[derive(Debug)]
pub(crate) struct Flights {
    /// How many there may be of either kind.
    most: usize,
    known: Mutex<HashMap<FlightKey, Joinable>>,
    blind: Mutex<HashMap<Box<str>, Blind>>,
}

type FlightKey = (Box<str>, Snapshot);

/// What a joiner holds, and the map too.
#[derive(Clone, Debug)]
pub(crate) struct Joinable {
    stage: watch::Receiver<Stage>,
    /// Weak, so that the joiners see when nobody is left who would answer.
    answer: Weak<watch::Sender<Stage>>,
    /// One reference for the map, and one for each joiner.
    seats: Arc<()>,
}

/// The state of a key whose snapshot can't be known.
#[derive(Debug)]
struct Blind {
    /// Who runs.
    active: Arc<()>,
    next: Option<Next>,
}

#[derive(Debug)]
struct Next {
    leader: Arc<()>,
    start: oneshot::Sender<()>,
    joinable: Joinable,
}

/// What came of asking for a seat.
#[derive(Debug)]
pub(crate) enum Seat {
    /// The caller is to bring the answer.
    Lead(Lead),
    /// The caller is to bring the answer, once the run before it has ended.
    LeadNext(Lead, oneshot::Receiver<()>),
    /// Somebody else brings it.
    Join(Joinable),
    /// There is none.
    Full(Full),
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// The flight has as many joiners as it may have.
    Flight,
    /// There are as many flights as there may be.
    Sky,
}

/// The duty to bring the answer of a flight. Dropping it without an answer tells the joiners to
/// look again.
#[derive(Debug)]
pub(crate) struct Lead {
    stage: Arc<watch::Sender<Stage>>,
    place: Place,
    flights: Arc<Flights>,
}

#[derive(Debug)]
enum Place {
    Known(FlightKey),
    /// Somebody else's flight, for which the answer is brought.
    Deputy,
    Blind(Box<str>, Arc<()>),
}

impl Flights {
    /// None yet, and at most so many of either kind.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, known: Mutex::default(), blind: Mutex::default() }
    }

    /// A seat in the flight of this key under this snapshot, which may have `most` joiners.
    pub(crate) fn board(self: &Arc<Self>, names: &Names, snapshot: &Snapshot, most: usize) -> Seat {
        let mut known = self.known.lock();
        let is_full = known.len() >= self.most;
        match known.entry((names.entry().into(), snapshot.clone())) {
            Slot::Occupied(slot) => slot.get().seat(most),
            Slot::Vacant(_) if is_full => Seat::Full(Full::Sky),
            Slot::Vacant(slot) => {
                let place = Place::Known(slot.key().clone());
                let (lead, joinable) = self.new_lead(place);
                slot.insert(joinable);
                Seat::Lead(lead)
            }
        }
    }

    /// A seat in the next run of this key, which may have `most` joiners. It is the caller's own,
    /// and starts at once, if none is under way.
    pub(crate) fn board_next(self: &Arc<Self>, names: &Names, most: usize) -> Seat {
        let me = Arc::new(());
        let place = Place::Blind(names.entry().into(), Arc::clone(&me));
        let mut blind = self.blind.lock();
        let is_full = blind.len() >= self.most;
        match blind.entry(names.entry().into()) {
            Slot::Vacant(_) if is_full => Seat::Full(Full::Sky),
            Slot::Vacant(slot) => {
                slot.insert(Blind { active: me, next: None });
                Seat::Lead(self.new_lead(place).0)
            }
            Slot::Occupied(mut slot) => {
                if let Some(next) = &slot.get().next {
                    next.joinable.seat(most)
                } else {
                    let (lead, joinable) = self.new_lead(place);
                    let (start, started) = oneshot::channel();
                    slot.get_mut().next = Some(Next { leader: me, start, joinable });
                    Seat::LeadNext(lead, started)
                }
            }
        }
    }

    /// How many keys have a flight.
    pub(crate) fn len(&self) -> usize {
        self.known.lock().len() + self.blind.lock().len()
    }

    fn new_lead(self: &Arc<Self>, place: Place) -> (Lead, Joinable) {
        let (sender, receiver) = watch::channel(Stage::Under);
        let sender = Arc::new(sender);
        let answer = Arc::downgrade(&sender);
        let lead = Lead { stage: sender, place, flights: Arc::clone(self) };
        (lead, Joinable { stage: receiver, answer, seats: Arc::default() })
    }
}

impl Joinable {
    fn seat(&self, most: usize) -> Seat {
        if Arc::strong_count(&self.seats) > most {
            return Seat::Full(Full::Flight);
        }
        Seat::Join(self.clone())
    }

    /// Waits for the end of the flight. Dropping the future gives the seat up.
    pub(crate) async fn ending(self) -> Ending {
        ending(self.stage).await
    }

    /// The right to bring the answer of this flight too, if its leader is still there: he waits
    /// for what the caller is about to do.
    pub(crate) fn deputy(&self, flights: &Arc<Flights>) -> Option<Lead> {
        let stage = self.answer.upgrade()?;
        Some(Lead { stage, place: Place::Deputy, flights: Arc::clone(flights) })
    }
}

async fn ending(mut stage: watch::Receiver<Stage>) -> Ending {
    match stage.wait_for(|stage| !matches!(stage, Stage::Under)).await.as_deref() {
        Ok(Stage::Landed(entry)) => Ending::Landed(Arc::clone(entry)),
        Ok(Stage::Failed(entry)) => Ending::Failed(Arc::clone(entry)),
        Ok(Stage::Private) => Ending::Private,
        Ok(Stage::Shed) => Ending::Shed,
        Ok(Stage::Under) | Err(_) => Ending::Lost,
    }
}

impl Lead {
    /// Whether this flight is the one of `snapshot`.
    pub(crate) fn is_of(&self, snapshot: &Snapshot) -> bool {
        matches!(&self.place, Place::Known((_, known)) if known == snapshot)
    }

    /// Whether nobody has joined. Of a run that has begun without a snapshot it stays so.
    pub(crate) fn is_alone(&self) -> bool {
        self.stage.receiver_count() == 0
    }

    /// Whether others wait for this run to end, so that the next one may begin.
    pub(crate) fn is_awaited(&self) -> bool {
        let Place::Blind(key, me) = &self.place else { return false };
        let blind = self.flights.blind.lock();
        blind.get(key).is_some_and(|state| Arc::ptr_eq(&state.active, me) && state.next.is_some())
    }

    /// Waits until a deputy has brought the answer.
    pub(crate) async fn ending(&self) -> Ending {
        ending(self.stage.subscribe()).await
    }

    /// Gives every joiner the response. The flight can be joined until this is dropped.
    pub(crate) fn land(&self, entry: &Arc<Entry>) {
        self.stage.send_replace(Stage::Landed(Arc::clone(entry)));
    }

    /// Gives every joiner what is stale, since the run has failed.
    pub(crate) fn fail(&self, stale: &Arc<Entry>) {
        self.stage.send_replace(Stage::Failed(Arc::clone(stale)));
    }

    /// Sends every joiner to run its own, together.
    pub(crate) fn release(self) {
        self.stage.send_replace(Stage::Private);
    }

    /// Tells every joiner that there was no room for the run.
    pub(crate) fn shed(self) {
        self.stage.send_replace(Stage::Shed);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Whoever runs the handler next may fare the same: not one after the other.
            self.stage.send_if_modified(|stage| {
                let under = matches!(stage, Stage::Under);
                if under {
                    *stage = Stage::Private;
                }
                under
            });
        }
        match &self.place {
            Place::Known(key) => {
                let joinable = self.flights.known.lock().remove(key);
                drop(joinable);
            }
            Place::Deputy => {}
            Place::Blind(key, me) => self.flights.leave(key, me),
        }
    }
}

impl Flights {
    /// Takes a blind leader off, and lets the next one start if it was the active one.
    fn leave(&self, key: &str, me: &Arc<()>) {
        let mut blind = self.blind.lock();
        let Some(state) = blind.get_mut(key) else { return };
        if !Arc::ptr_eq(&state.active, me) {
            // The next one, gone before its turn: its joiners look again.
            if state.next.as_ref().is_some_and(|next| Arc::ptr_eq(&next.leader, me)) {
                state.next = None;
            }
            return;
        }
        match state.next.take() {
            Some(next) => {
                // From here on nobody joins it. If its leader has just been dropped, that drop is
                // waiting for this lock, and will pass the turn on.
                state.active = next.leader;
                let _ = next.start.send(());
            }
            None => {
                blind.remove(key);
            }
        }
    }
}
