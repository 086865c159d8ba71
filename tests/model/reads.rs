//! The steps of a read, from its client's request to its answer.

use super::flights::{find, share_or_lead};
use super::machine::Model;
use super::scenario::NearCache;
use super::scripts::{Miss, Validity};
use super::state::{
    Broken, Entry, Flight, Floor, Id, Key, Near, Phase, Read, ReadStep, Redis, Run, State, Version,
};
use super::story::{self, Story};

/// From where an answer comes: which floor binds it.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Fresh,
    Flagged,
    Near,
}

impl Model {
    /// A client's request arrives at an instance.
    pub(super) fn begin(&self, s: &mut State, read: u8, at: u8, story: &mut Story) {
        let floor = Floor {
            fresh: s.confirmed,
            hard: s.confirmed_hard,
            near: s.instances[usize::from(at)].heard,
        };
        s.reads[usize::from(read)] = Read { at, step: ReadStep::Begun, floor, started_since: 0 };
        story.tell(|| {
            let confirmed = match floor.fresh {
                0 => "nothing has been confirmed yet".into(),
                version => format!("version {version} is confirmed"),
            };
            format!("read {} begins on {}, when {confirmed}", read + 1, story::instance(at))
        });
    }

    /// `Store::lookup`, after a look at the near-cache.
    pub(super) fn lookup(&self, s: &mut State, read: u8, story: &mut Story) {
        let at = s.reads[usize::from(read)].at;
        let run = self.believed_run(s, at);
        if let Some(near) = s.instances[usize::from(at)].near
            && self.near_serves(s, near, run)
        {
            story.tell(|| format!("read {} hits the near-cache", read + 1));
            let source = match self.scenario.near {
                NearCache::Coherent => Source::Near,
                NearCache::Off | NearCache::Strict => Source::Fresh,
            };
            return answer(s, read, near.entry.version, source, story);
        }
        story.tell(|| {
            format!("read {} looks up: {}, run {run}", read + 1, story::metadata(&s.redis))
        });
        let seen = s.redis;
        self.judge(s, read, run, &seen, story);
    }

    /// One half of `Store::lookup` where the entry is on another node: that of the entry, or that of the
    /// generation. Both are sent at once, and answer in either order.
    pub(super) fn look_there(&self, s: &mut State, read: u8, at_entry: bool, story: &mut Story) {
        let r = &mut s.reads[usize::from(read)];
        story.tell(|| {
            let node = if at_entry { "the entry's" } else { "the generation's" };
            let metadata = story::metadata(&s.redis);
            format!("read {} looks up on {node} node: {metadata}, run {}", read + 1, s.redis.run)
        });
        let here = s.redis;
        let near = match r.step {
            ReadStep::Begun => s.instances[usize::from(r.at)].near,
            ReadStep::Confirmed { near, .. } => Some(near),
            _ => None,
        };
        if let Some(near) = near {
            return self.confirm_there(s, read, near, at_entry, story);
        }
        let seen = match r.step {
            ReadStep::SeenEntry { entry, epoch, run } => Redis { run, epoch, entry, ..here },
            ReadStep::SeenGeneration { generation } => Redis { generation, ..here },
            _ if at_entry => {
                let Redis { entry, epoch, run, .. } = here;
                r.step = ReadStep::SeenEntry { entry, epoch, run };
                return;
            }
            _ => {
                r.step = ReadStep::SeenGeneration { generation: here.generation };
                return;
            }
        };
        r.step = ReadStep::Begun;
        self.judge(s, read, seen.run, &seen, story);
    }

