//! Redis as it is run in the real world: with passwords, permissions and certificates, full,
//! demoted, restarted and stopped. For each the tests show what the layer and the store make of it.
//!
//! What a client gets is compared with what the database holds, at every read.

#[path = "../support/mod.rs"]
mod support;

#[path = "../topology/cluster.rs"]
mod cluster;

mod authority;
mod document;
mod fleet;
mod loss;
mod login;
mod memory;
mod old_server;
mod permissions;
mod permissions_in_cluster;
mod roles;
mod tls;
mod tls_in_cluster;
mod trouble;
