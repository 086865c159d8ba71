//! The choice of a mode and its limits.

use std::time::Duration;

/// A near-cache for a [`RedisStore`](crate::RedisStore): what this process has found stays in its
/// memory too.
///
/// There are two kinds.
///
/// | | a hit asks | what an invalidation on another instance ends here |
/// |---|---|---|
/// | [`coherent`](Self::coherent) | nobody | within [`liveness`](Self::liveness), 1 s unless set; usually within a millisecond |
/// | [`strict`](Self::strict) | Redis for the generations, without the body | at once |
///
/// What this instance invalidates ends here at once, in both. The coherent kind listens to a feed of
/// what moves (`CLIENT TRACKING`), on a connection of its own. It answers only while the feed is
/// proven alive: each answer to a question that is asked several times in that span proves that
/// everything moved before the question has been told. A feed that is silent, late or cut is proven
/// no more, and then hits ask Redis again.
///
/// An entry that is stored anew without anything having been invalidated, by a refresh for instance,
/// is seen by the instance that stores it; by others when their own copy ends.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tower_response_cache::{NearCache, RedisStore};
///
/// let near = NearCache::coherent().capacity(128 << 20).max_age(Duration::from_secs(10));
/// let store = RedisStore::builder("redis://127.0.0.1").near_cache(near).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NearCache(NearSettings);

#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct NearSettings {
    pub(in crate::store) mode: Mode,
    pub(in crate::store) capacity: u64,
    pub(in crate::store) max_age: Duration,
    pub(in crate::store) liveness: Duration,
}

/// What a hit asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Mode {
    /// Nobody, while the feed is alive.
    Coherent,
    /// The store, for the generations.
    Strict,
}

impl NearCache {
    /// One whose hits ask nobody, as long as its feed is alive.
    pub fn coherent() -> Self {
        Self::of(Mode::Coherent)
    }

    /// One whose hits ask Redis whether they still hold, and leave the body where it is.
    pub fn strict() -> Self {
        Self::of(Mode::Strict)
    }

    /// How many bytes it may hold, 64 MiB unless set. What is used least goes first.
    pub fn capacity(mut self, bytes: u64) -> Self {
        self.0.capacity = bytes;
        self
    }

    /// For how long it believes what it holds, whatever the feed says: 60 s unless set; at least
    /// 1 ms.
    pub fn max_age(mut self, span: Duration) -> Self {
        self.0.max_age = span.max(Duration::from_millis(1));
        self
    }

    /// For how long a proof of the feed's life holds, 1 s unless set; 20 ms to 1 minute. This is the
    /// bound on how old a coherent answer can be: what was invalidated on another instance longer ago
    /// is not served. The question that proves it is asked four times in that span.
    pub fn liveness(mut self, span: Duration) -> Self {
        self.0.liveness = span.clamp(Duration::from_millis(20), Duration::from_secs(60));
        self
    }

    pub(in crate::store) fn settings(&self) -> NearSettings {
        self.0
    }

    fn of(mode: Mode) -> Self {
        Self(NearSettings {
            mode,
            capacity: 64 << 20,
            max_age: Duration::from_secs(60),
            liveness: Duration::from_secs(1),
        })
    }
}
