//! What is counted, told and explained (P24).

#[path = "../support/mod.rs"]
mod support;

mod routes;
mod script;
