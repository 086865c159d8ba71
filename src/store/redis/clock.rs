//! The server's clock, as seen from here.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::entry::Millis;

/// A round trip longer than this says too little about when the server read its clock.
const LONGEST: Duration = Duration::from_millis(250);

/// The local clock and how far the server's is ahead of it.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead: AtomicI64,
    learned: AtomicBool,
}

impl Clock {
    /// The server's time; before it is known, the local one.
    pub(super) fn now(&self) -> Millis {
        let now = local().saturating_add(self.ahead.load(Ordering::Relaxed));
        Millis::try_from(now).unwrap_or(0)
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
        self.ahead.store(server.saturating_sub(local() - half), Ordering::Relaxed);
        self.learned.store(true, Ordering::Relaxed);
    }
}

fn local() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_server() {
        let clock = Clock::default();
        clock.learn(5_000_000, Instant::now());
        assert!((5_000_000..5_001_000).contains(&clock.now()));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        clock.learn(9_000_000, long_ago);
        assert!(clock.now() < 5_001_000, "a slow answer does not move a known offset");
    }
}
