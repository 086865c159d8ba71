//! The numbers of the first page, in words.

use std::time::Duration;

use crate::admin::chart::{self, Part};
use crate::admin::moment::words;
use crate::admin::stats::{Numbers, Outcomes, Recent};
use crate::admin::tenants::{TenantCount, Tenants};

/// How many routes and invalidations the page shows; the API has all that are kept.
const SHOWN: usize = 20;

/// How much of a tenant's name the page shows; the API has all of it.
const NAME: usize = 64;

/// What changes by itself.
pub(super) struct Live {
    pub(super) at: String,
    pub(super) health: Health,
    pub(super) totals: Option<Totals>,
    pub(super) recent: Vec<RecentLine>,
}

/// Whether all is well, as a sentence.
pub(super) struct Health {
    pub(super) is_well: bool,
    pub(super) sentence: String,
    pub(super) unconfirmed: Option<usize>,
}

pub(super) struct Totals {
    pub(super) requests: u64,
    pub(super) hit_ratio: String,
    pub(super) recent_ratio: String,
    pub(super) per_second: String,
    pub(super) saved: String,
    pub(super) runs: u64,
    pub(super) a_run: String,
    pub(super) with_cache: String,
    pub(super) without_cache: String,
    /// The bars of these two.
    pub(super) compared: Option<[String; 2]>,
    /// The points of the lines.
    pub(super) lines: Vec<String>,
    pub(super) span: String,
    pub(super) parts: Vec<Part>,
    pub(super) outcomes: Vec<OutcomeLine>,
    pub(super) routes: Vec<Line>,
    pub(super) tenants: Option<TenantLines>,
    pub(super) store_errors: u64,
    pub(super) breaker_opened: u64,
}

pub(super) struct OutcomeLine {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) count: u64,
    pub(super) share: String,
}

/// One route.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) requests: u64,
    pub(super) hit_ratio: String,
    pub(super) saved: String,
    pub(super) with_cache: String,
    pub(super) without_cache: String,
}

/// The tenants with the most requests.
pub(super) struct TenantLines {
    pub(super) requests: u64,
    pub(super) sampled: bool,
    pub(super) lines: Vec<TenantLine>,
}

pub(super) struct TenantLine {
    /// `None` for what belongs to no tenant, whatever tenants are called.
    pub(super) name: Option<String>,
    pub(super) requests: String,
    pub(super) share: String,
    pub(super) hits: u64,
    pub(super) hit_ratio: String,
}

pub(super) struct RecentLine {
    pub(super) at: String,
    pub(super) tenant: String,
    pub(super) scopes: String,
    pub(super) lag: String,
}

impl Live {
    pub(super) fn of(numbers: &Numbers) -> Self {
        let store = &numbers.store;
        let sentence = match (&store.error, store.breaker_open, store.ping_ms) {
            (_, true, _) => "The store does not answer, and the breaker is open: requests are \
                             answered past the cache. It closes by itself once the store answers \
                             again."
                .to_owned(),
            (Some(error), _, _) => {
                format!("Asked just now: {error}. Requests go past the cache. See to the store.")
            }
            (None, false, ping) => {
                let ping = Duration::from_secs_f64(ping.unwrap_or_default() / 1e3);
                format!("The store answers within {}, and the breaker is closed.", words(ping))
            }
        };
        let is_well = store.answers && !store.breaker_open;
        let recent = numbers.recent_invalidations.iter().take(SHOWN);
        Self {
            at: numbers.at.clone(),
            health: Health { is_well, sentence, unconfirmed: store.unconfirmed_scopes },
            totals: numbers.totals.as_ref().map(Totals::of),
            recent: recent.map(RecentLine::of).collect(),
        }
    }
}

