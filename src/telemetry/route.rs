//! Counts of one route.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use parking_lot::Mutex;

use super::answered::Answered;
use super::meters::RouteMeters;
use super::stats::Counter;

/// What has happened on one cached route since the cache was built, in this process alone.
///
/// Each request that got an answer is in exactly one of the counts from [`hits`](Self::hits) to
/// [`errors`](Self::errors), so that their shares are of [`requests`](Self::requests). (In
/// [`Stats`](crate::Stats) a request that misses and then waits for the run of another is a miss and
/// collapsed.) A request whose client has left before its answer may be in none; what refreshes an
/// entry in the background is.
///
/// ```
/// # use tower_response_cache::{Cache, MemoryStore, Route};
/// # let cache = Cache::builder(MemoryStore::new())
/// #     .route(Route::get("/news").tenantless().same_for_all_users())
/// #     .build()?;
/// for route in cache.route_stats() {
///     println!("{} {}: {} of {} from the cache", route.method, route.template, route.hits, route.requests());
/// }
/// # Ok::<(), tower_response_cache::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteStats {
    /// The route's method; HEAD counts as GET.
    pub method: Method,
    /// Its path template.
    pub template: Arc<str>,
    /// Requests answered from the store.
    pub hits: u64,
    /// Requests answered from the store with what was stale, whatever the reason.
    pub stale: u64,
    /// Requests answered from the memory of this process while the store could not be asked.
    pub recalled: u64,
    /// Requests answered by the run of another request.
    pub collapsed: u64,
    /// Requests answered with what was stored, after the handler has said that it is still good.
    pub revalidated: u64,
    /// Requests answered by the handler, since nothing was stored that could be used.
    pub misses: u64,
    /// Requests answered by the handler, past the cache.
    pub bypasses: u64,
    /// Requests answered by the layer itself, which had nothing to give: no tenant where one is
    /// required, no room for a run, `only-if-cached`.
    pub refused: u64,
    /// Requests answered with an error of the inner service.
    pub errors: u64,
    /// Look-ups that the memory of this process answered, or whose bytes it gave.
    pub near: u64,
    /// Responses stored.
    pub stored: u64,
    /// Responses that may not be stored.
    pub uncacheable: u64,
    /// Fills that the store refused, most of them because something had moved.
    pub refused_fills: u64,
    /// Handler runs that came to an answer or an error, those that refresh an entry in the
    /// background included.
    pub runs: u64,
    /// How long they took in all, each until its response's head or its error.
    pub handler_time: Duration,
    /// How long the handler had worked for what was then answered from the cache (hits, stale,
    /// recalled): for each answer the time that the stored response had taken, to the end of its
    /// body.
    pub saved_time: Duration,
}

impl RouteStats {
    /// How many requests were answered, in any way.
    pub fn requests(&self) -> u64 {
        let stored = self.hits + self.stale + self.recalled + self.revalidated;
        stored + self.collapsed + self.misses + self.bypasses + self.refused + self.errors
    }
}

/// How many fields are remembered by which the responses of a route vary.
const MOST_FIELDS: usize = 16;

/// What is counted of one route; kept in the route, made when the cache is built.
#[derive(Debug)]
pub(crate) struct RouteTelemetry {
    method: Method,
    template: Arc<str>,
    answered: [Counter; Answered::ALL.len()],
    pub(super) near: Counter,
    pub(super) stored: Counter,
    pub(super) uncacheable: Counter,
    pub(super) refused_fills: Counter,
    pub(super) runs: Counter,
    handler_micros: Counter,
    saved_micros: Counter,
    /// Requests that fit the template and were routed elsewhere.
    shadowed: Counter,
    /// By which undeclared request fields its responses vary.
    varies: Mutex<Vec<HeaderName>>,
    pub(super) meters: RouteMeters,
}

impl RouteTelemetry {
    pub(crate) fn new(namespace: &str, method: Method, template: Arc<str>) -> Self {
        Self {
            meters: RouteMeters::new(namespace, method.as_str(), &template),
            method,
            template,
            answered: Default::default(),
            near: Counter::default(),
            stored: Counter::default(),
            uncacheable: Counter::default(),
            refused_fills: Counter::default(),
            runs: Counter::default(),
            handler_micros: Counter::default(),
            saved_micros: Counter::default(),
            shadowed: Counter::default(),
            varies: Mutex::default(),
        }
    }

    pub(super) fn answered(&self, how: Answered) {
        self.answered[how as usize].increment();
        self.meters.answered[how as usize].increment();
    }

    /// A stored response has answered in the place of a handler, which took so many microseconds.
    pub(super) fn saved(&self, cost: u32) {
        self.saved_micros.add(cost.into());
        self.meters.saved.add(cost.into());
    }

    pub(super) fn handled(&self, took: Duration) {
        self.runs.increment();
        self.meters.handler.record(took);
        self.handler_micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The app has routed a request elsewhere that fits the template.
    pub(crate) fn routed_elsewhere(&self) {
        self.shadowed.increment();
    }

    pub(crate) fn shadowed(&self) -> u64 {
        self.shadowed.load()
    }

    /// A response varies by these fields, which are not declared.
    pub(crate) fn varies_by(&self, fields: &[HeaderName]) {
        if fields.is_empty() {
            return;
        }
        let mut known = self.varies.lock();
        for field in fields {
            if known.len() < MOST_FIELDS && !known.contains(field) {
                known.push(field.clone());
            }
        }
    }

    pub(crate) fn varies(&self) -> Vec<HeaderName> {
        self.varies.lock().clone()
    }

    pub(crate) fn snapshot(&self) -> RouteStats {
        let count = |how: Answered| self.answered[how as usize].load();
        RouteStats {
            method: self.method.clone(),
            template: Arc::clone(&self.template),
            hits: count(Answered::Hit),
            stale: count(Answered::Stale),
            recalled: count(Answered::Recalled),
            collapsed: count(Answered::Collapsed),
            revalidated: count(Answered::Revalidated),
            misses: count(Answered::Miss),
            bypasses: count(Answered::Bypass),
            refused: count(Answered::Refused),
            errors: count(Answered::Error),
            near: self.near.load(),
            stored: self.stored.load(),
            uncacheable: self.uncacheable.load(),
            refused_fills: self.refused_fills.load(),
            runs: self.runs.load(),
            handler_time: Duration::from_micros(self.handler_micros.load()),
            saved_time: Duration::from_micros(self.saved_micros.load()),
        }
    }
}
