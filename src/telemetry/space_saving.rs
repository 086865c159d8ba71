//! The most frequent keys of a stream, with a fixed number of counters: Space-Saving, after Metwally,
//! Agrawal and El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams"
//! (ICDT 2005).
//!
//! A key without a counter takes that with the smallest count, and goes on from there: what it may
//! have too much is kept beside it as its error. So no count is too small, each is too large by at
//! most its error, and no error is larger than the stream divided by the number of counters. A key
//! with more than that has a counter.

use std::collections::HashMap;
use std::hash::Hash;

/// A fixed number of counters.
#[derive(Debug)]
pub(super) struct SpaceSaving<K> {
    capacity: usize,
    total: u64,
    counters: HashMap<K, Counted>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    count: u64,
    error: u64,
    hits: u64,
}

/// A key that has a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<K> {
    pub(crate) key: K,
    /// How often it has come: at most so often, and at least so often without the `error`.
    pub(crate) count: u64,
    pub(crate) error: u64,
    /// How often it was a hit, of the times that are sure.
    pub(crate) hits: u64,
}

impl<K> Line<K> {
    /// How often it has come for sure.
    pub(crate) fn at_least(&self) -> u64 {
        self.count - self.error
    }
}

impl<K: Clone + Eq + Hash> SpaceSaving<K> {
    /// With so many counters, at least one.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), total: 0, counters: HashMap::new() }
    }

    /// The key has come `weight` times.
    pub(super) fn count(&mut self, key: &K, weight: u64, is_hit: bool) {
        self.total += weight;
        let hits = if is_hit { weight } else { 0 };
        if let Some(known) = self.counters.get_mut(key) {
            known.count += weight;
            known.hits += hits;
            return;
        }
        let error = if self.counters.len() < self.capacity { 0 } else { self.give_up() };
        self.counters.insert(key.clone(), Counted { count: error + weight, error, hits });
    }

    /// Takes the counter with the smallest count from its key, and answers that count. Looks at all of
    /// them: there are few, and keys without a counter are rare where there is something to be seen.
    fn give_up(&mut self) -> u64 {
        let smallest = self.counters.iter().min_by_key(|(_, counted)| counted.count);
        let Some((key, count)) = smallest.map(|(key, counted)| (key.clone(), counted.count)) else {
            return 0;
        };
        self.counters.remove(&key);
        count
    }

    /// How often all keys have come.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The keys that have come most often, so many at most.
    pub(super) fn top(&self, most: usize) -> Vec<Line<K>> {
        let line = |(key, counted): (&K, &Counted)| {
            let Counted { count, error, hits } = *counted;
            Line { key: key.clone(), count, error, hits }
        };
        let mut lines: Vec<_> = self.counters.iter().map(line).collect();
        // Of two with the same count the one of which more is sure.
        lines.sort_by_key(|line| std::cmp::Reverse((line.count, line.at_least())));
        lines.truncate(most);
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_smallest_gives_way_and_leaves_its_count_as_an_error() {
        let mut sketch = SpaceSaving::new(2);
        for key in ["a", "a", "a", "b", "c", "c"] {
            sketch.count(&key, 1, key == "c");
        }
        let line = |key, count, error, hits| Line { key, count, error, hits };
        assert_eq!(sketch.top(9), [line("a", 3, 0, 0), line("c", 3, 1, 2)]);
        assert_eq!(sketch.total(), 6);
    }

    proptest! {
        /// Against a count of everything.
        #[test]
        fn counts_are_within_their_errors_and_errors_within_the_bound(
            capacity in 1_usize..12,
            stream in prop::collection::vec((0_u32..40, 1_u64..4, any::<bool>()), 0..400),
        ) {
            let mut sketch = SpaceSaving::new(capacity);
            let mut truth: HashMap<u32, (u64, u64)> = HashMap::new();
            for (key, weight, is_hit) in &stream {
                // Few are frequent.
                let key = key * key / 40;
                sketch.count(&key, *weight, *is_hit);
                let known = truth.entry(key).or_default();
                known.0 += weight;
                known.1 += if *is_hit { *weight } else { 0 };
            }
            let total: u64 = truth.values().map(|(count, _)| count).sum();
            prop_assert_eq!(sketch.total(), total);
            let lines = sketch.top(usize::MAX);
            prop_assert!(lines.len() <= capacity);
            prop_assert!(lines.is_sorted_by(|one, other| one.count >= other.count));
            let bound = total / capacity as u64;
            for line in &lines {
                let (count, hits) = truth[&line.key];
                prop_assert!(line.at_least() <= count && count <= line.count, "{:?} {}", line, count);
                prop_assert!(line.error <= bound, "{:?} {}", line, bound);
                prop_assert!(line.hits <= hits && line.hits <= line.at_least(), "{:?}", line);
                // What was never without its counter is exact.
                prop_assert!(line.error > 0 || (line.count, line.hits) == (count, hits));
            }
            for (key, (count, _)) in truth {
                let has_counter = lines.iter().any(|line| line.key == key);
                prop_assert!(has_counter || count <= bound, "{} with {} is missing", key, count);
            }
        }
    }
}
