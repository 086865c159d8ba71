//! What one moment of the modelled world is: a Redis, two instances, their requests.
//!
//! Everything is small and `Copy`, so that a step clones the whole world and changes its copy.

use super::doubled::Copied;
pub(super) use super::stored::{
    Entry, Generation, Id, Lease, Mint, Redis, Run, Set, Snapshot, Version,
};

/// The most reads that a scenario can have.
pub(super) const READS: usize = 4;
/// The most writes that a scenario can have.
pub(super) const WRITES: usize = 3;
/// Instances of the application, each with its own map of flights.
pub(super) const INSTANCES: usize = 2;

/// What identifies a flight within its instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// `None` only where rule 5 is switched off.
    pub(super) stamp: Option<Id>,
    /// `None` only where rule 5 is switched off.
    pub(super) epoch: Option<Id>,
    pub(super) run: Run,
}

impl From<Snapshot> for Key {
    fn from(of: Snapshot) -> Self {
        Self { stamp: Some(of.stamp), epoch: Some(of.epoch), run: of.run }
    }
}

/// How far a flight is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// There is none.
    #[default]
    None,
    /// The miss script is the next thing. `ignore` is `MissRequest::ignore_entry`.
    Ask { ignore: bool },
    /// The generation of a spread tenant is there, and open; the entry's node is the next to ask.
    Ensured { ignore: bool, stamp: Id },
    /// Another instance holds the lease.
    Wait,
    /// The handler may start; `None` stores nothing.
    Ready(Option<Snapshot>),
    /// The handler runs; it read this version at its start. With a tag's stamp it has ended, and
    /// its fill is the next thing.
    Running { version: Version, snapshot: Option<Snapshot>, tag: Option<Id> },
}

/// A run of the handler that requests of one instance share, numbered by the read that led it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    pub(super) at: u8,
    /// Under which key it is in the map of flights, if it is.
    pub(super) key: Option<Key>,
    /// Whether it is the run of requests that the store did not help: the store was away, or a
    /// scope was closed. One at a time, joined only by requests older than its start.
    pub(super) next: bool,
    pub(super) phase: Phase,
}

/// The oldest versions that a read may be answered with, by where the answer comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Floor {
    /// Confirmed by any invalidation.
    pub(super) fresh: Version,
    /// Confirmed by a hard invalidation: binds answers that are flagged stale.
    pub(super) hard: Version,
    /// Confirmed, and heard of by the near-cache's feed: binds the coherent near-cache.
    pub(super) near: Version,
}

/// How far a read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum ReadStep {
    #[default]
    Idle,
    /// A lookup is the next thing.
    Begun,
    /// One node of a spread tenant has answered, that of the entry.
    SeenEntry {
        entry: Option<Entry>,
        epoch: Option<Id>,
        run: Run,
    },
    /// One node of a spread tenant has answered, that of the generations.
    SeenGeneration {
        generation: Generation,
    },
    /// What the near-cache has holds on one node of a spread tenant: that of the entry, or the other one.
    Confirmed {
        near: Near,
        at_entry: bool,
    },
    /// The entry names a tag: the second round trip. `stale` is whether a soft invalidation has
    /// reached it.
    Tag {
        entry: Entry,
        key: Option<Key>,
        stale: bool,
    },
    /// Some part was missing at the lookup: the miss script comes before any flight.
    Miss {
        ignore: bool,
    },
    /// The generation of a spread tenant is there, and open.
    Ensured {
        ignore: bool,
        stamp: Id,
    },
    /// Answered; its entry goes into the near-cache, unless the feed has moved meanwhile.
    Insert {
        near: Near,
        moved: bool,
    },
    /// Waits for the flight of this number.
    Joined {
        flight: u8,
    },
    Done,
}

/// One request that reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Read {
    pub(super) at: u8,
    pub(super) step: ReadStep,
    pub(super) floor: Floor,
    /// The next-run flights that started after this read began.
    pub(super) started_since: Set,
}

/// How far a write is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum WriteStep {
    #[default]
    Idle,
    /// Fenced, and its handler runs.
    Fenced,
    /// Committed; so many scripts of its invalidation have been confirmed.
    Committed {
        scripts: u8,
    },
    Done,
    /// Its instance crashed; whether it had fenced the scope.
    Crashed {
        fenced: bool,
    },
}

/// One request that writes, then invalidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Write {
    pub(super) step: WriteStep,
    /// What it committed; 0 before.
    pub(super) version: Version,
    /// The id of its first attempt, kept only where a rule about ids is switched off.
    pub(super) id: Option<Id>,
}

/// An entry of the near-cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Near {
    pub(super) entry: Entry,
    pub(super) epoch: Option<Id>,
}

/// One instance of the application, beside its flights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Instance {
    pub(super) near: Option<Near>,
    /// Pushes of the near-cache's feed that are under way: [`GENERATION`], [`EPOCH`], [`GAP`].
    pub(super) pushes: Set,
    /// The newest confirmed version whose pushes have all arrived (for the property only).
    pub(super) heard: Version,
    /// The run that the process met first: used only where "a run id per connection" is off.
    pub(super) first_run: Run,
}

/// A push that a generation, of scope or tag, has moved or gone.
pub(super) const GENERATION: Set = 1;
/// A push that the epoch has moved or gone.
pub(super) const EPOCH: Set = 2;
/// The feed's connection was lost.
pub(super) const GAP: Set = 4;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Broken {
    /// P6: a read was answered with something older than what was confirmed before it began.
    Stale { read: u8, version: Version, floor: Version },
    /// P14: a read waits for a flight that is not there.
    Abandoned { read: u8 },
    /// P14: nothing can happen any more, and a read has no answer.
    Stuck { read: u8 },
    /// An entry that is older than what is confirmed is valid, so that some read will get it.
    ValidButOld,
    /// A scope with live fence tokens is open.
    FenceOpened,
    /// P13: the handler ran more than once.
    RanTwice,
}

/// The whole world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) redis: Redis,
    /// The snapshot on disk.
    pub(super) saved: Option<Redis>,
    pub(super) copied: Option<Copied>,
    pub(super) instances: [Instance; INSTANCES],
    pub(super) reads: [Read; READS],
    pub(super) flights: [Flight; READS],
    pub(super) writes: [Write; WRITES],
    /// Writes whose fence's deadline has passed.
    pub(super) passed: Set,
    /// The newest version of the source of truth.
    pub(super) truth: Version,
    /// The newest version whose invalidation, hard or soft, was confirmed.
    pub(super) confirmed: Version,
    /// The same, of hard ones.
    pub(super) confirmed_hard: Version,
    /// How often the handler ran, where the scenario counts.
    pub(super) ran: u8,
    pub(super) faults_left: u8,
    pub(super) broken: Option<Broken>,
    pub(super) mint: Mint,
}

impl State {
    /// Nothing stored, nothing asked.
    pub(super) fn new(faults_left: u8) -> Self {
        Self {
            redis: Redis::default(),
            saved: None,
            copied: None,
            instances: Default::default(),
            reads: Default::default(),
            flights: Default::default(),
            writes: Default::default(),
            passed: 0,
            truth: 0,
            confirmed: 0,
            confirmed_hard: 0,
            ran: 0,
            faults_left,
            broken: None,
            mint: Mint(0),
        }
    }
}
