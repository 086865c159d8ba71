//! The head of a hit, for those who come in the same second.

use std::fmt;

use http::HeaderMap;
use parking_lot::RwLock;

/// The head of the answers to one second's hits on one entry.
///
/// An entry that is kept in this process answers many requests, and nothing in the heads of their answers
/// differs before the age or what is left of its time does: two of them put the head together, the others copy
/// it. It is kept with the entry, whose bytes it shares, and goes with it.
///
/// It is no part of what an entry is: a clone has none, and two entries are equal whatever is prepared.
#[derive(Default)]
pub struct Prepared(RwLock<Answer>);

#[derive(Default)]
struct Answer {
    /// What the last head says that was put together.
    told: Option<Told>,
    /// The head itself, once it was put together twice: most entries are not asked for twice in a second.
    headers: Option<Box<HeaderMap>>,
}

/// What a head says beside what the entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Who says it: caches of several names may have one store.
    pub(crate) by: u64,
    /// Its age in seconds.
    pub(crate) age: u32,
    /// For how many seconds it is fresh.
    pub(crate) ttl: i64,
}

impl Prepared {
    /// A copy of the head that says this, if it is kept.
    pub(crate) fn get(&self, told: Told) -> Option<HeaderMap> {
        // Whoever would have to wait puts together his own.
        let answer = self.0.try_read()?;
        let headers = answer.headers.as_deref().filter(|_| answer.told == Some(told))?;
        Some(headers.clone())
    }

    /// Somebody has put together the head that says this. It is kept the second time: answers whether it
    /// is from now on.
    pub(crate) fn set(&self, told: Told, headers: &HeaderMap) -> bool {
        let Some(mut answer) = self.0.try_write() else { return false };
        let is_known = answer.told == Some(told);
        if is_known && answer.headers.is_some() {
            return false;
        }
        let headers = is_known.then(|| Box::new(headers.clone()));
        let is_kept = headers.is_some();
        let before = std::mem::replace(&mut *answer, Answer { told: Some(told), headers });
        drop(answer);
        // With the fields' texts, outside the lock.
        drop(before);
        is_kept
    }

    /// Gives up the head that says this, if it is the one that is kept. Waits for who copies it.
    pub(crate) fn give_up(&self, told: Told) {
        let mut answer = self.0.write();
        let before = if answer.told == Some(told) { answer.headers.take() } else { None };
        drop(answer);
        drop(before);
    }
}

impl Clone for Prepared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Prepared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Prepared {}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.0.try_read().map(|answer| answer.told);
        f.debug_tuple("Prepared").field(&told).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::AGE;

    use super::*;

    #[test]
    fn only_the_last_head_is_there_and_only_for_who_says_the_same() {
        let prepared = Prepared::default();
        let told = Told { by: 1, age: 5, ttl: 55 };
        let head = |age: u32| HeaderMap::from_iter([(AGE, HeaderValue::from(age))]);
        prepared.set(told, &head(5));
        assert_eq!(prepared.get(told), None, "nobody else has asked in this second");
        prepared.set(told, &head(5));
        assert_eq!(prepared.get(told), Some(head(5)));
        for other in [Told { by: 2, ..told }, Told { age: 6, ..told }, Told { ttl: 54, ..told }] {
            assert_eq!(prepared.get(other), None, "{other:?}");
        }
        assert_eq!(prepared.clone().get(told), None);
        let later = Told { age: 6, ttl: 54, ..told };
        prepared.set(later, &head(6));
        assert_eq!((prepared.get(told), prepared.get(later)), (None, None));
        prepared.set(later, &head(6));
        // Nobody waits for who is there already.
        let _reading = prepared.0.read();
        prepared.set(told, &head(5));
        assert_eq!(prepared.get(later), Some(head(6)));
    }
}
