//! What is counted, told and explained (P24).

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "metrics")]
mod exported;
mod explain;
mod routes;
mod script;
mod spans;
mod startup;
