//! When the store is not asked any more: the state of the breaker, without I/O and without a clock.
//!
//! Closed, it counts failures that follow one another. Open, nothing but probes reaches the store,
//! until one is answered. A step that began in one state says nothing about the next one: each state
//! has a number, which the step carries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The pause before the first probe.
const FIRST: Duration = Duration::from_millis(25);

/// The longest pause between two probes, and the longest that most of them wait for an answer.
const LONGEST: Duration = Duration::from_millis(500);

/// A breaker that opens again so soon after it closed goes on with the pauses it had: a store that
/// answers probes and nothing else would otherwise be tried without rest.
const RELAPSE: Duration = Duration::from_secs(5);

/// Closed or open, and how near to opening.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// The number of the state in the upper half, odd if it is open; in the lower half the failures
    /// in a row.
    word: AtomicU64,
    /// How many failures in a row open it; 0 for never.
    failures: u32,
    last: Mutex<Option<Closing>>,
}

#[derive(Clone, Copy, Debug)]
struct Closing {
    at: Instant,
    rhythm: Rhythm,
}

/// Leave to take a step, in the state with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass(u32);

/// That the breaker has opened: whoever has this is to probe the store.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    state: u32,
    at: Instant,
    pub(crate) rhythm: Rhythm,
}

impl Breaker {
    /// One that opens after so many failures in a row, or never if that is 0.
    pub(crate) fn new(failures: u32) -> Self {
        Self { word: AtomicU64::new(0), failures, last: Mutex::new(None) }
    }

    /// Leave to take a step; `None` while it is open.
    pub(crate) fn pass(&self) -> Option<Pass> {
        let (state, _) = halves(self.word.load(Ordering::Acquire));
        (!is_open(state)).then_some(Pass(state))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.pass().is_none()
    }

    /// The store has answered this step.
    pub(crate) fn succeeded(&self, pass: Pass) {
        let mut word = self.word.load(Ordering::Relaxed);
        while let (state, 1..) = halves(word)
            && state == pass.0
        {
            match self.swap(word, joined(state, 0)) {
                Ok(()) => return,
                Err(now) => word = now,
            }
        }
    }

    /// The store has not answered this step. Answers something if that opens the breaker.
    pub(crate) fn failed(&self, pass: Pass, now: Instant) -> Option<Opening> {
        if self.failures == 0 {
            return None;
        }
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let (state, count) = halves(word);
            if state != pass.0 {
                return None;
            }
            let opens = count + 1 >= self.failures;
            let next =
                if opens { joined(state.wrapping_add(1), 0) } else { joined(state, count + 1) };
            match self.swap(word, next) {
                Ok(()) if opens => {
                    let last = *self.last.lock();
                    let relapsed = last.filter(|last| now.duration_since(last.at) < RELAPSE);
                    let rhythm = relapsed.map_or(Rhythm::default(), |last| last.rhythm);
                    return Some(Opening { state: state.wrapping_add(1), at: now, rhythm });
                }
                Ok(()) => return None,
                Err(other) => word = other,
            }
        }
    }

    /// The store can be asked again. Answers for how long it could not.
    pub(crate) fn close(&self, opening: &Opening, now: Instant) -> Duration {
        *self.last.lock() = Some(Closing { at: now, rhythm: opening.rhythm });
        // Nobody but the holder of the opening leaves its state.
        self.word.store(joined(opening.state.wrapping_add(1), 0), Ordering::Release);
        now.duration_since(opening.at)
    }

    fn swap(&self, from: u64, to: u64) -> Result<(), u64> {
        self.word.compare_exchange_weak(from, to, Ordering::AcqRel, Ordering::Relaxed).map(drop)
    }
}

fn is_open(state: u32) -> bool {
    state % 2 == 1
}

fn halves(word: u64) -> (u32, u32) {
    #[allow(clippy::cast_possible_truncation, reason = "these are the halves")]
    ((word >> 32) as u32, word as u32)
}

fn joined(state: u32, count: u32) -> u64 {
    u64::from(state) << 32 | u64::from(count)
}

/// When to probe, and how long to wait for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rhythm {
    /// How often the pause has doubled.
    doubled: u32,
    probes: u32,
}

