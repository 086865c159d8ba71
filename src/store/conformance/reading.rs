//! Looking up, missing, and what holds for all steps.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;

use super::{Bench, KEEP, frame, sleep};
use crate::entry::{Generation, Id};
use crate::store::{Filled, LeaseToken, Miss, MissRequest, Mode, Store};

/// [`Store::ping`] answers, and [`Store::now`] moves on and agrees with the ids that are minted.
pub async fn answers_and_has_a_clock(store: &dyn Store) {
    store.ping().await.expect("ping answers");
    let bench = Bench::new(store);
    let before = store.now();
    let snapshot = bench.granted(&bench.names("/", &["path:/"])).await;
    sleep(30).await;
    let after = store.now();
    assert!(after > before, "the clock stands still: {before}, then {after}");
    // The offset to a distant clock is known to about a round trip.
    let minted = snapshot.epoch.minted_at();
    assert!(minted + 1000 > before && minted < after + 1000, "{before} {minted} {after}");
}

/// An id is minted once, whatever asked for it, and holds the nonce of its attempt.
pub async fn ids_are_never_minted_twice(store: &dyn Store) {
    let bench = Bench::new(store);
    let scopes = ["path:/a", "path:/b", "path:/c"];
    let names = bench.names("/a", &scopes);
    bench.granted(&names).await;
    let mut seen: HashSet<Id> = HashSet::new();
    let mut tails: HashSet<[u8; 8]> = HashSet::new();
    for round in 0..50 {
        let found = bench.lookup(&names).await;
        for id in found.generations.iter().map(Generation::current).chain([found.epoch]) {
            let id = id.expect("every generation and the epoch are there");
            assert!(seen.insert(id), "{id:?} was minted twice");
        }
        let mut tail = [0; 8];
        tail.copy_from_slice(&found.epoch.expect("an epoch").as_bytes()[8..]);
        assert!(tails.insert(tail), "round {round} could be guessed");
        store.invalidate(&bench.scopes(&scopes), Mode::Hard).await.expect("invalidate answers");
        store.remove(&names).await.expect("remove answers");
    }
}

/// [`Store::lookup`] of what nobody has stored finds nothing, and creates nothing.
pub async fn lookup_of_the_unknown_is_empty(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users", "tag:x"]);
    for _ in 0..2 {
        let found = bench.lookup(&names).await;
        assert_eq!(found.entry, None);
        assert_eq!(*found.generations, [Generation::Missing; 2]);
        assert_eq!(found.epoch, None);
        assert_eq!(found.snapshot(), None);
    }
    let found = bench.lookup(&bench.names("/none", &[])).await;
    assert!(found.generations.is_empty());
}

/// [`Store::miss`] creates generations and the epoch, answers the very ids that a lookup shows, and
/// leaves them alone when they are there.
pub async fn miss_creates_what_is_missing(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users", "tag:x"]);
    let snapshot = bench.granted(&names).await;
    assert_eq!(snapshot.stamps.len(), 2);
    assert_eq!(bench.lookup(&names).await.snapshot(), Some(snapshot.clone()));
    assert_eq!(bench.granted(&names).await, snapshot);

    // Another key of the same scopes sees the same generations, and creates its own only.
    let other = bench.names("/users/1", &["tag:x", "path:/users/1"]);
    assert_eq!(bench.granted(&other).await.stamps[0], snapshot.stamps[1]);
    assert_eq!(bench.lookup(&names).await.snapshot(), Some(snapshot));

    let bare = bench.names("/none", &[]);
    assert!(bench.granted(&bare).await.stamps.is_empty());
}

