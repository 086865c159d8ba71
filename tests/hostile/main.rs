//! P3, P19 and the bounds: bytes that nobody here wrote, and clients and handlers who ask for more
//! than there is. `docs/LIMITS.md` names the test of each bound.
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod page;
mod planted;
mod read_ahead;
#[cfg(feature = "redis")]
mod redis_values;
mod tenants;
mod wrong_bytes;
