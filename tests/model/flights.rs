//! The steps of a flight: one run of the handler that the requests of an instance share.
//!
//! A handler's end and the next script, of its fill or of the stamp before it, are one step: to
//! everybody else a body that has ended and is not stored yet is the same as one that has not
//! ended. Those who joined have their answer when all is done, so that as many as possible join.

use super::machine::Model;
use super::reads::{Source, answer};
use super::rules::Rules;
use super::scripts::Miss;
use super::state::{Broken, Flight, Key, Phase, Read, ReadStep, State, Version};
use super::story::{self, Story};

impl Model {
    /// `Store::miss` for a flight.
    pub(super) fn ask(&self, s: &mut State, flight: u8, story: &mut Story) {
        let Flight { at, phase, .. } = s.flights[usize::from(flight)];
        let run = self.believed_run(s, at);
        let ignore = phase == Phase::Ask { ignore: true };
        let miss = match phase {
            Phase::Ensured { ignore, stamp } => {
                story.tell(|| format!("flight {} asks the miss script of the entry", flight + 1));
                s.redis.miss_there(&self.rules, (flight, run), ignore, stamp, &mut s.mint)
            }
            _ if self.scenario.spread => {
                story.tell(|| format!("flight {} asks for the generation", flight + 1));
                match s.redis.ensure(&self.rules, &mut s.mint) {
                    Some(stamp) => {
                        story.tell(|| format!("it is {}", story::id(stamp)));
                        s.flights[usize::from(flight)].phase = Phase::Ensured { ignore, stamp };
                        return;
                    }
                    None => Miss::Closed,
                }
            }
            _ => {
                story.tell(|| format!("flight {} asks the miss script", flight + 1));
                s.redis.miss(&self.rules, flight, run, ignore, &mut s.mint)
            }
        };
        match miss {
            Miss::Granted(snapshot) => {
                story.tell(|| format!("GRANTED {}", story::snapshot(snapshot)));
                s.flights[usize::from(flight)].phase = Phase::Ready(Some(snapshot));
            }
            Miss::Wait(_) => {
                story.tell(|| "WAIT".into());
                s.flights[usize::from(flight)].phase = Phase::Wait;
            }
            Miss::Again => {
                story.tell(|| "AGAIN".into());
                drop_flight(s, flight);
            }
            Miss::Closed => {
                story.tell(|| "CLOSED".into());
                self.without_store(s, flight, story);
            }
        }
    }

    /// The store did not help this flight: its leader goes for the next run, and whoever joined
    /// it looks up again, for they may have begun after that run.
    pub(super) fn without_store(&self, s: &mut State, flight: u8, story: &mut Story) {
        let Flight { at, key, .. } = s.flights[usize::from(flight)];
        if self.rules.closed_leaves_the_map {
            let led = s.reads[usize::from(flight)].step == ReadStep::Joined { flight };
            drop_flight(s, flight);
            story.tell(|| format!("flight {} leaves the map", flight + 1));
            if led {
                self.next_run(s, flight, story);
            }
            return;
        }
        // Rule 5 switched off: the flight keeps its place, and gets what its leader gets.
        story.tell(|| format!("flight {} stays in the map", flight + 1));
        let leader = s.reads[usize::from(flight)];
        let target = self.next_flight(s, at, leader.started_since).unwrap_or(flight);
        if target == flight {
            s.flights[usize::from(flight)] =
                Flight { at, key, next: true, phase: Phase::Ready(None) };
        } else {
            s.flights[usize::from(flight)] = Flight::default();
            s.flights[usize::from(target)].key = key;
            story.tell(|| format!("it is given the run of flight {}", target + 1));
            for read in &mut s.reads {
                if read.step == (ReadStep::Joined { flight }) {
                    read.step = ReadStep::Joined { flight: target };
                }
            }
        }
    }

    /// A request that the store did not help shares the next run, or is the first to want one.
    pub(super) fn next_run(&self, s: &mut State, read: u8, story: &mut Story) {
        let Read { at, started_since, .. } = s.reads[usize::from(read)];
        let flight = self.next_flight(s, at, started_since).unwrap_or_else(|| {
            s.flights[usize::from(read)] =
                Flight { at, key: None, next: true, phase: Phase::Ready(None) };
            read
        });
        story.tell(|| {
            if flight == read {
                format!("read {} wants a run that starts from now on", read + 1)
            } else {
                format!("read {} shares flight {}", read + 1, flight + 1)
            }
        });
        s.reads[usize::from(read)].step = ReadStep::Joined { flight };
    }

    /// A waiter looks up again and finds a valid entry.
    pub(super) fn look_again(&self, s: &mut State, flight: u8, story: &mut Story) {
        story.tell(|| format!("flight {}, waiting, finds a valid entry", flight + 1));
        drop_flight(s, flight);
    }

    /// A waiter has waited long enough.
    pub(super) fn give_up(&self, s: &mut State, flight: u8, story: &mut Story) {
        story.tell(|| format!("flight {} stops waiting, and will store nothing", flight + 1));
        s.flights[usize::from(flight)].phase = Phase::Ready(None);
    }