impl Rhythm {
    /// The time from the beginning of one probe to that of the next; `draw`, between 0 and 1, keeps
    /// the instances of a fleet from probing in step.
    pub(crate) fn pause(&mut self, draw: f64) -> Duration {
        let pause = (FIRST * (1 << self.doubled)).min(LONGEST);
        if pause < LONGEST {
            self.doubled += 1;
        }
        pause.mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0)
    }

    /// How long a probe may take where a step may take `full`. A request that waits has been lost
    /// where the network swallowed it, so most are given up early; each eighth is not, for a store
    /// that is slow and to be waited for.
    pub(crate) fn limit(&mut self, full: Duration) -> Duration {
        self.probes = self.probes.wrapping_add(1);
        if self.probes.is_multiple_of(8) { full } else { full.min(LONGEST) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(breaker: &Breaker, now: Instant) -> Opening {
        loop {
            let pass = breaker.pass().expect("closed");
            if let Some(opening) = breaker.failed(pass, now) {
                return opening;
            }
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_when_told() {
        let (breaker, now) = (Breaker::new(3), Instant::now());
        let pass = breaker.pass().unwrap();
        for _ in 0..10 {
            assert_eq!(breaker.failed(pass, now), None);
            assert_eq!(breaker.failed(pass, now), None);
            breaker.succeeded(pass);
        }
        assert_eq!(breaker.failed(pass, now), None);
        assert_eq!(breaker.failed(pass, now), None);
        let opening = breaker.failed(pass, now).expect("the third in a row");
        assert!(breaker.is_open());
        assert_eq!(breaker.close(&opening, now + LONGEST), LONGEST);
        assert!(!breaker.is_open());
    }

    #[test]
    fn what_began_in_another_state_says_nothing_about_this_one() {
        let (breaker, now) = (Breaker::new(2), Instant::now());
        let early = breaker.pass().unwrap();
        let opening = opened(&breaker, now);
        breaker.succeeded(early);
        assert!(breaker.is_open(), "an answer to what was asked before the outage");
        assert_eq!(breaker.failed(early, now), None, "it has been opened once");
        breaker.close(&opening, now);
        for _ in 0..10 {
            assert_eq!(breaker.failed(early, now), None);
        }
        assert!(!breaker.is_open(), "failures of before the store came back");
        let pass = breaker.pass().unwrap();
        assert_eq!(breaker.failed(pass, now), None);
        breaker.succeeded(early);
        assert!(breaker.failed(pass, now).is_some(), "a late answer forgives nothing");
    }

    #[test]
    fn it_can_be_switched_off() {
        let (breaker, now) = (Breaker::new(0), Instant::now());
        let pass = breaker.pass().unwrap();
        assert!((0..1000).all(|_| breaker.failed(pass, now).is_none()));
        assert!(!breaker.is_open());
    }

    #[test]
    fn one_of_many_opens_it() {
        let breaker = Breaker::new(5);
        let now = Instant::now();
        let pass = breaker.pass().unwrap();
        let openings: usize = std::thread::scope(|scope| {
            let fail = || (0..100).filter(|_| breaker.failed(pass, now).is_some()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(fail)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(openings, 1);
    }

    #[test]
    fn pauses_grow_to_their_limit_and_go_on_after_a_relapse() {
        let (breaker, now) = (Breaker::new(1), Instant::now());
        let mut opening = opened(&breaker, now);
        let pauses: Vec<_> = (0..7).map(|_| opening.rhythm.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [25, 50, 100, 200, 400, 500, 500]);
        assert_eq!(opening.rhythm.pause(0.0), LONGEST / 2);
        breaker.close(&opening, now);
        let mut again = opened(&breaker, now + Duration::from_millis(10));
        assert_eq!(again.rhythm.pause(1.0), LONGEST);
        breaker.close(&again, now);
        let mut later = opened(&breaker, now + RELAPSE);
        assert_eq!(later.rhythm.pause(1.0), FIRST);
    }

    #[test]
    fn each_eighth_probe_may_take_as_long_as_a_step() {
        let mut rhythm = Rhythm::default();
        let full = Duration::from_secs(5);
        let patient = (0..32).filter(|_| rhythm.limit(full) == full).count();
        assert_eq!(patient, 4);
        assert_eq!(rhythm.limit(Duration::from_millis(50)), Duration::from_millis(50));
    }
}
