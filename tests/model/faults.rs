//! What goes wrong. Each costs one of the scenario's faults.

use super::doubled::Copied;
use super::machine::{Action, Model};
use super::scenario::{Kind, fault};
use super::state::{
    Flight, GAP, Generation, Instance, Mint, Phase, Read, ReadStep, Redis, State, Write, WriteStep,
};
use super::story::{self, Story};

/// A key of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RedisKey {
    Generation,
    Epoch,
    Tag,
    Fence,
    Entry,
    Lease,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Redis evicts a key, or it expires early.
    Evict(RedisKey),
    /// `FLUSHALL`.
    Flush,
    /// The server stops, and starts from what it had saved.
    Restart,
    /// The same of the one of two servers that has the entry, its epoch and its lease.
    RestartEntry,
    /// The same of the one that has generations, tags and fences.
    RestartGeneration,
    /// The client of this read, which leads a flight or has joined one, goes away (P14).
    Leave {
        read: u8,
    },
    /// The process dies, and another takes its place.
    Crash {
        at: u8,
    },
    /// The reply of this write's script is lost, so that it will be retried.
    LostReply {
        write: u8,
    },
    /// The store does not answer this read.
    ReadAlone {
        read: u8,
    },
    /// The store does not answer this flight.
    FlightAlone {
        flight: u8,
    },
    /// A cluster client, told nothing of the first time, will run this command again.
    MissTwice {
        flight: u8,
    },
    FillTwice {
        flight: u8,
    },
    StampTwice {
        flight: u8,
    },
    FenceTwice {
        write: u8,
    },
    ScriptTwice {
        write: u8,
    },
}

impl Model {
    /// The faults that can strike now.
    pub(super) fn faults(&self, s: &State, actions: &mut Vec<Action>) {
        if s.faults_left == 0 {
            return;
        }
        let may = |kind| self.scenario.faults.1 & kind != 0;
        let mut can = |fault| actions.push(Action::Fault(fault));
        if may(fault::EVICT) {
            stored_keys(&s.redis).for_each(|key| can(Fault::Evict(key)));
        } else if may(fault::EVICT_TOKENS) && s.redis.is_fenced() {
            can(Fault::Evict(RedisKey::Fence));
        }
        if may(fault::FLUSH) && stored_keys(&s.redis).next().is_some() {
            can(Fault::Flush);
        }
        if may(fault::RESTART) && s.saved.is_some() && self.scenario.spread {
            can(Fault::RestartEntry);
            can(Fault::RestartGeneration);
        } else if may(fault::RESTART) && s.saved.is_some() {
            can(Fault::Restart);
        }
        for (read, r) in (0..).zip(&s.reads) {
            if may(fault::LEAVE) && matches!(r.step, ReadStep::Joined { .. }) {
                can(Fault::Leave { read });
            }
            if may(fault::AWAY)
                && matches!(
                    r.step,
                    ReadStep::Begun
                        | ReadStep::SeenEntry { .. }
                        | ReadStep::SeenGeneration { .. }
                        | ReadStep::Confirmed { .. }
                        | ReadStep::Tag { .. }
                        | ReadStep::Miss { .. }
                        | ReadStep::Ensured { .. }
                )
            {
                can(Fault::ReadAlone { read });
            }
        }
        for (flight, f) in (0..).zip(&s.flights) {
            let asks = matches!(f.phase, Phase::Ask { .. } | Phase::Ensured { .. });
            let stamps = self.stamps_next(f.phase);
            let fills = !stamps && matches!(f.phase, Phase::Running { snapshot: Some(_), .. });
            if may(fault::AWAY) && asks {
                can(Fault::FlightAlone { flight });
            }
            if may(fault::DOUBLE) && asks {
                can(Fault::MissTwice { flight });
            }
            if may(fault::DOUBLE) && fills {
                can(Fault::FillTwice { flight });
            }
            if may(fault::DOUBLE) && stamps {
                can(Fault::StampTwice { flight });
            }
        }
        for (write, (w, (kind, _))) in (0..).zip(s.writes.iter().zip(self.scenario.writes)) {
            let applies = match w.step {
                WriteStep::Committed { .. } => true,
                WriteStep::Idle => self.scenario.commit_in_script && *kind != Kind::Fenced,
                _ => false,
            };
            if may(fault::LOST_REPLY) && applies {
                can(Fault::LostReply { write });
            }
            if may(fault::DOUBLE) && applies {
                can(Fault::ScriptTwice { write });
            }
            if may(fault::DOUBLE) && *kind == Kind::Fenced && w.step == WriteStep::Idle {
                can(Fault::FenceTwice { write });
            }
        }
        for at in 0..2 {
            if may(fault::CRASH) && self.has_something_to_lose(s, at) {
                can(Fault::Crash { at });
            }
        }
    }

