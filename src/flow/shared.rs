//! What every step of every request works with.

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::capacity::Capacity;
use super::flights::Flights;
use super::invalidation::Dirty;
use super::known_keys::KnownKeys;
use super::prepared_heads::PreparedHeads;
use super::read_ahead::ReadAhead;
use super::search::Searches;
use super::step::Gate;
use super::uncacheable::Uncacheables;
use super::variants::Variants;
use crate::key::{Names, QueryLimits, ScopeNames};
use crate::policy::{Effect, Rules};
use crate::protocol::vary::Normalise;
use crate::protocol::{CacheControl, HitStatus, targeted};
use crate::store::Store;
#[cfg(feature = "metrics")]
use crate::telemetry::Levels;
use crate::telemetry::{Bound, Recent, Telemetry, Tenants};

/// One cache: its rules, its store, and who is under way in this process.
pub(crate) struct Shared {
    /// Its steps are taken by [`step`](super::step::step) alone.
    pub(crate) store: Arc<dyn Store>,
    pub(super) gate: Arc<Gate>,
    pub(crate) rules: Rules,
    pub(crate) settings: Settings,
    /// What Cache-Status says of hits, if the field is sent.
    pub(super) hit_status: Option<HitStatus>,
    pub(crate) telemetry: Telemetry,
    pub(crate) flights: Arc<Flights>,
    pub(crate) capacity: Capacity,
    pub(crate) read_ahead: Arc<ReadAhead>,
    pub(crate) variants: Variants,
    pub(crate) searches: Searches,
    pub(super) known_keys: KnownKeys,
    pub(super) prepared_heads: PreparedHeads,
    pub(crate) uncacheables: Uncacheables,
    pub(crate) dirty: Dirty,
    /// Who may have what is too large removed.
    pub(super) trims: Arc<Semaphore>,
    /// The last invalidations, for people to look at.
    pub(crate) recent: Recent,
    /// Who asks most, for people to look at.
    pub(crate) tenants: Tenants,
    /// The longest time for which an entry was stored here.
    pub(crate) longest_kept: AtomicU64,
    /// Runs, fills and invalidations that nobody waits for.
    pub(crate) work: TaskTracker,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attitude {
    /// That of the app's routes; a response may be stricter.
    Routes,
    /// That of the response, and of the request's directives (RFC 9111).
    Rfc9111,
}

/// Limits and time-outs; the builder's methods say what each is.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is another matter")]
pub(crate) struct Settings {
    pub(crate) attitude: Attitude,
    pub(crate) cache_status: Option<String>,
    pub(crate) refuse_without_tenant: bool,
    /// Spellings of a target that an origin may tell apart are told apart.
    pub(crate) exact_targets: bool,
    pub(crate) max_body: usize,
    pub(crate) max_head: usize,
    pub(crate) max_request_body: usize,
    pub(crate) request_body_timeout: Duration,
    pub(crate) max_key: usize,
    pub(crate) max_variant: usize,
    pub(crate) max_parameters: usize,
    pub(crate) max_waiters: usize,
    pub(crate) max_flights: usize,
    pub(crate) max_read_ahead: usize,
    pub(crate) max_dirty: usize,
    pub(crate) max_variants: u32,
    pub(crate) normalise: Normalise,
    /// Fields that say to this cache what `Cache-Control` says to all (RFC 9213).
    pub(crate) targeted: Vec<HeaderName>,
    /// Response fields that are of one request only; `None` for those that are known to be.
    pub(crate) unstored: Option<Vec<HeaderName>>,
    pub(crate) breaker_failures: u32,
    pub(crate) lookup_timeout: Duration,
    pub(crate) fill_timeout: Duration,
    pub(crate) invalidate_timeout: Duration,
    pub(crate) leases: bool,
    pub(crate) lease_ttl: Duration,
    pub(crate) lease_wait: Duration,
    pub(crate) wait_limit: Duration,
    pub(crate) run_deadline: Duration,
    pub(crate) uncacheable_memory: Duration,
    pub(crate) coalesce_in_outage: bool,
    pub(crate) stale_in_outage: Duration,
    /// How many runs there may be at once; `None` for any number.
    pub(crate) max_runs: Option<usize>,
    pub(crate) run_queue_timeout: Duration,
    pub(crate) shed_load: bool,
    /// Whether requests are counted by tenant; `None` for as soon as there is somebody to show them to.
    #[cfg(feature = "admin")]
    pub(crate) count_tenants: Option<bool>,
    /// `None` for what the attitude says.
    pub(crate) hold_after_lost: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            attitude: Attitude::Routes,
            cache_status: Some("response-cache".to_owned()),
            refuse_without_tenant: false,
            exact_targets: false,
            max_body: 1 << 20,
            max_head: 64 << 10,
            max_request_body: 64 << 10,
            request_body_timeout: Duration::from_secs(10),
            max_key: 1024,
            max_variant: 256,
            max_parameters: 64,
            max_waiters: 10_000,
            max_flights: 10_000,
            max_read_ahead: 256 << 20,
            max_dirty: 10_000,
            max_variants: 1024,
            normalise: Normalise::default(),
            targeted: Vec::new(),
            unstored: None,
            breaker_failures: 5,
            lookup_timeout: Duration::from_millis(50),
            fill_timeout: Duration::from_secs(1),
            invalidate_timeout: Duration::from_secs(1),
            leases: true,
            lease_ttl: Duration::from_secs(5),
            lease_wait: Duration::from_secs(10),
            wait_limit: Duration::from_secs(30),
            run_deadline: Duration::from_secs(60),
            uncacheable_memory: Duration::from_secs(5),
            coalesce_in_outage: true,
            stale_in_outage: Duration::ZERO,
            max_runs: None,
            run_queue_timeout: Duration::from_secs(1),
            shed_load: false,
            #[cfg(feature = "admin")]
            count_tenants: None,
            hold_after_lost: None,
        }
    }
}

