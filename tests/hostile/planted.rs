//! Bytes that somebody else writes where an entry belongs.

use std::sync::Arc;

use bytes::Bytes;
use tower_response_cache::key::{Names, Space};
use tower_response_cache::store::{Filled, Miss, MissRequest};
use tower_response_cache::{Stats, Store};

use crate::support::app::App;

/// The names of a user's page, as the gym's app makes them.
pub fn names(id: &str) -> Names {
    let mut names = Names::new(&Space::new(&"gym".into(), "4"), "GET", &format!("/users/{id}"));
    // The order is that of the templates.
    names.push_scope("tenant");
    names.push_scope(&format!("path:/users/{id}"));
    names.push_scope(&format!("subtree:/users/{id}"));
    names
}

/// Stores these bytes under the entry's name, whatever they are.
pub async fn plant(store: &dyn Store, names: &Names, bytes: &Bytes) {
    let mut request = MissRequest::new(60_000, names.scopes_digest());
    request.ignore_entry = true;
    let Ok(Miss::Granted(snapshot)) = store.miss(names, &request).await else {
        panic!("no snapshot of {names:?}");
    };
    let filled = store.fill(names, &snapshot, None, bytes.clone(), 60_000).await;
    assert_eq!(filled.unwrap(), Filled::Stored);
}

/// What is stored for a user's page.
pub async fn stored(store: &Arc<dyn Store>, id: &str) -> Option<Bytes> {
    store.lookup(&names(id)).await.unwrap().entry
}

/// How often each reason was counted: of bytes that did not decode, of a foreign entry, of a large one.
pub fn reasons(stats: &Stats) -> [(&'static str, u64); 7] {
    [
        ("foreign", stats.foreign),
        ("other-version", stats.other_version),
        ("truncated", stats.truncated),
        ("bad-checksum", stats.bad_checksum),
        ("malformed", stats.malformed),
        ("mismatched", stats.mismatched),
        ("oversized", stats.oversized),
    ]
}

/// Asks once, and answers the one reason for which what was stored did not count.
pub async fn asked(app: &App, id: &str, what: &str) -> &'static str {
    let before = app.cache.stats();
    let answer = app.get("4", &format!("/users/{id}")).await;
    answer.assert_miss();
    assert_eq!(answer.text(), format!("4/{id}=value"), "{what}");
    let after = app.cache.stats();
    let mut counted = reasons(&after)
        .into_iter()
        .zip(reasons(&before))
        .filter(|((_, after), (_, before))| after != before)
        .map(|((reason, after), (_, before))| (reason, after - before));
    let (reason, count) = counted.next().unwrap_or_else(|| panic!("not counted: {what}"));
    assert_eq!((count, counted.next()), (1, None), "{what}");
    let is_corrupt = !matches!(reason, "mismatched" | "oversized");
    assert_eq!(after.corrupt - before.corrupt, u64::from(is_corrupt), "{what}");
    assert_eq!(after.store_errors, before.store_errors, "{what}");
    reason
}
