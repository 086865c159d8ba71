//! Redis as it is run in the real world: with passwords, permissions and certificates, full,
//! demoted, restarted and stopped. For each the tests show what the layer and the store make of it.
//!
//! What a client gets is compared with what the database holds, at every read.

#[path = "../support/mod.rs"]
mod support;

mod document;
mod fleet;
mod loss;
mod login;
mod memory;
mod old_server;
mod permissions;
mod roles;
mod tls;
mod trouble;
