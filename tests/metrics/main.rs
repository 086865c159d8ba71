//! What is counted, told and explained (P24).

#[path = "../support/mod.rs"]
mod support;

/// How an example is run.
#[cfg(all(feature = "metrics", feature = "redis"))]
#[allow(dead_code, reason = "the examples' own tests use all of it")]
#[path = "../examples/server.rs"]
mod server;

mod dashboard;
mod explain;
#[cfg(feature = "metrics")]
mod exported;
#[cfg(all(feature = "metrics", feature = "redis"))]
mod prometheus;
mod routes;
mod script;
mod spans;
mod startup;
