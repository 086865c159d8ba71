//! Which entries have a prepared head, so that they are not too many.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::entry::{Entry, Told};

/// The entries whose heads were prepared last. The head of one that was before them is given up: what is
/// asked for once and again has it anew in the next second.
#[derive(Debug, Default)]
pub(crate) struct PreparedHeads(Mutex<VecDeque<Weak<Entry>>>);

/// How many there are.
const MOST: usize = 4096;

impl PreparedHeads {
    /// Keeps the head of this entry's answers that say this, once it was put together twice.
    pub(super) fn keep(&self, entry: &Arc<Entry>, told: Told, headers: &http::HeaderMap) {
        if !entry.prepared.set(told, headers) {
            return;
        }
        let given_up = {
            let mut last = self.0.lock();
            last.push_back(Arc::downgrade(entry));
            if last.len() > MOST { last.pop_front() } else { None }
        };
        // One that was prepared in each of several seconds is there as often.
        if let Some(other) = given_up.and_then(|other| other.upgrade())
            && !Arc::ptr_eq(&other, entry)
        {
            other.prepared.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::entry::{Content, Head, Prepared, RunId};

    fn entry() -> Arc<Entry> {
        let head =
            Head { run: RunId([0; 8]), scopes: [0; 8], stamps: Box::default(), fresh_until: 0 };
        Arc::new(Entry {
            head,
            name: 0,
            stored_at: 0,
            age: 0,
            stale_until: 0,
            error_until: 0,
            cost: 0,
            tags: Vec::new(),
            selection: None,
            content: Content::Response { status: StatusCode::OK, headers: HeaderMap::new() },
            body: Bytes::new(),
            prepared: Prepared::default(),
        })
    }

    #[test]
    fn no_more_heads_are_kept_than_may_be() {
        let heads = PreparedHeads::default();
        let told = Told { by: 1, age: 0, ttl: 1 };
        let entries: Vec<_> = (0..MOST + 10).map(|_| entry()).collect();
        for entry in &entries {
            heads.keep(entry, told, &HeaderMap::new());
            assert!(entry.prepared.get(told).is_none(), "it was asked for once");
            heads.keep(entry, told, &HeaderMap::new());
            assert!(entry.prepared.get(told).is_some());
        }
        let kept = entries.iter().filter(|entry| entry.prepared.get(told).is_some()).count();
        assert_eq!(kept, MOST);
        assert_eq!(heads.0.lock().len(), MOST);
        // Who is asked for in each second gives up nothing of its own.
        let last = entries.last().unwrap();
        for age in 1..=2 * u32::try_from(MOST).unwrap() {
            let told = Told { age, ..told };
            heads.keep(last, told, &HeaderMap::new());
            heads.keep(last, told, &HeaderMap::new());
            assert!(last.prepared.get(told).is_some());
        }
        assert_eq!(heads.0.lock().len(), MOST);
    }
}