impl Totals {
    fn of(totals: &crate::admin::stats::Totals) -> Self {
        let count = |name| totals.counts.get(name).copied().unwrap_or_default();
        let latest = totals.steps.last();
        let oldest = totals.steps.first();
        let outcomes = totals.outcomes.named();
        Self {
            requests: totals.requests,
            hit_ratio: percent(totals.hit_ratio),
            recent_ratio: percent(latest.and_then(|step| step.hit_ratio)),
            per_second: latest.map_or_else(|| "–".to_owned(), |s| format!("{:.1}", s.per_second)),
            saved: words(totals.handler.saved),
            runs: totals.handler.runs,
            a_run: milliseconds(totals.handler.run_ms),
            with_cache: milliseconds(totals.handler.with_cache_ms),
            without_cache: milliseconds(totals.handler.without_cache_ms),
            compared: chart::compared(
                totals.handler.with_cache_ms,
                totals.handler.without_cache_ms,
            ),
            lines: chart::hit_ratio(&totals.steps),
            span: oldest.map_or_else(|| "0 s".to_owned(), |step| words(step.ago)),
            parts: chart::bar(&outcomes),
            outcomes: lines_of(&totals.outcomes, totals.requests),
            routes: totals.routes.iter().take(SHOWN).map(Line::of).collect(),
            tenants: totals.tenants.as_ref().map(TenantLines::of),
            store_errors: count("store_errors"),
            breaker_opened: count("breaker_opened"),
        }
    }
}

fn lines_of(outcomes: &Outcomes, requests: u64) -> Vec<OutcomeLine> {
    let lines = outcomes.named().into_iter().map(|(name, count)| OutcomeLine {
        name,
        meaning: meaning(name),
        count,
        share: percent(crate::admin::samples::ratio(count, requests)),
    });
    lines.collect()
}

fn meaning(outcome: &str) -> &'static str {
    match outcome {
        "hit" => "from the store, fresh",
        "stale" => "from the store, stale",
        "recalled" => "from memory, while the store was away",
        "collapsed" => "with the run of another request",
        "revalidated" => "stored, and confirmed by the handler",
        "miss" => "by the handler",
        "bypass" => "by the handler, past the cache",
        "refused" => "by the cache, which had nothing to give",
        _ => "with an error of the handler",
    }
}

impl Line {
    fn of(route: &crate::admin::stats::RouteLine) -> Self {
        Self {
            name: format!("{} {}", route.method, route.template),
            requests: route.requests,
            hit_ratio: percent(route.hit_ratio),
            saved: words(route.handler.saved),
            with_cache: milliseconds(route.handler.with_cache_ms),
            without_cache: milliseconds(route.handler.without_cache_ms),
        }
    }
}

impl TenantLines {
    fn of(tenants: &Tenants) -> Self {
        let shown = tenants.top.iter().take(SHOWN);
        Self {
            requests: tenants.requests,
            sampled: tenants.sampled,
            lines: shown.map(TenantLine::of).collect(),
        }
    }
}

impl TenantLine {
    fn of(tenant: &TenantCount) -> Self {
        let (least, most) = (tenant.at_least, tenant.requests);
        Self {
            name: tenant.tenant.as_deref().map(shortened),
            requests: if least == most { most.to_string() } else { format!("{least} to {most}") },
            share: percent(tenant.share),
            hits: tenant.hits,
            hit_ratio: percent(tenant.hit_ratio),
        }
    }
}

/// The beginning of a name.
fn shortened(name: &str) -> String {
    let mut shown: String = name.chars().take(NAME).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    shown
}

impl RecentLine {
    fn of(recent: &Recent) -> Self {
        let mut scopes = recent.scopes.join(", ");
        if recent.count > recent.scopes.len() {
            scopes.push_str(", …");
        }
        let lag = recent.lag_ms.map(|lag| words(Duration::from_secs_f64(lag / 1e3)));
        Self {
            at: recent.at.clone(),
            tenant: recent.tenant.clone().unwrap_or_else(|| "none".to_owned()),
            scopes,
            lag: lag.unwrap_or_else(|| "not confirmed".to_owned()),
        }
    }
}

fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{:.1} %", ratio * 100.0))
}

fn milliseconds(number: Option<f64>) -> String {
    number.map_or_else(|| "–".to_owned(), |ms| words(Duration::from_secs_f64(ms / 1e3)))
}
