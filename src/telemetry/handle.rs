//! What the feature `metrics` adds: handles of the facade of that name. `no_handle.rs` is the same
//! without the feature: nothing, at no cost.

use std::time::{Duration, Instant};

use metrics::Label;
use parking_lot::RwLock;

/// The labels that a group of instruments has in common.
#[derive(Debug)]
pub(super) struct Labels(Vec<Label>);

impl Labels {
    pub(super) fn new(labels: &[(&'static str, &str)]) -> Self {
        Self(labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect())
    }

    fn with(&self, more: &[(&'static str, &'static str)]) -> Vec<Label> {
        let more = more.iter().map(|(name, value)| Label::from_static_parts(name, value));
        self.0.iter().cloned().chain(more).collect()
    }
}

/// A count that only grows.
#[derive(Debug)]
pub(super) struct Count(metrics::Counter);

impl Count {
    pub(super) fn new(
        name: &'static str,
        labels: &Labels,
        more: &[(&'static str, &'static str)],
    ) -> Self {
        Self(metrics::counter!(name, labels.with(more)))
    }

    pub(super) fn add(&self, count: u64) {
        self.0.increment(count);
    }

    pub(super) fn increment(&self) {
        self.add(1);
    }
}

/// A value that goes up and down.
#[derive(Debug)]
pub(super) struct Level(metrics::Gauge);

impl Level {
    pub(super) fn new(
        name: &'static str,
        labels: &Labels,
        more: &[(&'static str, &'static str)],
    ) -> Self {
        Self(metrics::gauge!(name, labels.with(more)))
    }

    #[allow(clippy::cast_precision_loss, reason = "none of them comes near 2^52")]
    pub(super) fn set(&self, value: u64) {
        self.0.set(value as f64);
    }
}

/// A distribution of times, in seconds.
#[derive(Debug)]
pub(super) struct Times(metrics::Histogram);

impl Times {
    pub(super) fn new(
        name: &'static str,
        labels: &Labels,
        more: &[(&'static str, &'static str)],
    ) -> Self {
        Self(metrics::histogram!(name, labels.with(more)))
    }

    pub(super) fn record(&self, took: Duration) {
        self.0.record(took.as_secs_f64());
    }

    pub(super) fn record_since(&self, watch: Stopwatch) {
        self.record(watch.0.elapsed());
    }
}

/// The moment at which something began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

/// One count for each reason that has occurred: made when it first does, so that a scrape shows
/// what there is. There are as many as the enum that they come of has names.
#[derive(Debug)]
pub(super) struct Reasons {
    name: &'static str,
    labels: Labels,
    known: RwLock<Vec<(&'static str, Count)>>,
}

impl Reasons {
    pub(super) fn new(name: &'static str, labels: &[(&'static str, &str)]) -> Self {
        Self { name, labels: Labels::new(labels), known: RwLock::default() }
    }

    pub(super) fn increment(&self, reason: &'static str) {
        let find = |known: &[(&'static str, Count)]| {
            let found = known.iter().find(|(name, _)| *name == reason);
            found.map(|(_, count)| count.increment())
        };
        if find(&self.known.read()).is_some() {
            return;
        }
        let mut known = self.known.write();
        if find(&known).is_none() {
            let count = Count::new(self.name, &self.labels, &[("reason", reason)]);
            count.increment();
            known.push((reason, count));
        }
    }
}

/// Tells the recorder what a name means.
pub(super) fn describe(name: &'static str, kind: super::names::Kind, meaning: &'static str) {
    use super::names::Kind;
    match kind {
        Kind::Counter => metrics::describe_counter!(name, meaning),
        Kind::Gauge => metrics::describe_gauge!(name, meaning),
        Kind::Histogram => {
            metrics::describe_histogram!(name, metrics::Unit::Seconds, meaning);
        }
    }
}
