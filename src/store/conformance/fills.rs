//! What a fill does and what refuses it.

use std::future::Future;

use super::{Bench, KEEP, sleep};
use crate::entry::RunId;
use crate::store::{Filled, LeaseToken, Miss, Mode, Refusal, Store};

/// [`Store::fill`] makes the entry appear with exactly its bytes, and replaces an older one.
pub async fn fill_appears_with_its_bytes(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let snapshot = bench.granted(&names).await;
    let large = vec![7; 300_000];
    for body in [&b"one"[..], &large, b""] {
        let frame = bench.frame(&names, &snapshot, body);
        assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Stored);
        let found = bench.lookup(&names).await;
        assert_eq!(found.entry.as_ref(), Some(&frame));
        assert_eq!(found.snapshot().as_ref(), Some(&snapshot), "a fill moves nothing");
        assert!(bench.is_valid(&names).await);
    }
}

/// An entry is gone after its time.
pub async fn fill_expires(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let snapshot = bench.granted(&names).await;
    let frame = bench.frame(&names, &snapshot, b"brief");
    let filled = store.fill(&names, &snapshot, None, frame, 60).await;
    assert_eq!(filled.expect("fill answers"), Filled::Stored);
    sleep(150).await;
    let found = bench.lookup(&names).await;
    assert_eq!(found.entry, None);
    assert_eq!(found.snapshot(), Some(snapshot), "its generations live on");
}

/// A generation and an epoch live at least as long as the entry that was filled with them, and a
/// fill for a shorter time takes none of that away.
pub async fn fill_extends_generations_and_never_shortens_them(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let mut request = crate::store::MissRequest {
        lease: None,
        keep: 400,
        scopes: names.scopes_digest(),
        ignore_entry: false,
    };
    let Miss::Granted(snapshot) = store.miss(&names, &request).await.expect("miss answers") else {
        panic!("expected a grant");
    };
    let frame = bench.frame(&names, &snapshot, b"long");
    assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Stored);
    let other = bench.names("/users?page=2", &["path:/users"]);
    request.ignore_entry = true;
    request.scopes = other.scopes_digest();
    let Miss::Granted(second) = store.miss(&other, &request).await.expect("miss answers") else {
        panic!("expected a grant");
    };
    let brief = bench.frame(&other, &second, b"short");
    let filled = store.fill(&other, &second, None, brief, 50).await;
    assert_eq!(filled.expect("fill answers"), Filled::Stored);
    sleep(1200).await;
    assert_eq!(bench.lookup(&names).await.snapshot(), Some(snapshot));
    assert!(bench.is_valid(&names).await);
}

/// [`Store::fill`] refuses once a generation has moved or was closed, and changes nothing.
pub async fn fill_is_refused_after_an_invalidation(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users", "tag:x"]);
    let before = bench.filled(&names).await;
    for mode in [Mode::Hard, Mode::Soft] {
        for scope in ["path:/users", "tag:x"] {
            let snapshot = bench.lookup(&names).await.snapshot().expect("all is there");
            store.invalidate(&bench.scopes(&[scope]), mode).await.expect("invalidate answers");
            let late = bench.frame(&names, &snapshot, b"late");
            let filled = bench.fill(&names, &snapshot, &late).await;
            assert_eq!(filled, Filled::Refused(Refusal::Stamp), "{mode:?} of {scope}");
            assert_eq!(bench.lookup(&names).await.entry.as_ref(), Some(&before));
        }
    }
    let snapshot = bench.granted(&names).await;
    let token = LeaseToken::random();
    store.fence(&bench.scopes(&["tag:x"]), token, KEEP).await.expect("fence answers");
    let late = bench.frame(&names, &snapshot, b"late");
    assert_eq!(bench.fill(&names, &snapshot, &late).await, Filled::Refused(Refusal::Stamp));
    store.lift(&bench.scopes(&["tag:x"]), token).await.expect("lift answers");
    assert_eq!(bench.fill(&names, &snapshot, &late).await, Filled::Refused(Refusal::Stamp));
    assert_eq!(bench.lookup(&names).await.entry.as_ref(), Some(&before));

    // A scope that was never read has no generation for a stamp to equal.
    let foreign = bench.names("/users", &["path:/users", "tag:never"]);
    let filled = bench.fill(&foreign, &snapshot, &late).await;
    assert_eq!(filled, Filled::Refused(Refusal::Stamp));
}

/// [`Store::fill`] refuses once the key's epoch has moved, which is what [`Store::remove`] does.
pub async fn fill_is_refused_after_the_epoch_moved(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let snapshot = bench.granted(&names).await;
    assert!(!store.remove(&names).await.expect("remove answers"));
    let late = bench.frame(&names, &snapshot, b"late");
    assert_eq!(bench.fill(&names, &snapshot, &late).await, Filled::Refused(Refusal::Epoch));
    assert_eq!(bench.lookup(&names).await.entry, None);
    let snapshot = bench.granted(&names).await;
    let frame = bench.frame(&names, &snapshot, b"next");
    assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Stored);
}

/// [`Store::fill`] refuses a snapshot of another run of the store.
pub async fn fill_is_refused_from_another_run(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let mut snapshot = bench.granted(&names).await;
    let RunId(mut run) = snapshot.run;
    run[0] ^= 0x55;
    snapshot.run = RunId(run);
    let frame = bench.frame(&names, &snapshot, b"from before");
    assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Refused(Refusal::Run));
    assert_eq!(bench.lookup(&names).await.entry, None);
}

/// [`Store::fill`] refuses whoever has no lease or another one while a lease is held; the holder's
/// fill ends it. Without a lease anybody may fill.
pub async fn fill_needs_the_lease_if_one_is_held(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let (mine, yours) = (LeaseToken::random(), LeaseToken::random());
    let Miss::Granted(snapshot) = bench.miss(&names, Some((mine, KEEP))).await else {
        panic!("expected a grant");
    };
    let frame = bench.frame(&names, &snapshot, b"body");
    for token in [Some(yours), None] {
        let filled = store.fill(&names, &snapshot, token, frame.clone(), KEEP).await;
        assert_eq!(filled.expect("fill answers"), Filled::Refused(Refusal::Lease));
        assert_eq!(bench.lookup(&names).await.entry, None);
    }
    let filled = store.fill(&names, &snapshot, Some(mine), frame.clone(), KEEP).await;
    assert_eq!(filled.expect("fill answers"), Filled::Stored);
    assert!(!store.release(&names, mine).await.expect("release answers"), "the fill ended it");
    for token in [Some(yours), None] {
        let filled = store.fill(&names, &snapshot, token, frame.clone(), KEEP).await;
        assert_eq!(filled.expect("fill answers"), Filled::Stored);
    }
}

/// Whichever of a fill and an invalidation comes first, once the invalidation has answered no entry
/// from before it is valid.
pub async fn fill_that_races_an_invalidation_is_not_valid_after_it(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let scopes = bench.scopes(&["path:/users"]);
    for round in 0..30 {
        let snapshot = bench.granted(&names).await;
        let frame = bench.frame(&names, &snapshot, b"racing");
        let mut fill = std::pin::pin!(bench.fill(&names, &snapshot, &frame));
        // Sends the fill off, and leaves it on its way.
        let early = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(if round % 2 == 0 {
                fill.as_mut().poll(cx).is_ready()
            } else {
                false
            })
        })
        .await;
        store.invalidate(&scopes, Mode::Hard).await.expect("invalidate answers");
        assert!(!bench.is_valid(&names).await, "round {round}");
        if !early {
            fill.await;
        }
        assert!(!bench.is_valid(&names).await, "round {round}");
    }
}
