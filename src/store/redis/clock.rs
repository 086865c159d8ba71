//! The server's clock, as seen from here.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::entry::Millis;

/// A round trip longer than this says too little about when the server read its clock.
const LONGEST: Duration = Duration::from_millis(250);

/// The server's clock. Once the server has told its time, only the time that passes is measured
/// here: whatever the local clock says, or is set to, changes nothing.
#[derive(Debug)]
pub(super) struct ServerClock {
    /// What passes is counted from here.
    start: Instant,
    /// The server's time at `start`; before it is known, the local one.
    at_start: AtomicI64,
    /// The local time at `start`.
    local: i64,
    learned: AtomicBool,
}

impl ServerClock {
    /// A clock that follows `local` until the server has told its time.
    pub(super) fn new(local: &dyn Clock) -> Self {
        let at_start = i64::try_from(local.millis()).unwrap_or(i64::MAX);
        Self {
            start: Instant::now(),
            at_start: AtomicI64::new(at_start),
            local: at_start,
            learned: AtomicBool::new(false),
        }
    }

    /// The server's time.
    pub(super) fn now(&self) -> Millis {
        self.at(Instant::now())
    }

    /// The server's time at a moment.
    pub(super) fn at(&self, moment: Instant) -> Millis {
        let passed = self.passed(moment);
        let time = passed.saturating_add(self.at_start.load(Ordering::Relaxed));
        Millis::try_from(time).unwrap_or(0)
    }

    /// By how many milliseconds the server's clock was ahead of the local one when this began.
    pub(super) fn offset(&self) -> i64 {
        self.at_start.load(Ordering::Relaxed).saturating_sub(self.local)
    }

    /// The server said `server` in answer to a question that was asked at `asked`.
    ///
    /// It is taken to have read its clock in the middle of the round trip.
    pub(super) fn learn(&self, server: i64, asked: Instant) {
        let trip = asked.elapsed();
        if trip > LONGEST && self.learned.load(Ordering::Relaxed) {
            return;
        }
        let half = i64::try_from(trip.as_millis() / 2).unwrap_or(0);
        self.at_start
            .store(server.saturating_sub(self.passed(Instant::now()) - half), Ordering::Relaxed);
        self.learned.store(true, Ordering::Relaxed);
    }

    fn passed(&self, until: Instant) -> i64 {
        let passed = until.saturating_duration_since(self.start).as_millis();
        i64::try_from(passed).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn follows_the_server() {
        let clock = ServerClock::new(&SystemClock);
        clock.learn(5_000_000, Instant::now());
        assert!((5_000_000..5_001_000).contains(&clock.now()));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        clock.learn(9_000_000, long_ago);
        assert!(clock.now() < 5_001_000, "a slow answer does not move a known offset");
    }
}
