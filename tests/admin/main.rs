//! The admin routers: what they show, what they change, and what they refuse.
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod api;
mod audit;
mod browser;
mod confinement;
mod driver;
mod fixture;
mod forgery;
mod keys;
mod lookup;
mod pages;
mod tenants;
