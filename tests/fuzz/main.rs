//! Every reader of bytes from outside, against mutations of what it is meant to read: no panic, no
//! disagreement with a naive twin, no time that grows faster than the input.
//!
//! Each target has a folder in `corpus/`, whose files come first, each by itself. Then so many seconds
//! of mutations as `FUZZ_SECONDS` says, one if it says nothing. What fails is shrunk and printed, to be
//! put into a file there.
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

mod fields;
mod frame;
mod glob;
mod keys;
mod mutation;
mod runner;
mod structured;
