//! Two worlds that differ only in the names of their ids are one world.

use std::num::NonZeroU8;

use super::doubled::Copied;
use super::state::{
    Entry, Generation, Id, Key, Mint, Near, Phase, ReadStep, Redis, Snapshot, State,
};

/// `state` with its ids renamed in the order in which they are met, and the mint set to follow.
///
/// Ids are only ever compared for equality, so the renamed world goes on exactly as this one.
pub(super) fn canonical(mut state: State) -> State {
    let mut names = Names { new: [None; 64], count: 0 };
    names.redis(&mut state.redis);
    if let Some(saved) = &mut state.saved {
        names.redis(saved);
    }
    match &mut state.copied {
        Some(Copied::Fill { snapshot, tag, .. }) => {
            names.snapshot(snapshot);
            names.maybe(tag);
        }
        Some(Copied::Stamp { snapshot, .. }) => names.snapshot(snapshot),
        Some(Copied::Script { id, .. }) => names.maybe(id),
        _ => {}
    }
    for instance in &mut state.instances {
        if let Some(near) = &mut instance.near {
            names.near(near);
        }
    }
    for read in &mut state.reads {
        match &mut read.step {
            ReadStep::Tag { entry, key, .. } => {
                names.entry(entry);
                names.key(key);
            }
            ReadStep::SeenEntry { entry, epoch, .. } => {
                if let Some(entry) = entry {
                    names.entry(entry);
                }
                names.maybe(epoch);
            }
            ReadStep::SeenGeneration { generation } => names.generation(generation),
            ReadStep::Ensured { stamp, .. } => names.id(stamp),
            ReadStep::Insert { near, .. } | ReadStep::Confirmed { near, .. } => names.near(near),
            _ => {}
        }
    }
    for flight in &mut state.flights {
        names.key(&mut flight.key);
        match &mut flight.phase {
            Phase::Ready(Some(snapshot)) => names.snapshot(snapshot),
            Phase::Ensured { stamp, .. } => names.id(stamp),
            Phase::Running { snapshot: Some(snapshot), tag, .. } => {
                names.snapshot(snapshot);
                names.maybe(tag);
            }
            _ => {}
        }
    }
    for write in &mut state.writes {
        names.maybe(&mut write.id);
    }
    state.mint = Mint(names.count);
    state
}

struct Names {
    new: [Option<Id>; 64],
    count: u8,
}

impl Names {
    fn id(&mut self, id: &mut Id) {
        let count = &mut self.count;
        *id = *self.new[usize::from(id.0.get())].get_or_insert_with(|| {
            *count += 1;
            Id(NonZeroU8::new(*count).expect("it was counted up"))
        });
    }

    fn maybe(&mut self, id: &mut Option<Id>) {
        if let Some(id) = id {
            self.id(id);
        }
    }

    fn redis(&mut self, redis: &mut Redis) {
        self.generation(&mut redis.generation);
        self.maybe(&mut redis.epoch);
        self.maybe(&mut redis.tag);
        if let Some(entry) = &mut redis.entry {
            self.entry(entry);
        }
        if let Some(lease) = &mut redis.lease {
            self.id(&mut lease.stamp);
            self.id(&mut lease.epoch);
        }
    }

    fn generation(&mut self, generation: &mut Generation) {
        match generation {
            Generation::Missing => {}
            Generation::Open { current, behind } => {
                self.id(current);
                for id in behind {
                    self.maybe(id);
                }
            }
            Generation::Closed { id, .. } => self.id(id),
        }
    }

    fn entry(&mut self, entry: &mut Entry) {
        self.id(&mut entry.stamp);
        self.maybe(&mut entry.tag);
    }

    fn near(&mut self, near: &mut Near) {
        self.entry(&mut near.entry);
        self.maybe(&mut near.epoch);
    }

    fn snapshot(&mut self, snapshot: &mut Snapshot) {
        self.id(&mut snapshot.stamp);
        self.id(&mut snapshot.epoch);
    }

    fn key(&mut self, key: &mut Option<Key>) {
        if let Some(key) = key {
            self.maybe(&mut key.stamp);
            self.maybe(&mut key.epoch);
        }
    }
}
