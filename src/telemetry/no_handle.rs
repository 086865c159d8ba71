//! Without the feature `metrics`: the same names as in `handle.rs`, and nothing behind them.

use std::time::Duration;

#[derive(Debug)]
pub(super) struct Labels;

impl Labels {
    pub(super) fn new(_: &[(&'static str, &str)]) -> Self {
        Self
    }
}

macro_rules! nothing {
    ($($name:ident { $($method:ident($of:ty)),* })*) => {$(
        #[derive(Debug)]
        pub(super) struct $name;

        impl $name {
            pub(super) fn new(
                _: &'static str,
                _: &Labels,
                _: &[(&'static str, &'static str)],
            ) -> Self {
                Self
            }

            $(
                #[allow(clippy::unused_self, reason = "there is something with the feature")]
                pub(super) fn $method(&self, _: $of) {}
            )*
        }
    )*};
}

nothing! {
    Count { add(u64) }
    Level { set(u64) }
    Times { record(Duration), record_since(Stopwatch) }
}

impl Count {
    #[allow(clippy::unused_self, reason = "there is something with the feature")]
    pub(super) fn increment(&self) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self
    }
}

#[derive(Debug)]
pub(super) struct Reasons;

impl Reasons {
    pub(super) fn new(_: &'static str, _: &[(&'static str, &str)]) -> Self {
        Self
    }

    #[allow(clippy::unused_self, reason = "there is something with the feature")]
    pub(super) fn increment(&self, _: &'static str) {}
}

pub(super) fn describe(_: &'static str, _: super::names::Kind, _: &'static str) {}
