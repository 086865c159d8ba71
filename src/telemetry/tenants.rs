//! The tenants with the most requests, in a fixed amount of memory.
//!
//! Nothing reads them but the operator's admin pages: without their feature nothing is counted, and
//! with it nothing until such a router has been asked for.

#[cfg(feature = "admin")]
pub(crate) use self::counting::{TenantLine, Tenants, Top};
#[cfg(not(feature = "admin"))]
pub(crate) use self::nothing::Tenants;

#[cfg(not(feature = "admin"))]
mod nothing {
    use crate::key::Space;
    use crate::telemetry::Answered;

    /// Counts nothing.
    #[derive(Debug, Default)]
    pub(crate) struct Tenants(());

    #[allow(clippy::unused_self, reason = "the other one of this name counts")]
    impl Tenants {
        #[inline]
        pub(crate) fn answered(&self, _: &Space, _: Answered) {}
    }
}

#[cfg(feature = "admin")]
mod counting {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use parking_lot::Mutex;

    use crate::key::Space;
    use crate::telemetry::Answered;
    use crate::telemetry::space_saving::{Line, SpaceSaving};

    /// How many tenants have a counter: 25 KiB or so, and each tenant with more than one request in
    /// so many is sure to be among them.
    const COUNTERS: usize = 256;

    /// So many requests are counted one by one, so that little traffic is exact.
    const EXACT: u64 = 10_000;

    /// After that, one in so many is, drawn by lot: whoever asks in a rhythm could meet it, or miss
    /// it, each time. A power of two.
    const SAMPLE: u64 = 16;

    /// Requests by tenant.
    #[derive(Debug)]
    pub(crate) struct Tenants {
        is_on: AtomicBool,
        /// How many requests are counted, those that each sample stands for included.
        total: AtomicU64,
        sketch: Mutex<SpaceSaving<Space>>,
    }

    /// One of the most frequent tenants.
    pub(crate) type TenantLine = Line<Space>;

    /// Who has asked most since the counting began.
    #[derive(Clone, Debug)]
    pub(crate) struct Top {
        /// How many requests there were in all.
        pub(crate) total: u64,
        /// The most first.
        pub(crate) lines: Vec<TenantLine>,
        /// Whether one in many is counted by now, for all of them.
        pub(crate) is_sampled: bool,
    }

    impl Default for Tenants {
        fn default() -> Self {
            Self {
                is_on: AtomicBool::new(false),
                total: AtomicU64::new(0),
                sketch: Mutex::new(SpaceSaving::new(COUNTERS)),
            }
        }
    }

    impl Tenants {
        /// Counts from now on.
        pub(crate) fn begin(&self) {
            self.is_on.store(true, Ordering::Relaxed);
        }

        pub(crate) fn is_on(&self) -> bool {
            self.is_on.load(Ordering::Relaxed)
        }

        /// A request of this tenant has its answer.
        #[inline]
        pub(crate) fn answered(&self, space: &Space, how: Answered) {
            if self.is_on() {
                self.count(space, how);
            }
        }

        fn count(&self, space: &Space, how: Answered) {
            let weight = if self.total.load(Ordering::Relaxed) < EXACT {
                1
            } else if fastrand::u64(..SAMPLE) == 0 {
                SAMPLE
            } else {
                return;
            };
            self.total.fetch_add(weight, Ordering::Relaxed);
            self.sketch.lock().count(space, weight, how.is_without_handler());
        }

        /// The tenants with the most requests, so many at most.
        pub(crate) fn top(&self, most: usize) -> Top {
            let (total, lines) = {
                let sketch = self.sketch.lock();
                (sketch.total(), sketch.top(most))
            };
            Top { total, lines, is_sampled: total > EXACT }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn space(tenant: &str) -> Space {
            Space::new(&"gym".into(), tenant)
        }

        #[test]
        fn nothing_is_counted_until_somebody_wants_it() {
            let tenants = Tenants::default();
            tenants.answered(&space("4"), Answered::Hit);
            assert!(tenants.top(9).lines.is_empty());
            tenants.begin();
            tenants.answered(&space("4"), Answered::Hit);
            tenants.answered(&space("4"), Answered::Miss);
            tenants.answered(&space("5"), Answered::Stale);
            let top = tenants.top(9);
            assert_eq!((top.total, top.is_sampled), (3, false));
            let counts: Vec<_> = top.lines.iter().map(|line| (line.count, line.hits)).collect();
            assert_eq!(counts, [(2, 1), (1, 1)]);
            assert_eq!(tenants.top(1).lines.len(), 1);
        }

        #[test]
        fn samples_stand_for_what_they_were_drawn_from() {
            let tenants = Tenants::default();
            tenants.begin();
            // Three of four are of one tenant, and one of three of these is a miss.
            for number in 0..400_000 {
                let how = if number % 3 == 0 { Answered::Miss } else { Answered::Hit };
                tenants.answered(&space(if number % 4 == 0 { "5" } else { "4" }), how);
            }
            let top = tenants.top(9);
            assert!(top.is_sampled);
            let near = |found: u64, expected: u64| found.abs_diff(expected) < expected / 10;
            assert!(near(top.total, 400_000), "{top:?}");
            assert!(near(top.lines[0].count, 300_000), "{top:?}");
            assert!(near(top.lines[0].hits, 200_000), "{top:?}");
            assert_eq!(top.lines[0].key, space("4"));
            assert_eq!(top.lines.iter().map(|line| line.count).sum::<u64>(), top.total);
        }

        #[test]
        fn a_flood_of_invented_tenants_hides_none_that_matters_and_takes_no_room() {
            let tenants = Tenants::default();
            tenants.begin();
            for number in 0..EXACT {
                tenants.answered(&space(&format!("invented-{number}")), Answered::Miss);
                if number % 8 == 0 {
                    tenants.answered(&space("4"), Answered::Hit);
                }
            }
            let top = tenants.top(usize::MAX);
            assert_eq!(top.lines.len(), COUNTERS);
            assert_eq!(top.lines[0].key, space("4"));
        }
    }
}
