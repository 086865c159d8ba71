//! Removing entries themselves.

use bytes::Bytes;

use super::Bench;
use crate::key::Glob;
use crate::store::{Filled, Refusal, Store};

/// [`Store::remove`] takes the entry away, says whether there was one, moves the key's epoch, and
/// leaves other entries and the generations alone.
pub async fn remove_takes_one_entry(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let other = bench.names("/b", &["path:/a"]);
    assert!(!store.remove(&names).await.expect("remove answers"));
    assert_eq!(bench.lookup(&names).await.epoch, None, "an epoch nobody has read isn't made");
    bench.filled(&names).await;
    bench.filled(&other).await;
    let before = bench.lookup(&names).await;
    assert!(store.remove(&names).await.expect("remove answers"));
    let after = bench.lookup(&names).await;
    assert_eq!(after.entry, None);
    assert_eq!(after.generations, before.generations);
    assert!(after.epoch.is_some() && after.epoch != before.epoch);
    assert!(!store.remove(&names).await.expect("remove answers"));
    assert!(bench.is_valid(&other).await);
}

/// [`Store::discard`] removes the entry if it holds what was seen, and otherwise leaves it.
pub async fn discard_removes_only_what_was_seen(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let discard = async |seen: &Bytes| store.discard(&names, seen).await.expect("discard answers");
    assert!(!discard(&Bytes::new()).await);
    for size in [0, 1, 1024, 65_536, 65_537, 300_000] {
        let snapshot = bench.granted(&names).await;
        let entry = Bytes::from(vec![b'x'; size]);
        assert_eq!(bench.fill(&names, &snapshot, &entry).await, Filled::Stored);
        let longer = Bytes::from(vec![b'x'; size + 1]);
        assert!(!discard(&longer).await, "{size}");
        if size > 0 {
            for at in [0, size - 1] {
                let mut changed = entry.to_vec();
                changed[at] = b'y';
                assert!(!discard(&changed.into()).await, "{size} {at}");
            }
        }
        assert_eq!(bench.lookup(&names).await.entry.as_ref(), Some(&entry));
        assert!(discard(&entry).await, "{size}");
        assert!(!discard(&entry).await, "{size}");
        assert_eq!(bench.lookup(&names).await.entry, None);
    }
}

/// [`Store::trim`] removes an entry that is larger than it may be, and no other.
pub async fn trim_removes_only_what_is_too_large(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let trim = async |most| store.trim(&names, most).await.expect("trim answers");
    assert!(!trim(0).await);
    let snapshot = bench.granted(&names).await;
    let entry = Bytes::from(vec![b'x'; 1000]);
    assert_eq!(bench.fill(&names, &snapshot, &entry).await, Filled::Stored);
    assert!(!trim(1000).await);
    assert_eq!(bench.lookup(&names).await.entry.as_ref(), Some(&entry));
    assert!(trim(999).await);
    assert_eq!(bench.lookup(&names).await.entry, None);
}

/// [`Store::delete_pattern`] removes the entries whose text matches, counts them, and touches no
/// other entry, no other tenant and no other namespace.
pub async fn delete_pattern_removes_what_matches_in_one_tenant(store: &dyn Store) {
    let bench = Bench::new(store);
    let others = [bench.tenant("5"), bench.tenant("*"), Bench::new(store)];
    let matching = ["/users", "/users/1", "/users/2?x=GET /users", "/users x"];
    let rest = ["/user", "/posts", " /users", "/x /users", "x/users"];
    for text in matching.iter().chain(&rest) {
        bench.filled(&bench.names(text, &["path:/a"])).await;
        for other in &others {
            other.filled(&other.names(text, &["path:/a"])).await;
        }
    }
    let glob = Glob::new("/users*").expect("a pattern");
    let removed = store.delete_pattern(&bench.space, &glob).await.expect("delete_pattern answers");
    assert_eq!(removed, matching.len() as u64);
    for text in matching {
        assert_eq!(bench.lookup(&bench.names(text, &["path:/a"])).await.entry, None, "{text}");
    }
    for text in rest {
        assert!(bench.is_valid(&bench.names(text, &["path:/a"])).await, "{text}");
    }
    for other in &others {
        for text in matching.iter().chain(&rest) {
            assert!(other.is_valid(&other.names(text, &["path:/a"])).await, "{text}");
        }
    }
    let removed = store.delete_pattern(&bench.space, &glob).await.expect("delete_pattern answers");
    assert_eq!(removed, 0);
}

/// [`Store::delete_pattern`] refuses the fills of its tenant that are under way, and allows the
/// next ones.
pub async fn delete_pattern_refuses_fills_under_way(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let snapshot = bench.granted(&names).await;
    let glob = Glob::new("/users*").expect("a pattern");
    store.delete_pattern(&bench.space, &glob).await.expect("delete_pattern answers");
    let late = bench.frame(&names, &snapshot, b"late");
    assert_eq!(bench.fill(&names, &snapshot, &late).await, Filled::Refused(Refusal::Epoch));
    assert_eq!(bench.lookup(&names).await.entry, None);
    bench.filled(&names).await;
}
