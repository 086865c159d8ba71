//! Keys whose last answer could not be shared: remembered for a while, so that their requests do
//! not queue behind one another only to be told to run on their own.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::key::Names;

/// The keys, by a digest of their names: a collision costs a collapsed run and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Uncacheables(Mutex<HashMap<u64, Instant>>);

/// How many keys are remembered at most.
const MOST: usize = 10_000;

impl Uncacheables {
    pub(crate) fn remember(&self, names: &Names, span: Duration) {
        let now = Instant::now();
        let mut keys = self.0.lock();
        if keys.len() >= MOST {
            keys.retain(|_, until| *until > now);
            if keys.len() >= MOST {
                return;
            }
        }
        keys.insert(names.entry_digest(), now + span);
    }

    pub(crate) fn forget(&self, names: &Names) {
        self.0.lock().remove(&names.entry_digest());
    }

    pub(crate) fn knows(&self, names: &Names) -> bool {
        let keys = self.0.lock();
        !keys.is_empty()
            && keys.get(&names.entry_digest()).is_some_and(|until| *until > Instant::now())
    }
}
