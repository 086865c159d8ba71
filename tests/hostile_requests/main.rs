//! What an attacker sends: each file is a row of the threat model in SECURITY.md.
//!
//! Most tests ask the same of an app behind the layer and of the same app without one, and want the
//! same answer: whatever others have asked before must not be seen in it.
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod deception;
mod disconnects;
mod fields;
mod floods;
mod framing;
mod globs;
mod late_fence;
mod methods;
mod page;
mod poisoning;
mod sizes;
mod tenants;
mod twin;