/// [`Store::miss`] answers [`Miss::Again`] for an entry that is valid and fresh, and for no other:
/// not for one that is stale, was made under other scopes or an older generation, or is noise.
pub async fn miss_says_again_for_a_fresh_entry(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    bench.filled(&names).await;
    assert_eq!(bench.miss(&names, None).await, Miss::Again);
    let lease = Some((LeaseToken::random(), KEEP));
    assert_eq!(bench.miss(&names, lease).await, Miss::Again);

    let mut request =
        MissRequest { lease: None, keep: KEEP, scopes: names.scopes_digest(), ignore_entry: true };
    let ignored = store.miss(&names, &request).await.expect("miss answers");
    assert!(matches!(ignored, Miss::Granted(_)), "{ignored:?}");
    request.ignore_entry = false;
    request.scopes = [7; 8];
    let elsewhere = store.miss(&names, &request).await.expect("miss answers");
    assert!(matches!(elsewhere, Miss::Granted(_)), "{elsewhere:?}");

    store.invalidate(&bench.scopes(&["path:/users"]), Mode::Soft).await.expect("moves");
    let snapshot = bench.granted(&names).await;

    let stale = frame(&names, &snapshot, b"old", store.now().saturating_sub(2000));
    assert_eq!(bench.fill(&names, &snapshot, &stale).await, Filled::Stored);
    bench.granted(&names).await;

    for noise in [&b""[..], b"TRC", b"\0\xff", &stale[..stale.len().min(30)]] {
        let noise = Bytes::copy_from_slice(noise);
        assert_eq!(bench.fill(&names, &snapshot, &noise).await, Filled::Stored);
        assert_eq!(bench.lookup(&names).await.entry, Some(noise));
        bench.granted(&names).await;
    }
}

/// Names of any text and entries of any bytes come back as they were, each under its own name.
pub async fn odd_texts_and_bytes_are_kept_apart(store: &dyn Store) {
    let bench = Bench::new(store);
    let texts = ["", " ", "/a b", "/*?[x]\\", "{4}:", "/ü\n\r\n", "/a\0b", "$5\r\nhello"];
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for text in texts {
        let names = bench.names(text, &[text]);
        let snapshot = bench.granted(&names).await;
        let frame = bench.frame(&names, &snapshot, &[text.as_bytes(), &every_byte].concat());
        assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Stored);
    }
    for text in texts {
        let entry = bench.lookup(&bench.names(text, &[text])).await.entry.expect("an entry");
        assert!(entry.ends_with(&[text.as_bytes(), &every_byte].concat()), "{text:?}");
    }
}

/// A future that is dropped, before it was polled or after, spoils no other step.
pub async fn dropped_futures_leave_the_store_usable(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let scopes = bench.scopes(&["path:/users"]);
    let frame = bench.filled(&names).await;
    for round in 0..40 {
        drop(store.lookup(&names));
        let patience = Duration::from_micros(round * 10);
        let _ = tokio::time::timeout(patience, store.lookup(&names)).await;
        let _ = tokio::time::timeout(patience, bench.miss(&names, None)).await;
        let _ = tokio::time::timeout(patience, store.ping()).await;
        let _ = tokio::time::timeout(patience, store.discard(&names, &Bytes::new())).await;
        let found = bench.lookup(&names).await;
        assert_eq!(found.entry.as_ref(), Some(&frame));
        assert_eq!(found.generations.len(), 1);
    }
    for round in 0..40 {
        let patience = Duration::from_micros(round * 10);
        let _ = tokio::time::timeout(patience, store.invalidate(&scopes, Mode::Hard)).await;
        // The invalidation may not have been done, so the entry may still be there.
        if let Miss::Granted(snapshot) = bench.miss(&names, None).await {
            let frame = bench.frame(&names, &snapshot, &round.to_be_bytes());
            let fill = store.fill(&names, &snapshot, None, frame, KEEP);
            let _ = tokio::time::timeout(patience, fill).await;
        }
        assert_eq!(bench.generations(&names).await.len(), 1);
    }
    store.invalidate(&scopes, Mode::Hard).await.expect("invalidate answers");
    assert!(!bench.is_valid(&names).await);
}
