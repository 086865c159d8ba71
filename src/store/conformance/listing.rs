//! Listing keys.

use std::collections::BTreeSet;

use super::Bench;
use crate::key::Glob;
use crate::store::{Store, StoreErrorKind, StoredKey};

/// How many pages a list of a few dozen keys may take: the search of a store goes past what others
/// have on it.
const MOST_PAGES: usize = 100_000;

/// [`Store::keys`] lists each matching key of one tenant, in pages of a limited length, and no key
/// of another tenant whatever the cursor is. A store may refuse to list.
pub async fn keys_are_listed_by_pages_of_one_tenant(store: &dyn Store) {
    let bench = Bench::new(store);
    let other = bench.tenant("5");
    let mut expected = BTreeSet::new();
    for number in 0..25 {
        let text = format!("/users/{number}?x=GET /");
        bench.filled(&bench.names(&text, &["path:/users"])).await;
        other.filled(&other.names(&format!("/users/o{number}"), &["path:/users"])).await;
        expected.insert(text);
    }
    for text in ["/posts/1", "/user", "x/users/1"] {
        bench.filled(&bench.names(text, &["path:/posts"])).await;
    }
    let glob = Glob::new("/users/*").expect("a pattern");
    let first = store.keys(&bench.space, &glob, None, 10).await;
    if first.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Refused) {
        return;
    }
    let mut cursors = Vec::new();
    let mut seen = BTreeSet::new();
    let mut page = first.expect("keys answers");
    loop {
        assert!(page.keys.len() <= 20, "at most twice as many as asked for");
        assert!(page.keys.iter().all(|key| !key.variant.contains(' ')));
        let once: BTreeSet<&StoredKey> = page.keys.iter().collect();
        assert_eq!(once.len(), page.keys.len(), "each once");
        seen.extend(page.keys.iter().map(|key| key.text.clone()));
        let Some(next) = page.next else { break };
        assert!(cursors.len() < MOST_PAGES, "the list does not end");
        page = store.keys(&bench.space, &glob, Some(&next), 10).await.expect("keys answers");
        cursors.push(next);
    }
    assert_eq!(seen, expected);

    let all = Glob::new("*").expect("a pattern");
    let hostile =
        ["", "0", "1", "-1", "GET ", "*", "\u{10ffff}", "99999999999999999999", "0 MATCH *"];
    let cursors = cursors.iter().take(100).map(String::as_str).chain(hostile);
    for cursor in cursors {
        if let Ok(page) = store.keys(&other.space, &all, Some(cursor), 1000).await {
            let own = |key: &StoredKey| key.text.starts_with("/users/o");
            assert!(page.keys.iter().all(own), "{cursor:?} leads to another tenant: {page:?}");
        }
    }
    let none = Glob::new("/nothing").expect("a pattern");
    let page = store.keys(&bench.space, &none, None, 10).await.expect("keys answers");
    assert_eq!(page.keys, []);
}
