//! The model: which steps are possible in a state, and what each makes of it.

use super::faults::Fault;
use super::near::feed;
use super::rules::Rules;
use super::scenario::{Kind, NearCache, Scenario, fault};
use super::scripts::Validity;
use super::state::{EPOCH, GAP, GENERATION, Generation, Phase, ReadStep, Redis, State, WriteStep};
use super::story::Story;

/// One step. It names no id, so that it means the same in two worlds that differ only in those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Begin { read: u8, at: u8 },
    Lookup { read: u8 },
    LookThere { read: u8, at_entry: bool },
    CheckTag { read: u8 },
    MissFirst { read: u8 },
    Insert { read: u8 },
    Ask { flight: u8 },
    LookAgain { flight: u8 },
    GiveUp { flight: u8 },
    Start { flight: u8 },
    Stamp { flight: u8 },
    End { flight: u8 },
    Fence { write: u8 },
    Commit { write: u8 },
    Script { write: u8 },
    Deadline { write: u8 },
    ClosedExpires,
    Deliver { at: u8, push: u8 },
    Save,
    SecondTime,
    Fault(Fault),
}

/// A scenario under a set of rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub(super) scenario: Scenario,
    pub(super) rules: Rules,
}

impl Model {
    /// Where every run begins.
    pub(super) fn initial(&self) -> State {
        State::new(self.scenario.faults.0)
    }

