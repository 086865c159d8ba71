//! What is counted, told and explained (P24).

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "metrics")]
mod exported;
mod routes;
mod script;
mod spans;