    /// One half of the question whether what a strict near-cache has still holds. If either half says no
    /// it is forgotten, and looked up.
    fn confirm_there(
        &self,
        s: &mut State,
        read: u8,
        near: Near,
        at_entry: bool,
        story: &mut Story,
    ) {
        let r = &mut s.reads[usize::from(read)];
        let holds = if at_entry {
            self.rules.same_run(near.entry.run, s.redis.run)
                && (near.epoch == s.redis.epoch || !self.rules.near_knows_the_epoch)
        } else {
            s.redis.generation.current() == Some(near.entry.stamp)
        };
        story.tell(|| {
            format!("what the near-cache has {}", if holds { "holds" } else { "does not" })
        });
        match r.step {
            _ if !holds => {
                s.instances[usize::from(r.at)].near = None;
                r.step = ReadStep::Begun;
            }
            ReadStep::Confirmed { .. } => {
                answer(s, read, near.entry.version, Source::Fresh, story);
            }
            _ => r.step = ReadStep::Confirmed { near, at_entry },
        }
    }

    /// What becomes of a read whose lookup has seen this.
    fn judge(&self, s: &mut State, read: u8, run: Run, seen: &Redis, story: &mut Story) {
        let key = seen.flight_key(&self.rules, run);
        let Some(entry) = seen.entry else {
            story.tell(|| "no entry".into());
            return self.missed(s, read, key, false, story);
        };
        story.tell(|| {
            let tag = entry.tag.map_or_else(String::new, |it| format!(", tag {}", story::id(it)));
            let stamp = story::id(entry.stamp);
            format!("an entry of version {}, stamp {stamp}{tag}, run {}", entry.version, entry.run)
        });
        match seen.validity(entry, &self.rules, run) {
            Validity::Fresh if entry.tag.is_some() => {
                s.reads[usize::from(read)].step = ReadStep::Tag { entry, key, stale: false };
            }
            Validity::Stale if entry.tag.is_some() && self.rules.stale_checks_tags => {
                s.reads[usize::from(read)].step = ReadStep::Tag { entry, key, stale: true };
            }
            Validity::Fresh => self.hit(s, read, entry, seen.epoch, story),
            Validity::Stale => self.stale(s, read, entry, key, story),
            Validity::Invalid => self.missed(s, read, key, false, story),
        }
    }

    /// The lookup's second round trip: is the entry's tag still that one?
    pub(super) fn check_tag(&self, s: &mut State, read: u8, story: &mut Story) {
        let r = &mut s.reads[usize::from(read)];
        let ReadStep::Tag { entry, key, stale } = r.step else { return };
        let tag = s.redis.tag;
        story.tell(|| format!("read {} looks its tag up: {}", read + 1, story::maybe(tag)));
        // A sealed stamp says by itself of which run it is.
        let of_one_node = self.rules.tags_of_the_same_run && !self.scenario.spread;
        if of_one_node && s.redis.run != entry.run {
            story.tell(|| "another run answered, so it looks up again".into());
            r.step = ReadStep::Begun;
        } else if tag == entry.tag && stale {
            self.stale(s, read, entry, key, story);
        } else if tag == entry.tag {
            let epoch = s.redis.epoch;
            self.hit(s, read, entry, epoch, story);
        } else {
            self.missed(s, read, key, true, story);
        }
    }

