//! Every example, run as its reader would run it: the real binary, over HTTP.
//!
//! `cargo test` and `cargo nextest run` build the examples; narrowed down with `--test examples`
//! they don't, so run `cargo build --examples` before.

#[path = "../support/redis_server.rs"]
mod redis_server;

#[cfg(feature = "admin")]
mod gym_admin;
mod guides;
mod gym_api;
mod gym_fleet;
mod hyper_service;
mod load_target;
mod proxy;
mod quickstart;
mod server;