    /// The handler starts, and reads the source of truth.
    pub(super) fn start(&self, s: &mut State, flight: u8, story: &mut Story) {
        let version = s.truth;
        let f = &mut s.flights[usize::from(flight)];
        let Phase::Ready(snapshot) = f.phase else { return };
        f.phase = Phase::Running { version, snapshot, tag: None };
        story.tell(|| format!("the handler of flight {} starts: version {version}", flight + 1));
        if f.next {
            let at = f.at;
            for read in s.reads.iter_mut().filter(|read| read.at == at && read.is_asking()) {
                read.started_since |= 1 << flight;
            }
        }
        if self.scenario.count_runs {
            s.ran += 1;
            if s.ran > 1 {
                s.broken = Some(Broken::RanTwice);
            }
        }
    }

    /// Whether the tag that the response names has to be stamped before the fill.
    pub(super) fn stamps_next(&self, phase: Phase) -> bool {
        self.scenario.tagged && matches!(phase, Phase::Running { snapshot: Some(_), tag: None, .. })
    }

    /// The handler ends, and its response names a tag: `Store::stamp`.
    pub(super) fn stamp(&self, s: &mut State, flight: u8, story: &mut Story) {
        let Flight { at, phase, .. } = s.flights[usize::from(flight)];
        let Phase::Running { version, snapshot: Some(snapshot), .. } = phase else { return };
        let run = self.believed_run(s, at);
        story.tell(|| format!("the handler of flight {} ends with version {version}", flight + 1));
        match s.redis.stamp(&self.apart(), run, snapshot, &mut s.mint) {
            Ok(tag) => {
                story.tell(|| format!("its tag is stamped {}", story::id(tag)));
                s.flights[usize::from(flight)].phase =
                    Phase::Running { version, snapshot: Some(snapshot), tag: Some(tag) };
            }
            Err(refusal) => {
                story.tell(|| format!("its tag is not stamped: {refusal}"));
                self.land(s, flight, version, story);
            }
        }
    }

    /// The handler ends, or its tag is stamped: `Store::fill`, and everyone who joined has the
    /// answer.
    pub(super) fn end(&self, s: &mut State, flight: u8, story: &mut Story) {
        let Flight { at, phase, .. } = s.flights[usize::from(flight)];
        let Phase::Running { version, snapshot, tag } = phase else { return };
        story.tell(|| match tag {
            Some(_) => format!("flight {} fills with version {version}", flight + 1),
            None => format!("the handler of flight {} ends with version {version}", flight + 1),
        });
        if let Some(snapshot) = snapshot {
            let from = (flight, self.believed_run(s, at));
            let filled = s.redis.fill(&self.apart(), from, snapshot, version, tag);
            story.tell(|| match filled {
                Ok(()) => format!("stored with stamp {}", story::id(snapshot.stamp)),
                Err(refusal) => format!("not stored: {refusal}"),
            });
        }
        self.land(s, flight, version, story);
    }

    /// The rules of a stamp and of a fill. Where a tenant is spread each compares what is on the other
    /// node in a step of its own before. What has moved since then is not seen: here nothing is, which
    /// allows more.
    fn apart(&self) -> Rules {
        if self.scenario.spread {
            Rules { stamp_checks_epoch: false, fill_checks_stamps: false, ..self.rules }
        } else {
            self.rules
        }
    }

    /// The flight is over, and whoever joined it has its answer.
    fn land(&self, s: &mut State, flight: u8, version: Version, story: &mut Story) {
        s.flights[usize::from(flight)] = Flight::default();
        for read in 0..self.scenario.reads {
            s.reads[read].started_since &= !(1 << flight);
            if s.reads[read].step == (ReadStep::Joined { flight }) {
                answer(s, u8::try_from(read).expect("few"), version, Source::Fresh, story);
            }
        }
    }

    /// The run that a request without the store's help may share: one that has not started, or
    /// that started after the request began.
    fn next_flight(&self, s: &State, at: u8, started_since: u8) -> Option<u8> {
        let joinable = |(flight, f): &(u8, &Flight)| match f.phase {
            Phase::Ready(_) => f.at == at && f.next,
            Phase::Running { .. } => {
                let younger =
                    self.rules.started_runs_are_shared && started_since & 1 << *flight != 0;
                f.at == at && f.next && (younger || !self.rules.next_run_only)
            }
            _ => false,
        };
        (0..).zip(&s.flights).find(joinable).map(|(flight, _)| flight)
    }
}

/// The flight in the map of `at` under `key`.
pub(super) fn find(s: &State, at: u8, key: Key) -> Option<u8> {
    let joinable = |f: &Flight| f.at == at && f.key == Some(key) && f.phase != Phase::None;
    (0..).zip(&s.flights).find(|(_, f)| joinable(f)).map(|(flight, _)| flight)
}

/// Joins the flight with this key, or puts one that is at `phase` into the map.
pub(super) fn share_or_lead(s: &mut State, read: u8, key: Key, phase: Phase, story: &mut Story) {
    let at = s.reads[usize::from(read)].at;
    let flight = find(s, at, key).unwrap_or_else(|| {
        s.flights[usize::from(read)] = Flight { at, key: Some(key), next: false, phase };
        read
    });
    story.tell(|| {
        let does = if flight == read { "leads" } else { "joins" };
        format!("it {does} flight {} {}", flight + 1, story::key(key))
    });
    s.reads[usize::from(read)].step = ReadStep::Joined { flight };
}

/// The flight leaves the map, and whoever joined it looks up again.
fn drop_flight(s: &mut State, flight: u8) {
    s.flights[usize::from(flight)] = Flight::default();
    for read in &mut s.reads {
        read.started_since &= !(1 << flight);
        if read.step == (ReadStep::Joined { flight }) {
            read.step = ReadStep::Begun;
        }
    }
}