    /// Lets one strike.
    pub(super) fn strike(&self, s: &mut State, fault: Fault, story: &mut Story) {
        s.faults_left -= 1;
        match fault {
            Fault::Evict(key) => {
                story.tell(|| format!("FAULT: Redis evicts the {}", key.name()));
                evict(&mut s.redis, key);
            }
            Fault::Flush => {
                story.tell(|| "FAULT: Redis is flushed".into());
                s.redis = Redis { run: s.redis.run, ..Redis::default() };
            }
            Fault::Restart => {
                let run = s.redis.run + 1;
                s.redis = Redis { run, ..s.saved.take().unwrap_or_default() };
                s.redis.deadline(s.passed);
                s.instances.iter_mut().for_each(|instance| instance.pushes |= GAP);
                story.tell(|| {
                    let metadata = story::metadata(&s.redis);
                    format!("FAULT: Redis restarts from the snapshot as run {run}: {metadata}")
                });
            }
            Fault::RestartEntry => {
                let saved = s.saved.take().unwrap_or_default();
                let Redis { entry, epoch, lease, .. } = saved;
                s.redis = Redis { run: s.redis.run + 1, entry, epoch, lease, ..s.redis };
                story.tell(|| {
                    let metadata = story::metadata(&s.redis);
                    format!("FAULT: the entry's node restarts from the snapshot: {metadata}")
                });
            }
            Fault::RestartGeneration => {
                let saved = s.saved.take().unwrap_or_default();
                let Redis { mut generation, mut tag, fence, nobody, .. } = saved;
                if self.rules.stamps_are_sealed {
                    // In another run the same id is another stamp.
                    reseal(&mut generation, &mut s.mint);
                    tag = tag.map(|_| s.mint.id());
                }
                s.redis = Redis { generation, tag, fence, nobody, ..s.redis };
                s.redis.deadline(s.passed);
                story.tell(|| {
                    let metadata = story::metadata(&s.redis);
                    format!("FAULT: the generation's node restarts from the snapshot: {metadata}")
                });
            }
            Fault::Leave { read } => {
                story.tell(|| format!("FAULT: the client of read {} goes away", read + 1));
                s.reads[usize::from(read)] = Read { step: ReadStep::Done, ..Read::default() };
            }
            Fault::Crash { at } => self.crash(s, at, story),
            Fault::LostReply { write } => {
                story.tell(|| "FAULT".into());
                self.script(s, usize::from(write), false, story);
            }
            Fault::ReadAlone { read } => {
                story.tell(|| format!("FAULT: the store does not answer read {}", read + 1));
                self.next_run(s, read, story);
            }
            Fault::FlightAlone { flight } => {
                story.tell(|| format!("FAULT: the store does not answer flight {}", flight + 1));
                self.without_store(s, flight, story);
            }
            Fault::MissTwice { flight } => {
                let at = s.flights[usize::from(flight)].at;
                s.copied = Some(Copied::Miss { flight, at });
                story.tell(|| "FAULT, a command that will run twice".into());
                self.ask(s, flight, story);
            }
            Fault::FillTwice { flight } => {
                if let Phase::Running { version, snapshot: Some(snapshot), tag } =
                    s.flights[usize::from(flight)].phase
                {
                    s.copied = Some(Copied::Fill { flight, version, snapshot, tag });
                }
                story.tell(|| "FAULT, a command that will run twice".into());
                self.end(s, flight, story);
            }
            Fault::StampTwice { flight } => {
                if let Phase::Running { snapshot: Some(snapshot), .. } =
                    s.flights[usize::from(flight)].phase
                {
                    s.copied = Some(Copied::Stamp { flight, snapshot });
                }
                story.tell(|| "FAULT, a command that will run twice".into());
                self.stamp(s, flight, story);
            }
            Fault::FenceTwice { write } => {
                s.copied = Some(Copied::Fence { write });
                story.tell(|| "FAULT, a command that will run twice".into());
                self.fence(s, usize::from(write), story);
            }
            Fault::ScriptTwice { write } => self.script_twice(s, write, story),
        }
    }

