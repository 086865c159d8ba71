//! The bounds: clients and handlers who ask for more
//! than there is. `docs/LIMITS.md` names the test of each bound.
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod read_ahead;
