//! What the cache promises, end to end: a file for each group of promises, most of it on both stores.

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod allowances;
mod bodies;
mod bodies_of_others;
mod capacity;
mod config;
mod conformance;
mod fence;
mod groups;
mod hit;
mod invalidation;
mod leader_request;
mod misses_together;
mod neighbours;
mod no_vary_search;
mod revalidation;
mod rfc9111;
mod rfc9111_sharing;
mod settings;
mod stale;
mod stale_if_error;
mod stampede;
mod stored_semantics;
mod streaming;
mod successor;
mod tenant_isolation;
mod validation;
mod variants;

#[cfg(feature = "redis")]
mod commands;
#[cfg(feature = "redis")]
mod outage;
#[cfg(feature = "redis")]
mod skew;
#[cfg(feature = "redis")]
mod startup;