/// How many routes are named when the cache is built.
const ANNOUNCED: usize = 20;

/// What may pass between a fill's beginning and that of its entry's time.
const SLACK: Duration = Duration::from_secs(3600);

/// Response fields that tell of one request, and mean nothing to the next.
static OF_ONE_REQUEST: [HeaderName; 10] = [
    HeaderName::from_static("request-id"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("traceresponse"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("x-amzn-trace-id"),
    HeaderName::from_static("x-cloud-trace-context"),
    HeaderName::from_static("x-correlation-id"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-trace-id"),
];

impl Settings {
    /// What a response says to this cache, and whether it says so in a targeted field.
    pub(crate) fn control_of(&self, headers: &HeaderMap) -> (CacheControl, bool) {
        match targeted::select(headers, &self.targeted) {
            Some(control) => (control, true),
            None => (CacheControl::from_headers(headers), false),
        }
    }

    /// The response fields that are not stored.
    pub(crate) fn unstored(&self) -> &[HeaderName] {
        match (&self.unstored, self.attitude) {
            (Some(names), _) => names,
            (None, Attitude::Routes) => &OF_ONE_REQUEST,
            (None, Attitude::Rfc9111) => &[],
        }
    }

    /// For how long the targets of a write are closed of which nobody knows what became.
    pub(crate) fn hold_after_lost(&self) -> Duration {
        self.hold_after_lost.unwrap_or(match self.attitude {
            Attitude::Routes => Duration::from_secs(3),
            // Whoever may send a request could keep a path closed.
            Attitude::Rfc9111 => Duration::ZERO,
        })
    }

    pub(crate) fn query_limits(&self) -> QueryLimits {
        // Escapes make a query up to three times as long as what it says.
        QueryLimits::new(self.max_parameters, self.max_key.saturating_mul(4))
    }
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn Store>, rules: Rules, settings: Settings) -> Self {
        let work = TaskTracker::new();
        // A closed tracker still takes tasks, and can be waited for.
        work.close();
        let gate =
            Gate::new(Arc::clone(&store), settings.breaker_failures, settings.lookup_timeout);
        Self {
            store,
            gate,
            telemetry: Telemetry::new(&rules.namespace),
            rules,
            capacity: Capacity::new(&settings),
            flights: Arc::new(Flights::new(settings.max_flights)),
            read_ahead: Arc::new(ReadAhead::new(settings.max_read_ahead)),
            hit_status: settings.cache_status.as_deref().map(HitStatus::new),
            settings,
            variants: Variants::default(),
            searches: Searches::default(),
            known_keys: KnownKeys::default(),
            prepared_heads: PreparedHeads::default(),
            uncacheables: Uncacheables::default(),
            dirty: Dirty::default(),
            trims: Arc::new(Semaphore::new(1)),
            recent: Recent::default(),
            tenants: Tenants::default(),
            longest_kept: AtomicU64::new(0),
            work,
        }
    }

    /// Says what is cached, where and how.
    pub(crate) fn announce(&self) {
        let cached = self.rules.routes.iter().filter(|route| !route.uncached);
        let names: Vec<_> =
            cached.map(|route| format!("{} {}", route.method, route.name)).collect();
        let (shown, more) = names.split_at(names.len().min(ANNOUNCED));
        let mut what = shown.join(", ");
        if !more.is_empty() {
            what = format!("{what} and {} more", more.len());
        }
        tracing::info!(
            namespace = &*self.rules.namespace,
            routes = names.len(),
            rules = self.rules.mutations.len(),
            store = %self.store.status(),
            rfc9111 = self.settings.attitude == Attitude::Rfc9111,
            "the cache is ready: {what}"
        );
    }

    /// The scopes with the word that it is this configuration which names them.
    pub(super) fn signed(&self, scopes: &ScopeNames) -> ScopeNames {
        let mut scopes = scopes.clone();
        scopes.set_configuration(self.rules.fingerprint);
        scopes
    }

    /// Whether another configuration is about, as far as this process knows, and counts.
    pub(super) fn sees_others(&self) -> bool {
        self.rules.fingerprint.is_some() && self.store.sees_other_configurations()
    }

    /// The longest time that anything stored can live: as the routes say, or as long as something that
    /// this instance has stored, where a response said more.
    pub(crate) fn longest_life(&self) -> Duration {
        let kept = Duration::from_millis(self.longest_kept.load(Ordering::Relaxed));
        self.rules.longest_life().max(kept + SLACK)
    }

    /// How large a frame can be that a cache with these settings stores.
    pub(super) fn max_frame(&self) -> usize {
        // Stamps, groups with their names, and what announces each field.
        const REST: usize = 64 << 10;
        let routes = self.rules.routes.iter().filter_map(|route| route.max_body);
        let body = routes.fold(self.settings.max_body, usize::max);
        body.saturating_add(self.settings.max_head.saturating_mul(2)).saturating_add(REST)
    }

    /// What a write does to its own path, beside what rules say.
    pub(crate) fn own_effect(&self) -> Effect {
        match self.settings.attitude {
            Attitude::Routes => Effect::default(),
            Attitude::Rfc9111 => Effect::of_http(),
        }
    }

    /// Remembers for a while that the answer of this key could not be shared.
    pub(super) fn remember_uncacheable(&self, names: &Names) {
        if !self.uncacheables.remember(names, self.settings.uncacheable_memory) {
            self.telemetry.over(Bound::Remembered);
        }
    }

    /// How what goes up and down stands now.
    #[cfg(feature = "metrics")]
    pub(crate) fn levels(&self) -> Levels {
        Levels {
            breaker_open: self.is_store_away(),
            dirty: self.dirty.len(),
            flights: self.flights.len(),
            store: self.store.status(),
        }
    }

    /// Whether the store is taken to be away, and not asked.
    pub(crate) fn is_store_away(&self) -> bool {
        self.gate.is_shut()
    }
}

/// Tells how things stand once a second, until the cache is gone.
#[cfg(feature = "metrics")]
pub(crate) async fn watch_levels(cache: Weak<Shared>) {
    loop {
        match cache.upgrade() {
            Some(shared) => shared.telemetry.levels(&shared.levels()),
            None => return,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
