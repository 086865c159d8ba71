//! The one place where the time of day is read.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::entry::Millis;

/// Tells the time of day. Stores take one, so that tests can turn it.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Microseconds since the Unix epoch.
    fn micros(&self) -> u64;

    /// Milliseconds since the Unix epoch.
    fn millis(&self) -> Millis {
        self.micros() / 1000
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one reading of the clock")]
    fn micros(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// The operating system's clock, turned forwards or back by hand.
///
/// ```
/// use std::time::Duration;
/// use tower_response_cache::clock::{Clock, SkewedClock, SystemClock};
///
/// let clock = SkewedClock::default();
/// clock.advance(Duration::from_secs(900));
/// assert!(clock.millis() >= SystemClock.millis() + 899_000);
/// ```
#[derive(Debug, Default)]
pub struct SkewedClock {
    micros: AtomicI64,
}

impl SkewedClock {
    /// Turns the clock forwards.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_add(by, Ordering::Relaxed);
    }

    /// Turns the clock back.
    pub fn rewind(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_sub(by, Ordering::Relaxed);
    }
}

impl Clock for SkewedClock {
    fn micros(&self) -> u64 {
        SystemClock.micros().saturating_add_signed(self.micros.load(Ordering::Relaxed))
    }
}
