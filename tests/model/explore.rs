//! Breadth-first search of everything that can happen, with the shortest way to what must not.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::time::{Duration, Instant};

use super::canonical::canonical;
use super::machine::{Action, Model};
use super::state::{Broken, ReadStep, State};
use super::story::Story;

/// A claim about a state: what is broken in it, if anything is.
pub(super) type Claim = fn(&Model, &State) -> Option<Broken>;

/// What a search found.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) states: usize,
    pub(super) steps: usize,
    /// The longest shortest way to a state.
    pub(super) depth: usize,
    pub(super) elapsed: Duration,
    /// The shortest run in which a claim does not hold, if there is one.
    pub(super) broken: Option<Counterexample>,
}

/// A run that breaks a claim.
#[derive(Debug)]
pub(super) struct Counterexample {
    pub(super) broken: Broken,
    /// One line a step, in words.
    pub(super) trace: String,
}

/// Visits every state that `model` can reach, until one breaks a claim.
///
/// States are told apart by 64 bits of hash: with ten million of them, the chance that any two
/// share one is about one in 400 000.
pub(super) fn explore(model: &Model, claims: &[Claim]) -> Report {
    let began = Instant::now();
    let mut search = Search { seen: HashSet::default(), ways: Vec::new(), steps: 0 };
    let mut level = Vec::new();
    let first = canonical(model.initial());
    search.meet(first, (0, Action::Save), &mut level);
    let (mut depth, mut broken) = (0, None);
    let mut actions = Vec::new();
    'levels: while !level.is_empty() {
        let mut below = Vec::new();
        for (state, way) in &level {
            actions.clear();
            model.actions(state, &mut actions);
            let found = judge(model, claims, state, actions.is_empty());
            if let Some(found) = found {
                let trace = tell(model, &search.way_to(*way));
                broken = Some(Counterexample { broken: found, trace });
                break 'levels;
            }
            for action in &actions {
                search.steps += 1;
                let next = canonical(model.step(state, *action, &mut Story::silent()));
                search.meet(next, (*way, *action), &mut below);
            }
        }
        depth += 1;
        level = below;
    }
    let elapsed = began.elapsed();
    Report { states: search.ways.len(), steps: search.steps, depth, elapsed, broken }
}

fn judge(model: &Model, claims: &[Claim], state: &State, is_end: bool) -> Option<Broken> {
    let stuck = || {
        let waits = (0..).zip(&state.reads).find(|(_, read)| read.is_asking());
        waits.filter(|_| is_end).map(|(read, _)| Broken::Stuck { read })
    };
    let abandoned = || {
        (0..).zip(&state.reads).find_map(|(read, r)| match r.step {
            ReadStep::Joined { flight }
                if state.flights[usize::from(flight)].phase == super::state::Phase::None =>
            {
                Some(Broken::Abandoned { read })
            }
            _ => None,
        })
    };
    claims.iter().find_map(|claim| claim(model, state)).or_else(stuck).or_else(abandoned)
}

/// Replays a run with ids that keep their names, and tells it.
fn tell(model: &Model, actions: &[Action]) -> String {
    let mut state = model.initial();
    let mut trace = String::new();
    for (number, action) in (1..).zip(actions) {
        let mut story = Story::loud();
        state = model.step(&state, *action, &mut story);
        writeln!(trace, "{number:2}. {}", story.line()).expect("a String takes it");
    }
    trace
}

struct Search {
    seen: HashSet<u64, BuildHasherDefault<Hashed>>,
    /// For each state, the one it was met from and the step from there.
    ways: Vec<(u32, Action)>,
    steps: usize,
}

impl Search {
    fn meet(&mut self, state: State, from: (u32, Action), level: &mut Vec<(State, u32)>) {
        let mut hasher = Mixed(0);
        state.hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            let way = u32::try_from(self.ways.len()).expect("fewer than four thousand million");
            self.ways.push(from);
            level.push((state, way));
        }
    }

    fn way_to(&self, mut way: u32) -> Vec<Action> {
        let mut actions = Vec::new();
        while way != 0 {
            let (from, action) = self.ways[way as usize];
            actions.push(action);
            way = from;
        }
        actions.reverse();
        actions
    }
}

/// A fast hash of a state: each word is mixed in by a 64 by 64 to 128 bit multiplication.
struct Mixed(u64);

impl Mixed {
    fn mix(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
        let (low, high) = (wide as u64, (wide >> 64) as u64);
        self.0 = low ^ high.rotate_left(32);
    }
}

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, it: u8) {
        self.mix(u64::from(it));
    }

    fn write_isize(&mut self, it: isize) {
        #[allow(clippy::cast_sign_loss, reason = "it is the number of an enum's variant")]
        self.mix(it as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The set's own hasher: what it holds is hashed already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are kept")
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
