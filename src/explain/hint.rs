//! What looks wrong in a configuration, by itself or by what has happened.

use std::fmt;

use http::HeaderName;

use super::config::{RuleExplanation, name};
use crate::flow::Shared;
use crate::telemetry::RouteStats;

/// Something that is worth a look. Routes are named as `GET /users`, rules as `PUT /users/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hint {
    /// A rule reaches no route that is cached.
    RuleReachesNothing {
        /// The rule.
        rule: String,
    },
    /// No request has come on a rule, while others have come.
    RuleNeverFired {
        /// The rule.
        rule: String,
    },
    /// No request has come on a route, while others have come.
    RouteNeverAsked {
        /// The route.
        route: String,
    },
    /// Requests that fit a route's template have been routed elsewhere, and none to it.
    RouteShadowed {
        /// The route.
        route: String,
        /// How many requests.
        requests: u64,
    },
    /// A route has been asked, and has never answered from the cache.
    RouteNeverHit {
        /// The route.
        route: String,
        /// How many requests it had.
        requests: u64,
        /// Why, as far as the counts tell.
        why: &'static str,
    },
    /// The responses of a route vary by a header that is not declared.
    UnkeyedHeaderVaries {
        /// The route.
        route: String,
        /// The header.
        header: HeaderName,
    },
}

/// All hints there are.
pub(super) fn find(shared: &Shared, rules: &[RuleExplanation]) -> Vec<Hint> {
    let mut hints = Vec::new();
    let cached: Vec<_> = shared.rules.routes.iter().filter(|route| !route.uncached).collect();
    let stats: Vec<_> = cached.iter().map(|route| route.telemetry.snapshot()).collect();
    let fired = rules.iter().map(|rule| rule.fired).sum::<u64>();
    let has_traffic = fired + stats.iter().map(RouteStats::requests).sum::<u64>() > 0;
    for (known, stats) in cached.iter().zip(&stats) {
        let route = name(known);
        let (requests, elsewhere) = (stats.requests(), known.telemetry.shadowed());
        if requests == 0 && elsewhere > 0 {
            hints.push(Hint::RouteShadowed { route: route.clone(), requests: elsewhere });
        } else if requests == 0 && has_traffic {
            hints.push(Hint::RouteNeverAsked { route: route.clone() });
        } else if let Some(why) = why_never_hit(stats) {
            hints.push(Hint::RouteNeverHit { route: route.clone(), requests, why });
        }
        for header in known.telemetry.varies() {
            hints.push(Hint::UnkeyedHeaderVaries { route: route.clone(), header });
        }
    }
    for rule in rules {
        if rule.reaches.is_empty() {
            hints.push(Hint::RuleReachesNothing { rule: rule.name.clone() });
        } else if rule.fired == 0 && has_traffic {
            hints.push(Hint::RuleNeverFired { rule: rule.name.clone() });
        }
    }
    hints
}

/// Why a route that was asked more than once has never answered from the cache.
fn why_never_hit(stats: &RouteStats) -> Option<&'static str> {
    let from_cache =
        stats.hits + stats.stale + stats.recalled + stats.collapsed + stats.revalidated;
    if from_cache > 0 || stats.requests() < 2 {
        return None;
    }
    Some(if stats.bypasses == stats.requests() {
        "all of them went past the cache; Cache-Status says why"
    } else if stats.uncacheable > 0 && stats.stored == 0 {
        "its responses may not be stored; Cache-Status says why"
    } else if stats.stored > 0 {
        "its responses are stored, and not asked for again in time: perhaps something is in the key \
         that is another one in each request, or something invalidates it each time"
    } else {
        "nothing has been stored yet"
    })
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RuleReachesNothing { rule } => {
                write!(f, "{rule} reaches no route that is cached.")
            }
            Self::RuleNeverFired { rule } => write!(
                f,
                "no request has come on {rule} so far: does the app mount it with this method, \
                 under this path?"
            ),
            Self::RouteNeverAsked { route } => write!(
                f,
                "no request has come on {route} so far: does the app mount it under this path?"
            ),
            Self::RouteShadowed { route, requests } => write!(
                f,
                "none of {requests} requests whose path fits {route} was routed to it: another \
                 route of the app takes them."
            ),
            Self::RouteNeverHit { route, requests, why } => {
                write!(f, "{route} has had {requests} requests and no hit: {why}.")
            }
            Self::UnkeyedHeaderVaries { route, header } => write!(
                f,
                "the responses of {route} vary by {header}, which makes a variant for each of its \
                 values: if clients may choose it, declare it with `.header(\"{header}\")`, or have \
                 it normalised."
            ),
        }
    }
}
