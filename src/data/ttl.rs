//! For how long a value is kept.

use std::time::Duration;

use crate::policy::MAX_TTL;

/// For how long a value is fresh. A [`Duration`] is one: at least 1 ms, and more than 365 days count
/// as 365 days; zero is for not at all.
///
/// ```
/// use std::time::Duration;
/// use tower_response_cache::DataTtl;
///
/// // A user who does not exist is looked for again soon.
/// let ttl = DataTtl::from(Duration::from_secs(3600)).absent(Duration::from_secs(10));
/// ```
///
/// # What does not compile
///
/// A number without a unit:
///
/// ```compile_fail,E0277
/// let ttl = tower_response_cache::DataTtl::from(3600);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataTtl {
    present: Duration,
    absent: Option<Duration>,
}

impl DataTtl {
    /// Another span for a value that is `null` in JSON, such as `None`: absent results are asked for
    /// again sooner. The same span if not set; zero to keep none.
    #[must_use]
    pub fn absent(mut self, span: Duration) -> Self {
        self.absent = Some(span);
        self
    }

    /// The span for a value with this JSON, if it is to be kept.
    pub(super) fn of(self, json: &[u8]) -> Option<Duration> {
        let span = if json == b"null" { self.absent.unwrap_or(self.present) } else { self.present };
        (span >= Duration::from_millis(1)).then(|| span.min(MAX_TTL))
    }

    /// The longest of its spans.
    pub(super) fn longest(self) -> Duration {
        self.present.max(self.absent.unwrap_or_default()).min(MAX_TTL)
    }
}

impl From<Duration> for DataTtl {
    fn from(present: Duration) -> Self {
        Self { present, absent: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_may_be_kept_for_another_time() {
        let (long, short) = (Duration::from_secs(60), Duration::from_secs(1));
        let rows = [
            (DataTtl::from(long), "1", Some(long)),
            (DataTtl::from(long), "null", Some(long)),
            (DataTtl::from(long).absent(short), "null", Some(short)),
            (DataTtl::from(long).absent(short), "[]", Some(long)),
            (DataTtl::from(long).absent(Duration::ZERO), "null", None),
            (DataTtl::from(Duration::ZERO), "1", None),
            (DataTtl::from(Duration::MAX), "1", Some(MAX_TTL)),
        ];
        for (ttl, json, expected) in rows {
            assert_eq!(ttl.of(json.as_bytes()), expected, "{ttl:?} {json}");
        }
    }
}
