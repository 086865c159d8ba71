//! Counters of one cache in this process.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts since the cache was built, of this process alone.
        ///
        /// ```
        /// # use tower_response_cache::{Cache, MemoryStore, Route};
        /// # let cache = Cache::builder(MemoryStore::new())
        /// #     .route(Route::get("/news").tenantless().same_for_all_users())
        /// #     .build()?;
        /// let before = cache.stats();
        /// // … traffic …
        /// println!("{} hits", cache.stats().hits - before.hits);
        /// # Ok::<(), tower_response_cache::ConfigError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Whether the breaker is open: the store is taken to be away, and not asked.
            pub breaker_open: bool,
            /// How many bytes of bodies are in memory now because runs read ahead of their clients.
            pub read_ahead: usize,
        }

        #[cfg(feature = "admin")]
        impl Stats {
            /// The counts, each with its name.
            pub(crate) fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn snapshot(&self, breaker_open: bool, read_ahead: usize) -> Stats {
                Stats { $($name: self.$name.load(),)* breaker_open, read_ahead }
            }
        }
    };
}

counters! {
    /// Requests answered from the store.
    hits,
    /// Requests answered from the store with what was stale.
    stale,
    /// Look-ups that the memory of this process answered, or whose bytes it gave.
    near,
    /// Requests answered from the memory of this process while the store could not be asked.
    recalled,
    /// Requests whose key had no valid entry.
    misses,
    /// Requests answered by the run of another request.
    collapsed,
    /// Stored responses that the handler has said are still good.
    revalidated,
    /// Requests that went past the cache.
    bypasses,
    /// Handler runs on cached routes.
    runs,
    /// Requests that found no room for a run within the time to wait for one.
    over_capacity,
    /// Requests that found as many waiting for a run as may, and did not wait for it.
    over_waiters,
    /// Requests that missed while as many keys were waited for as may be, and so wait for nobody.
    over_flights,
    /// Responses that were not stored since too much was being read ahead of slow clients.
    over_read_ahead,
    /// Keys whose answer could not be shared and that are not remembered, since too many are.
    unremembered,
    /// Responses stored.
    stored,
    /// Responses that may not be stored.
    uncacheable,
    /// Fills that the store refused because something had moved.
    refused,
    /// Stored bytes that did not decode, for whatever reason. Each is in one of the next five, too.
    corrupt,
    /// Stored bytes that do not begin as an entry does: somebody else wrote them.
    foreign,
    /// Stored bytes of another version of the format, as during a rolling update.
    other_version,
    /// Stored bytes that end too early.
    truncated,
    /// Stored bytes that do not match their checksum.
    bad_checksum,
    /// Stored bytes that match their checksum and hold what no cache writes.
    malformed,
    /// Stored bytes that were the answer to something else.
    mismatched,
    /// Stored values that are larger than any entry of this cache.
    oversized,
    /// Steps that the store failed to do, or not in time.
    store_errors,
    /// Times that the breaker has opened, since the store did not answer.
    breaker_opened,
    /// Steps of the store that were not taken, since the breaker was open.
    skipped,
    /// Invalidations that the store has confirmed.
    invalidations,
    /// Invalidations that the store did not confirm at once.
    unconfirmed,
    /// Unconfirmed invalidations that count for the whole tenant, or for all, since too many others
    /// are not confirmed.
    widened,
    /// Mutating requests that ran without the fence that their rule asks for.
    unfenced,
}

/// A count that many tasks add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }

    pub(super) fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
