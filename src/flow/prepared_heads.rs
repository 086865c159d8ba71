//! Which entries have a prepared head, so that they are not too many.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use http::HeaderMap;
use parking_lot::Mutex;

use crate::entry::{Entry, Told};

/// The heads that were prepared last, by the entries that have them. One that is too many is given up, if it
/// is not outdated by then: what is asked for once and again has it anew in the next second.
#[derive(Debug, Default)]
pub(crate) struct PreparedHeads(Mutex<VecDeque<(Weak<Entry>, Told)>>);

/// How many there are.
const MOST: usize = 4096;

impl PreparedHeads {
    /// Keeps the head of this entry's answers that say this, once it was put together twice.
    pub(super) fn keep(&self, entry: &Arc<Entry>, told: Told, headers: &HeaderMap) {
        if !entry.prepared.set(told, headers) {
            return;
        }
        let too_many = {
            let mut last = self.0.lock();
            last.push_back((Arc::downgrade(entry), told));
            if last.len() > MOST { last.pop_front() } else { None }
        };
        if let Some((entry, told)) = too_many
            && let Some(entry) = entry.upgrade()
        {
            entry.prepared.give_up(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::entry::{Content, Head, RunId};

    fn entry() -> Arc<Entry> {
        let head =
            Head { run: RunId([0; 8]), scopes: [0; 8], stamps: Box::default(), fresh_until: 0 };
        let content = Content::Response { status: StatusCode::OK, headers: HeaderMap::new() };
        Arc::new(Entry::new(head, 0, content, Bytes::new()))
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
    }

    #[test]
    fn who_is_asked_for_in_each_second_displaces_nobody() {
        let heads = PreparedHeads::default();
        let entries = [entry(), entry(), entry()];
        for age in 0..u32::try_from(MOST).unwrap() {
            let told = Told { by: 1, age, ttl: 1 };
            for entry in entries.iter().chain(&entries) {
                heads.keep(entry, told, &HeaderMap::new());
            }
            assert!(entries.iter().all(|entry| entry.prepared.get(told).is_some()), "{age}");
        }
        assert_eq!(heads.0.lock().len(), MOST);
    }
}