    fn crash(&self, s: &mut State, at: u8, story: &mut Story) {
        story.tell(|| format!("FAULT: instance {} crashes", story::instance(at)));
        let is_served = |read: &&mut Read| {
            read.at == at && !matches!(read.step, ReadStep::Idle | ReadStep::Done)
        };
        for read in s.reads.iter_mut().filter(is_served) {
            *read = Read { step: ReadStep::Done, ..Read::default() };
        }
        for flight in s.flights.iter_mut().filter(|flight| flight.at == at) {
            *flight = Flight::default();
        }
        for (write, (kind, place)) in self.scenario.writes.iter().enumerate() {
            let w = &mut s.writes[write];
            let under_way = matches!(w.step, WriteStep::Fenced | WriteStep::Committed { .. });
            if *place == at && under_way {
                let fenced = *kind == Kind::Fenced;
                *w = Write { step: WriteStep::Crashed { fenced }, id: None, ..*w };
                if s.passed & 1 << write != 0 {
                    self.fence_has_ended(s, write, story);
                }
            }
        }
        s.instances[usize::from(at)] =
            Instance { heard: s.confirmed, first_run: s.redis.run, ..Instance::default() };
    }

    fn has_something_to_lose(&self, s: &State, at: u8) -> bool {
        s.reads.iter().any(|read| read.at == at && read.is_asking())
            || s.flights.iter().any(|flight| flight.at == at && flight.phase != Phase::None)
            || s.instances[usize::from(at)].near.is_some()
            || s.writes.iter().zip(self.scenario.writes).any(|(write, (_, place))| {
                *place == at
                    && matches!(write.step, WriteStep::Fenced | WriteStep::Committed { .. })
            })
    }
}

impl RedisKey {
    fn name(self) -> &'static str {
        match self {
            Self::Generation => "generation",
            Self::Epoch => "epoch",
            Self::Tag => "tag",
            Self::Fence => "fence tokens",
            Self::Entry => "entry",
            Self::Lease => "lease",
        }
    }
}

fn stored_keys(redis: &Redis) -> impl Iterator<Item = RedisKey> {
    [
        (RedisKey::Generation, redis.generation != Generation::Missing),
        (RedisKey::Epoch, redis.epoch.is_some()),
        (RedisKey::Tag, redis.tag.is_some()),
        (RedisKey::Fence, redis.is_fenced()),
        (RedisKey::Entry, redis.entry.is_some()),
        (RedisKey::Lease, redis.lease.is_some()),
    ]
    .into_iter()
    .filter_map(|(key, stored)| stored.then_some(key))
}

fn reseal(generation: &mut Generation, mint: &mut Mint) {
    match generation {
        Generation::Missing => {}
        Generation::Open { current, behind } => {
            *current = mint.id();
            behind.iter_mut().flatten().for_each(|id| *id = mint.id());
        }
        Generation::Closed { id, .. } => *id = mint.id(),
    }
}

fn evict(redis: &mut Redis, key: RedisKey) {
    match key {
        RedisKey::Generation => redis.generation = Generation::Missing,
        RedisKey::Epoch => redis.epoch = None,
        RedisKey::Tag => redis.tag = None,
        RedisKey::Fence => (redis.fence, redis.nobody) = (0, 0),
        RedisKey::Entry => redis.entry = None,
        RedisKey::Lease => redis.lease = None,
    }
}
