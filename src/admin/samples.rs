//! The last minutes, taken whenever somebody looks: without readers nothing is sampled.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How many samples are kept: three minutes of a page that looks every 2 seconds.
const KEPT: usize = 90;

/// Two readers at once are to give one sample.
const APART: Duration = Duration::from_millis(900);

/// How many requests there had been, and how many of them were answered from what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    at: Instant,
    requests: u64,
    hits: u64,
}

/// What happened between two samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// How long before now it ended.
    pub(super) ago: Duration,
    pub(super) requests: u64,
    pub(super) per_second: f64,
    /// `None` where there was no request.
    pub(super) hit_ratio: Option<f64>,
}

/// A ring of samples.
#[derive(Debug, Default)]
pub(super) struct Samples(Mutex<VecDeque<Sample>>);

impl Samples {
    /// Takes a sample, unless the last one is of just now.
    pub(super) fn take(&self, now: Instant, requests: u64, hits: u64) {
        let mut ring = self.0.lock();
        let rested = ring.back().is_none_or(|last| now.duration_since(last.at) >= APART);
        if rested {
            if ring.len() == KEPT {
                ring.pop_front();
            }
            ring.push_back(Sample { at: now, requests, hits });
        }
    }

    /// The steps between the samples, oldest first.
    pub(super) fn steps(&self, now: Instant) -> Vec<Step> {
        let ring = self.0.lock();
        let pairs = ring.iter().zip(ring.iter().skip(1));
        pairs.map(|(from, to)| Step::between(*from, *to, now)).collect()
    }
}

impl Step {
    fn between(from: Sample, to: Sample, now: Instant) -> Self {
        let requests = to.requests.saturating_sub(from.requests);
        let hits = to.hits.saturating_sub(from.hits);
        let seconds = to.at.duration_since(from.at).as_secs_f64();
        Self {
            ago: now.duration_since(to.at),
            requests,
            per_second: ratio(requests, 1).unwrap_or_default() / seconds.max(0.001),
            hit_ratio: ratio(hits, requests),
        }
    }
}

/// The share of one count in another, if that is not zero.
#[allow(clippy::cast_precision_loss, reason = "shown with a few digits")]
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_bounded_and_apart() {
        let samples = Samples::default();
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        assert_eq!(samples.steps(at(0)), []);
        samples.take(at(0), 10, 5);
        samples.take(at(100), 11, 5);
        samples.take(at(1000), 20, 13);
        let steps = samples.steps(at(1500));
        assert_eq!(steps.len(), 1);
        assert_eq!((steps[0].requests, steps[0].hit_ratio), (10, Some(0.8)));
        assert_eq!(steps[0].ago, Duration::from_millis(500));
        samples.take(at(2000), 20, 13);
        assert_eq!(samples.steps(at(2000))[1].hit_ratio, None);
        (3..300).for_each(|second| samples.take(at(second * 1000), 20, 13));
        assert_eq!(samples.steps(at(300_000)).len(), KEPT - 1);
    }
}
