//! Limits of the builder: how much, how many, how long.

use std::time::Duration;

use super::CacheBuilder;

impl CacheBuilder {
    /// How many variants of one key are stored at most, where responses vary: 1024 if not set. Two
    /// that fall on one place take it in turn: a client that picks header values can displace another's
    /// variant, which costs a run of the handler, and cannot fill up the store.
    pub fn max_variants(mut self, count: u32) -> Self {
        self.settings.max_variants = count;
        self
    }

    /// The largest body that is stored, in bytes, on routes that do not say: 1 MiB if not set.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.settings.max_body = bytes;
        self
    }

    /// How large the header fields of a response may be for it to be stored, in bytes: names, values
    /// and 4 for each field. 64 KiB if not set.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.settings.max_head = bytes;
        self
    }

    /// How many bytes of response bodies may be in memory at once because runs read ahead of their
    /// clients, all runs together: 256 MiB if not set. Over it, a body that has not ended is handed
    /// over to its client and not stored, with `read-ahead` in `Stats` and in the log.
    ///
    /// What is being stored counts too, until it is, and each run may go over it by one frame.
    pub fn max_read_ahead(mut self, bytes: usize) -> Self {
        self.settings.max_read_ahead = bytes;
        self
    }

    /// The largest content of a request that is read for its key, in bytes, on
    /// [routes](crate::Route::query_method) of QUERY and POST that do not say: 64 KiB if not set. So much may
    /// be in memory for each request that is under way. Over it a request goes past the cache, and
    /// what was read of it is handed on with the rest.
    pub fn max_request_body(mut self, bytes: usize) -> Self {
        self.settings.max_request_body = bytes;
        self
    }

    /// How long the content of a request may take to come, on routes of QUERY and POST: 10 s if
    /// not set. After it the request goes past the cache, and the handler reads on.
    pub fn request_body_timeout(mut self, limit: Duration) -> Self {
        self.settings.request_body_timeout = limit;
        self
    }

    /// The longest key text, in bytes; a longer one is not cached. 1024 if not set.
    pub fn max_key(mut self, bytes: usize) -> Self {
        self.settings.max_key = bytes;
        self
    }

    /// The most query parameters; a request with more is not cached. 64 if not set.
    pub fn max_parameters(mut self, count: usize) -> Self {
        self.settings.max_parameters = count;
        self
    }

    /// How long a request may wait for the store before its handler runs, waiting for a connection
    /// included: 50 ms if not set. All that is asked before has to be answered within it.
    pub fn lookup_timeout(mut self, limit: Duration) -> Self {
        self.settings.lookup_timeout = limit;
        self
    }

    /// How many failures of the store in a row open the breaker, 5 if not set; 0 for no breaker.
    ///
    /// A failure is a step that the store did not answer in time, or not at all; one that it refuses
    /// is none. Open, nothing waits for the store: reads run the handler at once, and what writes
    /// invalidate is passed by on this instance. Probes in the background, at most half a second
    /// apart, close it as soon as one is answered.
    pub fn breaker_failures(mut self, count: u32) -> Self {
        self.settings.breaker_failures = count;
        self
    }

    /// How long storing a response may take, in the background: 1 s if not set.
    pub fn fill_timeout(mut self, limit: Duration) -> Self {
        self.settings.fill_timeout = limit;
        self
    }

    /// How long a write waits for its invalidation to be confirmed: 1 s if not set. After it the
    /// response is sent and the invalidation tried again in the background. Fences have the same
    /// time before the handler runs; a request that has waited for them in vain does not wait again
    /// after it, unless the rule must be confirmed.
    pub fn invalidate_timeout(mut self, limit: Duration) -> Self {
        self.settings.invalidate_timeout = limit;
        self
    }

    /// Whether instances wait for one another when they miss the same key: they do, unless this
    /// says no. It saves handler runs; nothing that is promised depends on it.
    pub fn leases(mut self, use_leases: bool) -> Self {
        self.settings.leases = use_leases;
        self
    }

    /// For how long a lease lasts if its holder dies, 5 s if not set; a holder that lives renews
    /// it. That is how long others may wait for a dead one.
    pub fn lease_ttl(mut self, span: Duration) -> Self {
        self.settings.lease_ttl = span;
        self
    }

    /// How long a request waits for the run of another before it runs the handler for itself: 30 s
    /// if not set. For a run of another instance it waits 10 s at most.
    pub fn wait_limit(mut self, span: Duration) -> Self {
        self.settings.wait_limit = span;
        self.settings.lease_wait = span.min(self.settings.lease_wait);
        self
    }

    /// How many requests may wait for one run, 10,000 if not set; more run for themselves.
    pub fn max_waiters(mut self, count: usize) -> Self {
        self.settings.max_waiters = count;
        self
    }

    /// For how many keys at once requests may wait for a run, 10,000 if not set: with more, who misses
    /// runs by itself, and what that gets may not be stored.
    pub fn max_flights(mut self, count: usize) -> Self {
        self.settings.max_flights = count;
        self
    }

    /// How long a handler may run for others, 60 s if not set. A slower one goes on for its own
    /// client alone, and nothing of it is stored.
    pub fn run_deadline(mut self, span: Duration) -> Self {
        self.settings.run_deadline = span;
        self
    }

    /// For how long it is remembered that a key's response could not be shared, 5 s if not set:
    /// so long its requests do not wait for one another.
    pub fn uncacheable_memory(mut self, span: Duration) -> Self {
        self.settings.uncacheable_memory = span;
        self
    }

    /// Whether requests share the next run while the store can't be asked: they do, unless this
    /// says no. Sharing keeps an outage from becoming a stampede, and costs a request at most the
    /// run that it finds under way.
    pub fn coalesce_in_outage(mut self, coalesce: bool) -> Self {
        self.settings.coalesce_in_outage = coalesce;
        self
    }

    /// While the store can't be asked, answers with what this process remembers of it from at most so
    /// long ago: not at all if not set. Only a store with a memory of its own has something to
    /// remember: a [`RedisStore`](crate::RedisStore) with a near-cache.
    ///
    /// What this instance has invalidated itself is never answered so. What others have cannot be
    /// known: such an answer may be older than an invalidation by as much as this says.
    pub fn stale_in_outage(mut self, span: Duration) -> Self {
        self.settings.stale_in_outage = span;
        self
    }

    /// How many runs of the handler there may be at once for requests that missed; any number if not
    /// set. More wait, each for [`run_queue_timeout`](Self::run_queue_timeout), and then run all the
    /// same, unless the cache [sheds load](Self::shed_load).
    ///
    /// It keeps an outage of the store, or a client who asks for a thousand keys at once, from
    /// reaching the origin in full. Requests that are not looked up, and writes, do not count.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_response_cache::{Cache, MemoryStore};
    ///
    /// let cache = Cache::builder(MemoryStore::new())
    ///     .max_runs(64)
    ///     .run_queue_timeout(Duration::from_millis(500))
    ///     .shed_load()
    ///     .build()?;
    /// # Ok::<(), tower_response_cache::ConfigError>(())
    /// ```
    pub fn max_runs(mut self, count: usize) -> Self {
        self.settings.max_runs = Some(count);
        self
    }

    /// How long a run waits for room where [`max_runs`](Self::max_runs) bounds it: 1 s if not set.
    pub fn run_queue_timeout(mut self, limit: Duration) -> Self {
        self.settings.run_queue_timeout = limit;
        self
    }

    /// Answers 503 with `Retry-After` where there has been no room for a run in time, or with what is
    /// stale if the route allows that [on errors](crate::Route::stale_if_error).
    pub fn shed_load(mut self) -> Self {
        self.settings.shed_load = true;
        self
    }

    /// Counts requests by tenant from the start, or never. If not set, they are counted from the
    /// moment at which a router for operators is asked for ([`Cache::admin_router`](crate::Cache::admin_router)), which shows
    /// those of the most frequent tenants.
    ///
    /// There are counters for 256 tenants, whoever asks; `docs/ADMIN.md` says how exact they are. With
    /// them a request costs a lock in the first 10,000 requests, and then one of 16 requests does.
    #[cfg(feature = "admin")]
    pub fn count_tenants(mut self, count: bool) -> Self {
        self.settings.count_tenants = Some(count);
        self
    }

    /// For how long the targets of a write stay closed when nobody knows what became of it: its
    /// client left, it panicked, it failed with an error, or it was answered with 408 or 504.
    /// 3 s if not set; zero, which is for not at all, in the [`rfc9111`](Self::rfc9111) attitude. A
    /// method that HTTP does not define closes nothing unless a rule names it.
    ///
    /// Dropping a handler does not stop what it has set going: a statement that the database is
    /// executing, a blocking task. A commit that comes later than the invalidation is covered as
    /// long as it comes within this time.
    pub fn hold_after_lost(mut self, span: Duration) -> Self {
        self.settings.hold_after_lost = Some(span);
        self
    }

    /// How many scopes may wait for their invalidation to be confirmed, 10,000 if not set. Over it
    /// whole tenants count as dirty in their place; over 16 times as many of those, everything does,
    /// on this instance, until what was stored before has expired.
    pub fn max_dirty(mut self, count: usize) -> Self {
        self.settings.max_dirty = count;
        self
    }
}