    /// Every step that is possible in `s`.
    pub(super) fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        self.faults(s, actions);
        self.read_actions(s, actions);
        self.flight_actions(s, actions);
        self.write_actions(s, actions);
        if matches!(s.redis.generation, Generation::Closed { until: 0, .. }) {
            actions.push(Action::ClosedExpires);
        }
        for (at, instance) in (0..).zip(&s.instances) {
            let pushes = [GENERATION, EPOCH, GAP].into_iter();
            let under_way = pushes.filter(|push| instance.pushes & push != 0);
            actions.extend(under_way.map(|push| Action::Deliver { at, push }));
        }
        let restarts = self.scenario.faults.1 & fault::RESTART != 0 && s.faults_left > 0;
        let stores = s.redis != Redis { run: s.redis.run, ..Redis::default() };
        if restarts && s.saved.is_none() && stores {
            actions.push(Action::Save);
        }
        if s.copied.is_some() {
            actions.push(Action::SecondTime);
        }
    }

    /// The state after `action`.
    pub(super) fn step(&self, before: &State, action: Action, story: &mut Story) -> State {
        let mut state = *before;
        let s = &mut state;
        match action {
            Action::Begin { read, at } => {
                self.begin(s, read, at, story);
                if self.scenario.begins_with_a_lookup() {
                    self.lookup(s, read, story);
                }
            }
            Action::Lookup { read } => self.lookup(s, read, story),
            Action::LookThere { read, at_entry } => self.look_there(s, read, at_entry, story),
            Action::CheckTag { read } => self.check_tag(s, read, story),
            Action::MissFirst { read } => self.miss_first(s, read, story),
            Action::Insert { read } => self.insert(s, read, story),
            Action::Ask { flight } => self.ask(s, flight, story),
            Action::LookAgain { flight } => self.look_again(s, flight, story),
            Action::GiveUp { flight } => self.give_up(s, flight, story),
            Action::Start { flight } => self.start(s, flight, story),
            Action::Stamp { flight } => self.stamp(s, flight, story),
            Action::End { flight } => self.end(s, flight, story),
            Action::Fence { write } => self.fence(s, usize::from(write), story),
            Action::Commit { write } => self.commit(s, usize::from(write), story),
            Action::Script { write } => self.script(s, usize::from(write), true, story),
            Action::Deadline { write } => self.deadline(s, usize::from(write), story),
            Action::ClosedExpires => self.closed_expires(s, story),
            Action::Deliver { at, push } => self.deliver(s, at, push, story),
            Action::Save => {
                s.saved = Some(s.redis);
                story.tell(|| "Redis saves a snapshot".into());
            }
            Action::SecondTime => self.second_time(s, story),
            Action::Fault(fault) => self.strike(s, fault, story),
        }
        if self.scenario.near == NearCache::Coherent {
            feed(before, s);
        }
        state
    }

    fn read_actions(&self, s: &State, actions: &mut Vec<Action>) {
        for (read, r) in (0..).zip(&s.reads[..self.scenario.reads]) {
            match r.step {
                ReadStep::Idle => {
                    // Reads are alike: they begin in the order of their numbers.
                    actions.push(Action::Begin { read, at: 0 });
                    if read > 0 || self.scenario.instances_differ() {
                        actions.push(Action::Begin { read, at: 1 });
                    }
                    break;
                }
                ReadStep::Begun if self.scenario.spread => {
                    actions.push(Action::LookThere { read, at_entry: true });
                    actions.push(Action::LookThere { read, at_entry: false });
                }
                ReadStep::SeenEntry { .. } | ReadStep::Confirmed { at_entry: true, .. } => {
                    actions.push(Action::LookThere { read, at_entry: false });
                }
                ReadStep::SeenGeneration { .. } | ReadStep::Confirmed { at_entry: false, .. } => {
                    actions.push(Action::LookThere { read, at_entry: true });
                }
                ReadStep::Begun => actions.push(Action::Lookup { read }),
                ReadStep::Tag { .. } => actions.push(Action::CheckTag { read }),
                ReadStep::Miss { .. } | ReadStep::Ensured { .. } => {
                    actions.push(Action::MissFirst { read });
                }
                ReadStep::Insert { .. } => actions.push(Action::Insert { read }),
                ReadStep::Joined { .. } | ReadStep::Done => {}
            }
        }
    }

    fn flight_actions(&self, s: &State, actions: &mut Vec<Action>) {
        for (flight, f) in (0..).zip(&s.flights) {
            match f.phase {
                Phase::None => {}
                Phase::Ask { .. } | Phase::Ensured { .. } => actions.push(Action::Ask { flight }),
                Phase::Wait => {
                    let run = self.believed_run(s, f.at);
                    let appeared = s.redis.entry.is_some_and(|entry| {
                        s.redis.validity(entry, &self.rules, run) == Validity::Fresh
                            && entry.tag == s.redis.tag
                    });
                    if appeared {
                        actions.push(Action::LookAgain { flight });
                    }
                    if self.scenario.impatient {
                        actions.push(Action::GiveUp { flight });
                    }
                }
                Phase::Ready(_) => {
                    let runs = |it: &super::state::Flight| {
                        it.next && it.at == f.at && matches!(it.phase, Phase::Running { .. })
                    };
                    if !f.next || !s.flights.iter().any(runs) {
                        actions.push(Action::Start { flight });
                    }
                }
                Phase::Running { .. } if self.stamps_next(f.phase) => {
                    actions.push(Action::Stamp { flight });
                }
                Phase::Running { .. } => actions.push(Action::End { flight }),
            }
        }
    }

    fn write_actions(&self, s: &State, actions: &mut Vec<Action>) {
        let commits_first = !self.scenario.commit_in_script;
        for (write, kind) in (0..).zip(self.scenario.writes.iter().map(|(kind, _)| *kind)) {
            let index = usize::from(write);
            match s.writes[index].step {
                WriteStep::Idle if self.waits_for_its_like(s, index) => {}
                WriteStep::Idle if kind == Kind::Fenced => actions.push(Action::Fence { write }),
                WriteStep::Idle | WriteStep::Fenced if commits_first => {
                    actions.push(Action::Commit { write });
                }
                WriteStep::Idle | WriteStep::Fenced | WriteStep::Committed { .. } => {
                    actions.push(Action::Script { write });
                }
                WriteStep::Crashed { fenced: true }
                    if s.writes[index].version == 0 && s.passed & 1 << write == 0 =>
                {
                    actions.push(Action::Commit { write });
                }
                WriteStep::Crashed { .. } | WriteStep::Done => {}
            }
            if self.deadline_can_pass(s, index) {
                actions.push(Action::Deadline { write });
            }
        }
    }

    /// Writes of one kind on one instance are alike: they begin in the order of their numbers.
    fn waits_for_its_like(&self, s: &State, write: usize) -> bool {
        write > 0
            && self.scenario.writes[write] == self.scenario.writes[write - 1]
            && s.writes[write - 1].step == WriteStep::Idle
    }
}
