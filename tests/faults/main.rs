//! P17, P18, P20: what clients get while the store is away, and how soon all is well again.
//!
//! Each fault, of the network or of the server, meets each operation, under clients that leave when
//! they like. `cargo test --release --test faults -- --ignored --nocapture` measures what an outage
//! costs.
#![cfg(all(feature = "redis", feature = "data"))]
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

#[path = "../topology/cluster.rs"]
mod cluster;
#[path = "../topology/sentinels.rs"]
mod sentinels;

mod clients;
mod connections;
mod counted;
mod fixture;
mod in_cluster;
mod matrix;
mod misled;
mod named;
mod network;
mod operations;
mod settings;
mod solo;
mod throughput;
mod values;