    /// `Store::miss` for a request that saw a part missing.
    pub(super) fn miss_first(&self, s: &mut State, read: u8, story: &mut Story) {
        let Read { at, step, .. } = s.reads[usize::from(read)];
        let run = self.believed_run(s, at);
        let ignore = step == ReadStep::Miss { ignore: true };
        let miss = match step {
            ReadStep::Ensured { ignore, stamp } => {
                story.tell(|| format!("read {} asks the miss script of the entry", read + 1));
                s.redis.miss_there(&self.rules, (read, run), ignore, stamp, &mut s.mint)
            }
            _ if self.scenario.spread => {
                story.tell(|| format!("read {} asks for the generation", read + 1));
                match s.redis.ensure(&self.rules, &mut s.mint) {
                    Some(stamp) => {
                        story.tell(|| format!("it is {}", story::id(stamp)));
                        s.reads[usize::from(read)].step = ReadStep::Ensured { ignore, stamp };
                        return;
                    }
                    None => Miss::Closed,
                }
            }
            _ => {
                story.tell(|| format!("read {} asks the miss script", read + 1));
                s.redis.miss(&self.rules, read, run, ignore, &mut s.mint)
            }
        };
        match miss {
            Miss::Granted(snapshot) => {
                story.tell(|| format!("GRANTED {}", story::snapshot(snapshot)));
                share_or_lead(
                    s,
                    read,
                    self.rules.flight_key(snapshot),
                    Phase::Ready(Some(snapshot)),
                    story,
                );
            }
            Miss::Wait(snapshot) => {
                story.tell(|| format!("WAIT {}", story::snapshot(snapshot)));
                share_or_lead(s, read, self.rules.flight_key(snapshot), Phase::Wait, story);
            }
            Miss::Again => {
                story.tell(|| "AGAIN".into());
                s.reads[usize::from(read)].step = ReadStep::Begun;
            }
            Miss::Closed => {
                story.tell(|| "CLOSED".into());
                self.next_run(s, read, story);
            }
        }
    }

    /// The run that a command on a connection of this instance believes it talks to.
    pub(super) fn believed_run(&self, s: &State, at: u8) -> Run {
        match self.rules.run_id {
            super::rules::RunId::PerProcess => s.instances[usize::from(at)].first_run,
            _ => s.redis.run,
        }
    }

    fn hit(&self, s: &mut State, read: u8, entry: Entry, epoch: Option<Id>, story: &mut Story) {
        let at = s.reads[usize::from(read)].at;
        let near = Near { entry, epoch };
        answer(s, read, entry.version, Source::Fresh, story);
        let wanted = self.scenario.near != NearCache::Off;
        if wanted && (near.epoch.is_some() || !self.rules.near_knows_the_epoch) {
            let r = &mut s.reads[usize::from(read)];
            (r.at, r.step) = (at, ReadStep::Insert { near, moved: false });
        }
    }

    /// An entry that a soft invalidation has reached is the answer while one refresh runs.
    fn stale(&self, s: &mut State, read: u8, entry: Entry, key: Option<Key>, story: &mut Story) {
        let at = s.reads[usize::from(read)].at;
        answer(s, read, entry.version, Source::Flagged, story);
        if let Some(key) = key
            && find(s, at, key).is_none()
        {
            story.tell(|| "it starts a refresh".into());
            let phase = Phase::Ask { ignore: false };
            s.flights[usize::from(read)] = Flight { at, key: Some(key), next: false, phase };
        }
    }

    fn missed(&self, s: &mut State, read: u8, key: Option<Key>, ignore: bool, story: &mut Story) {
        match key {
            Some(key) => share_or_lead(s, read, key, Phase::Ask { ignore }, story),
            None => s.reads[usize::from(read)].step = ReadStep::Miss { ignore },
        }
    }
}

impl Read {
    /// Whether it has begun and has no answer.
    pub(super) fn is_asking(&self) -> bool {
        !matches!(self.step, ReadStep::Idle | ReadStep::Done | ReadStep::Insert { .. })
    }
}

/// The read has its answer, which must not be older than what binds it.
pub(super) fn answer(s: &mut State, read: u8, version: Version, source: Source, story: &mut Story) {
    let r = &mut s.reads[usize::from(read)];
    let (floor, word) = match source {
        Source::Fresh => (r.floor.fresh, ""),
        Source::Flagged => (r.floor.hard, ", flagged stale"),
        Source::Near => (r.floor.near, ""),
    };
    story.tell(|| format!("read {} is answered with version {version}{word}", read + 1));
    if version < floor {
        story.tell(|| format!("but version {floor} was confirmed before it began"));
        s.broken = Some(Broken::Stale { read, version, floor });
    }
    *r = Read { step: ReadStep::Done, ..Read::default() };
}
