//! How many of what a check lets loose on the protocol.

/// What a write does after its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Invalidates the configured scope.
    Hard,
    /// The same, softly.
    Soft,
    /// Fences the scope before its handler, and lifts the fence after it.
    Fenced,
    /// Calls `delete_pattern` with a glob that the key matches.
    Pattern,
    /// Calls `remove` with the key.
    Remove,
    /// Invalidates the tag that responses name.
    Tag,
}

/// Which near-cache an instance has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NearCache {
    Off,
    /// Believes its feed.
    Coherent,
    /// Confirms the stamps of each hit with the store.
    Strict,
}

/// The faults that a check may choose from.
pub(super) mod fault {
    /// Any one Redis key is evicted, or expires early.
    pub(crate) const EVICT: u16 = 1;
    /// Redis evicts the fence tokens; contained in [`EVICT`].
    pub(crate) const EVICT_TOKENS: u16 = 256;
    /// `FLUSHALL`.
    pub(crate) const FLUSH: u16 = 2;
    /// The client of a read goes away.
    pub(crate) const LEAVE: u16 = 4;
    /// An instance crashes, and starts again.
    pub(crate) const CRASH: u16 = 8;
    /// A cluster client runs a command twice, the second time at any later moment.
    pub(crate) const DOUBLE: u16 = 16;
    /// The server restarts from a snapshot that it saved at any earlier moment; of two, either.
    pub(crate) const RESTART: u16 = 32;
    /// The reply of an invalidation is lost.
    pub(crate) const LOST_REPLY: u16 = 64;
    /// The store does not answer a read's command.
    pub(crate) const AWAY: u16 = 128;
}

/// The numbers of one check.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing to look at or not")]
pub(super) struct Scenario {
    pub(super) reads: usize,
    /// Each with the instance that it runs on.
    pub(super) writes: &'static [(Kind, u8)],
    /// How many faults, of which kinds.
    pub(super) faults: (u8, u16),
    pub(super) near: NearCache,
    /// Whether the responses name a tag.
    pub(super) tagged: bool,
    /// Whether the entry, with its epoch and lease, is on another node than the generations: then no
    /// step sees or changes both.
    pub(super) spread: bool,
    /// Whether a waiter in another instance loses patience and runs the handler itself.
    pub(super) impatient: bool,
    /// Whether the commit and the (first) script of its invalidation are one moment: then "older
    /// than the last confirmed version" reads "its handler began before the invalidation", the
    /// letter of P6.
    pub(super) commit_in_script: bool,
    /// Whether the handler's runs are counted.
    pub(super) count_runs: bool,
    /// Whether a fenced write whose instance crashed counts as confirmed after its deadline.
    /// Otherwise only what was acknowledged does.
    pub(super) fences_outlive_crashes: bool,
}

impl Scenario {
    /// So many reads and these writes, no faults, no near-cache, no tags.
    pub(super) const fn new(reads: usize, writes: &'static [(Kind, u8)]) -> Self {
        Self {
            reads,
            writes,
            faults: (0, 0),
            near: NearCache::Off,
            tagged: false,
            spread: false,
            impatient: true,
            commit_in_script: false,
            count_runs: false,
            fences_outlive_crashes: true,
        }
    }

    pub(super) const fn faults(self, count: u8, kinds: u16) -> Self {
        Self { faults: (count, kinds), ..self }
    }

    pub(super) const fn near(self, near: NearCache) -> Self {
        Self { near, ..self }
    }

    pub(super) const fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    pub(super) const fn spread(self) -> Self {
        Self { spread: true, ..self }
    }

    pub(super) const fn commit_in_script(self) -> Self {
        Self { commit_in_script: true, ..self }
    }

    /// Only acknowledged writes count.
    pub(super) const fn acknowledged_only(self) -> Self {
        Self { fences_outlive_crashes: false, ..self }
    }

    /// Nobody loses patience, and runs are counted.
    pub(super) const fn count_runs(self) -> Self {
        Self { impatient: false, count_runs: true, ..self }
    }

    /// Whether a read's beginning and its first lookup are one moment.
    ///
    /// A read that begins some time before its lookup is bound by less, and that is all the
    /// difference, unless runs are shared by when they started.
    pub(super) fn begins_with_a_lookup(&self) -> bool {
        !self.spread
            && self.faults.1 & fault::AWAY == 0
            && !self.writes.iter().any(|(kind, _)| *kind == Kind::Fenced)
    }

    /// Whether it matters where a read runs for its own sake, not only beside which other read.
    pub(super) fn instances_differ(&self) -> bool {
        self.near != NearCache::Off || self.faults.1 & fault::CRASH != 0
    }
}
