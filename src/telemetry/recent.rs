//! The last invalidations of this process, in a ring of a fixed length.
//!
//! Nothing reads it but the admin pages: without their feature nothing is kept.

#[cfg(not(feature = "admin"))]
pub(crate) use self::nothing::Recent;
#[cfg(feature = "admin")]
pub(crate) use self::ring::{Invalidation, Recent};

#[cfg(not(feature = "admin"))]
mod nothing {
    use std::time::Duration;

    use crate::key::ScopeNames;

    /// Keeps nothing.
    #[derive(Debug, Default)]
    pub(crate) struct Recent(());

    #[allow(clippy::unused_self, reason = "the other one of this name keeps what it is told")]
    impl Recent {
        pub(crate) fn confirmed(&self, _: &ScopeNames, _: Duration) {}
        pub(crate) fn unconfirmed(&self, _: &ScopeNames) {}
        pub(crate) fn confirmed_late(&self, _: &ScopeNames) {}
    }
}

#[cfg(feature = "admin")]
mod ring {
    use std::collections::VecDeque;
    use std::time::{Duration, Instant};

    use parking_lot::Mutex;

    use crate::clock::{Clock as _, SystemClock};
    use crate::entry::Millis;
    use crate::key::{ScopeNames, Space};

    /// How many are kept: enough for a page, few enough to be copied under a lock.
    const KEPT: usize = 64;

    /// How many scopes of each are kept by name.
    const NAMED: usize = 8;

    /// An invalidation that was tried.
    #[derive(Clone, Debug)]
    pub(crate) struct Invalidation {
        pub(crate) space: Space,
        /// The texts of the first scopes.
        pub(crate) scopes: Vec<String>,
        /// How many there are.
        pub(crate) count: usize,
        /// When it began, by the clock of this machine: for people, not for the protocol.
        pub(crate) at: Millis,
        began: Instant,
        /// How long it took until the store had confirmed it; `None` while it has not.
        pub(crate) lag: Option<Duration>,
    }

    /// The last invalidations, newest first.
    #[derive(Debug, Default)]
    pub(crate) struct Recent(Mutex<VecDeque<Invalidation>>);

    impl Recent {
        /// The store has confirmed it, so long after it began.
        pub(crate) fn confirmed(&self, scopes: &ScopeNames, lag: Duration) {
            self.push(Invalidation::of(scopes, Some(lag)));
        }

        /// The store has not confirmed it, and is going to be asked again.
        pub(crate) fn unconfirmed(&self, scopes: &ScopeNames) {
            self.push(Invalidation::of(scopes, None));
        }

        /// The store has confirmed what it had not before: a retry is of all scopes of a tenant that
        /// are not confirmed.
        pub(crate) fn confirmed_late(&self, scopes: &ScopeNames) {
            for known in self.0.lock().iter_mut() {
                if known.lag.is_none() && known.space == *scopes.space() {
                    known.lag = Some(known.began.elapsed());
                }
            }
        }

        /// Those that `is_shown` lets through.
        pub(crate) fn list(&self, is_shown: impl Fn(&Space) -> bool) -> Vec<Invalidation> {
            self.0.lock().iter().filter(|known| is_shown(&known.space)).cloned().collect()
        }

        fn push(&self, invalidation: Invalidation) {
            let mut ring = self.0.lock();
            ring.truncate(KEPT - 1);
            ring.push_front(invalidation);
        }
    }

    impl Invalidation {
        fn of(scopes: &ScopeNames, lag: Option<Duration>) -> Self {
            let own = scopes.space().prefix('g');
            let named = scopes.generations().iter().take(NAMED);
            let mut texts: Vec<String> =
                named.map(|name| name.strip_prefix(&own).unwrap_or(name).to_owned()).collect();
            if scopes.all_tenants().is_some() {
                texts.insert(0, "all tenants".to_owned());
            }
            let spent = lag.unwrap_or_default();
            let millis = Millis::try_from(spent.as_millis()).unwrap_or(0);
            Self {
                space: scopes.space().clone(),
                scopes: texts,
                count: scopes.len(),
                at: SystemClock.millis().saturating_sub(millis),
                began: Instant::now(),
                lag,
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_ring_is_bounded_and_tells_tenants_apart() {
            let recent = Recent::default();
            let space = |tenant| Space::new(&"gym".into(), tenant);
            for number in 0..KEPT + 9 {
                let mut scopes = ScopeNames::new(&space(if number % 2 == 0 { "4" } else { "5" }));
                (0..NAMED + 3).for_each(|scope| scopes.push(&format!("path:/{number}/{scope}")));
                recent.confirmed(&scopes, Duration::from_millis(1));
            }
            let all = recent.list(|_| true);
            assert_eq!(all.len(), KEPT);
            assert_eq!((all[0].scopes.len(), all[0].count), (NAMED, NAMED + 3));
            assert_eq!(all[0].scopes[0], format!("path:/{}/0", KEPT + 8));
            assert!(recent.list(|known| *known == space("4")).len() < KEPT);
            let mut scopes = ScopeNames::new(&space("4"));
            scopes.push("tenant");
            recent.unconfirmed(&scopes);
            assert_eq!(recent.list(|_| true)[0].lag, None);
            recent.confirmed_late(&ScopeNames::new(&space("5")));
            assert_eq!(recent.list(|_| true)[0].lag, None);
            recent.confirmed_late(&scopes);
            assert!(recent.list(|_| true)[0].lag.is_some());
        }
    }
}
