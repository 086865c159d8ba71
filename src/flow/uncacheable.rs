//! Keys whose last answer could not be shared: remembered for a while, so that their requests do
//! not queue behind one another only to be told to run on their own.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::key::Names;

/// The keys, by a digest of their names: a collision costs a collapsed run and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Uncacheables(Mutex<Keys>);

#[derive(Debug, Default)]
struct Keys {
    until: HashMap<u64, Instant>,
    swept: Option<Instant>,
}

/// How many keys are remembered at most.
const MOST: usize = 10_000;

impl Uncacheables {
    /// Answers whether there was room for it.
    pub(crate) fn remember(&self, names: &Names, span: Duration) -> bool {
        let now = Instant::now();
        let mut keys = self.0.lock();
        if keys.until.len() >= MOST {
            // Looking through all of them is not for every request of a flood.
            if keys.swept.is_none_or(|swept| now - swept >= Duration::from_millis(100)) {
                keys.until.retain(|_, until| *until > now);
                keys.swept = Some(now);
            }
            if keys.until.len() >= MOST {
                return keys.until.contains_key(&names.entry_digest());
            }
        }
        keys.until.insert(names.entry_digest(), now + span);
        true
    }

    pub(crate) fn forget(&self, names: &Names) {
        self.0.lock().until.remove(&names.entry_digest());
    }

    pub(crate) fn knows(&self, names: &Names) -> bool {
        let keys = self.0.lock();
        !keys.until.is_empty()
            && keys.until.get(&names.entry_digest()).is_some_and(|until| *until > Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Space;

    #[test]
    fn of_no_more_keys_is_it_remembered() {
        let keys = Uncacheables::default();
        let space = Space::new(&"gym".into(), "4");
        let names = |number: usize| Names::new(&space, "GET", &format!("/users/{number}"));
        let long = Duration::from_secs(60);
        assert!((0..MOST).all(|number| keys.remember(&names(number), long)));
        assert!(!keys.remember(&names(MOST), long));
        assert!(!keys.knows(&names(MOST)) && keys.knows(&names(0)));
        assert!(keys.remember(&names(0), long), "it is remembered already");
        keys.forget(&names(0));
        assert!(keys.remember(&names(MOST), long));
        assert_eq!(keys.0.lock().until.len(), MOST);
    }
}
