//! Invalidation and fences.

use super::{Bench, KEEP, currents, sleep};
use crate::entry::Generation;
use crate::key::{Names, ScopeNames};
use crate::store::{LeaseToken, Miss, Mode, Store};

/// A hard [`Store::invalidate`] shows another generation for each of its scopes from then on, with
/// no id behind it, and for no other scope; it counts those it has moved.
pub async fn hard_invalidation_moves_generations(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a", "tag:x", "tag:y"]);
    bench.filled(&names).await;
    let before = bench.generations(&names).await;
    let scopes = bench.scopes(&["path:/a", "tag:y", "tag:unknown"]);
    let answer = store.invalidate(&scopes, Mode::Hard).await.expect("invalidate answers");
    assert_eq!(answer.moved, 2);
    assert!(!bench.is_valid(&names).await);
    let after = bench.generations(&names).await;
    assert_ne!(after[0].current(), before[0].current());
    assert_eq!(after[1], before[1]);
    assert_ne!(after[2].current(), before[2].current());
    for generation in &after {
        assert!(matches!(generation, Generation::Open { behind: [None, None, None], .. }));
    }
    assert_eq!(bench.granted(&names).await.stamps.len(), 3);

    let none = store.invalidate(&bench.scopes(&[]), Mode::Hard).await.expect("invalidate answers");
    assert_eq!(none.moved, 0);
}

/// A soft [`Store::invalidate`] keeps up to three older ids behind the new one, newest first; a
/// hard one forgets them.
pub async fn soft_invalidation_keeps_three_ids_behind(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let scopes = bench.scopes(&["path:/a"]);
    let mut history = vec![bench.granted(&names).await.stamps[0]];
    for _ in 0..5 {
        let answer = store.invalidate(&scopes, Mode::Soft).await.expect("invalidate answers");
        assert_eq!(answer.moved, 1);
        let Generation::Open { current, behind } = bench.generations(&names).await[0] else {
            panic!("a soft invalidation leaves the scope open");
        };
        let expected: Vec<_> = history.iter().rev().take(Generation::SOFT).copied().collect();
        let shown: Vec<_> = behind.into_iter().flatten().collect();
        assert_eq!(shown, expected);
        history.push(current);
        assert_eq!(bench.granted(&names).await.stamps[0], current);
    }
    store.invalidate(&scopes, Mode::Hard).await.expect("invalidate answers");
    let after = bench.generations(&names).await[0];
    assert!(matches!(after, Generation::Open { behind: [None, None, None], .. }), "{after:?}");
}

/// A scope without a generation is left without: a write creates no metadata.
pub async fn invalidation_creates_nothing(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    for mode in [Mode::Hard, Mode::Soft] {
        let scopes = bench.scopes(&["path:/a"]);
        let answer = store.invalidate(&scopes, mode).await.expect("invalidate answers");
        assert_eq!(answer.moved, 0);
        assert_eq!(bench.generations(&names).await, [Generation::Missing]);
    }
}

/// The same scope of another tenant, or of another namespace, is another scope.
pub async fn invalidation_reaches_no_other_tenant(store: &dyn Store) {
    let bench = Bench::new(store);
    let others = [bench.tenant("5"), bench.tenant("*"), bench.tenant(""), Bench::new(store)];
    for other in &others {
        other.filled(&other.names("/a", &["path:/a"])).await;
    }
    let names = bench.names("/a", &["path:/a"]);
    bench.filled(&names).await;
    store.invalidate(&bench.scopes(&["path:/a"]), Mode::Hard).await.expect("moves");
    assert!(!bench.is_valid(&names).await);
    for other in &others {
        assert!(other.is_valid(&other.names("/a", &["path:/a"])).await, "{:?}", other.space);
    }
}

/// The scope of all tenants is moved, closed and opened like any, and reaches every tenant's keys
/// that have it and no other.
pub async fn all_tenants_are_reached_at_once(store: &dyn Store) {
    let bench = Bench::new(store);
    let other = bench.tenant("5");
    let with_all = |bench: &Bench<'_>| -> Names {
        let mut names = bench.names("/a", &["path:/a"]);
        names.push_all_tenants();
        names
    };
    let (ours, theirs) = (with_all(&bench), with_all(&other));
    let plain = other.names("/plain", &["path:/plain"]);
    let mut scopes = bench.scopes(&["path:/a"]);
    scopes.push_all_tenants();

    let refill = async || {
        bench.filled(&ours).await;
        other.filled(&theirs).await;
        assert!(bench.is_valid(&ours).await && other.is_valid(&theirs).await);
    };
    refill().await;
    other.filled(&plain).await;
    let answer = store.invalidate(&scopes, Mode::Hard).await.expect("invalidate answers");
    assert_eq!(answer.moved, 2);
    assert!(!bench.is_valid(&ours).await && !other.is_valid(&theirs).await);
    refill().await;

    let mut only_all = ScopeNames::new(&bench.space);
    only_all.push_all_tenants();
    let answer = store.invalidate(&only_all, Mode::Hard).await.expect("invalidate answers");
    assert_eq!(answer.moved, 1);
    assert!(!other.is_valid(&theirs).await);
    refill().await;

    let token = LeaseToken::random();
    store.fence(&only_all, token, KEEP).await.expect("fence answers");
    assert_eq!(other.generations(&theirs).await[1], Generation::Closed);
    assert_eq!(other.miss(&theirs, None).await, Miss::Closed);
    store.lift(&only_all, token).await.expect("lift answers");
    assert!(!other.is_valid(&theirs).await);
    refill().await;
    assert!(other.is_valid(&plain).await);
}

/// A fenced scope is closed: lookups show it, misses say so and take no lease. Lifting it opens a
/// new generation.
pub async fn fence_closes_until_it_is_lifted(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a", "tag:x"]);
    let fresh = bench.names("/b", &["path:/b"]);
    let scopes = bench.scopes(&["path:/a", "path:/b"]);
    bench.filled(&names).await;
    let before = bench.generations(&names).await;
    let (token, reader) = (LeaseToken::random(), LeaseToken::random());
    store.fence(&scopes, token, KEEP).await.expect("fence answers");
    let closed = bench.generations(&names).await;
    assert_eq!(closed, [Generation::Closed, before[1]]);
    assert_eq!(bench.generations(&fresh).await, [Generation::Closed], "it had no generation");
    for names in [&names, &fresh] {
        assert_eq!(bench.miss(names, Some((reader, KEEP))).await, Miss::Closed);
        assert!(!store.release(names, reader).await.expect("release answers"), "no lease");
        assert!(!bench.is_valid(names).await);
    }
    store.lift(&scopes, token).await.expect("lift answers");
    assert!(!bench.is_valid(&names).await);
    let after = bench.generations(&names).await;
    assert!(after[0].current().is_some() && after[0].current() != before[0].current());
    assert_eq!(after[1], before[1]);
    bench.filled(&names).await;
    bench.filled(&fresh).await;

    // Lifting what isn't fenced makes a new generation all the same.
    let before = bench.generations(&names).await;
    store.lift(&scopes, token).await.expect("lift answers");
    let after = bench.generations(&names).await;
    assert!(after[0].current().is_some() && after[0].current() != before[0].current());
}

/// A fence that nobody lifts ends at its deadline, and nothing from before it is valid then.
pub async fn fence_ends_at_its_deadline(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    bench.filled(&names).await;
    let before = bench.generations(&names).await;
    let fence = store.fence(&bench.scopes(&["path:/a"]), LeaseToken::random(), 400).await;
    fence.expect("fence answers");
    assert_eq!(bench.miss(&names, None).await, Miss::Closed);
    sleep(600).await;
    assert!(!bench.is_valid(&names).await);
    let snapshot = bench.granted(&names).await;
    assert_ne!(Some(snapshot.stamps[0]), before[0].current());
}

/// An invalidation while the fence stands doesn't open it, nor does it make it last longer.
pub async fn fence_outlasts_invalidations(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let scopes = bench.scopes(&["path:/a"]);
    bench.filled(&names).await;
    store.fence(&scopes, LeaseToken::random(), 600).await.expect("fence answers");
    for mode in [Mode::Hard, Mode::Soft] {
        let answer = store.invalidate(&scopes, mode).await.expect("invalidate answers");
        assert_eq!(answer.moved, 1);
        assert_eq!(bench.generations(&names).await, [Generation::Closed]);
        assert_eq!(bench.miss(&names, None).await, Miss::Closed);
    }
    sleep(800).await;
    bench.filled(&names).await;
}

/// With two tokens the scope stays closed until both are lifted or past their deadlines.
pub async fn fences_of_two_tokens_add_up(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let scopes = bench.scopes(&["path:/a"]);
    let (one, two, lost) = (LeaseToken::random(), LeaseToken::random(), LeaseToken::random());
    bench.filled(&names).await;
    store.fence(&scopes, one, KEEP).await.expect("fence answers");
    store.fence(&scopes, two, KEEP).await.expect("fence answers");
    store.lift(&scopes, one).await.expect("lift answers");
    assert_eq!(bench.generations(&names).await, [Generation::Closed]);
    store.lift(&scopes, two).await.expect("lift answers");
    assert_ne!(currents(&bench.generations(&names).await), [None]);

    // A short one doesn't cut a long one short, and one past its deadline holds up no lift.
    store.fence(&scopes, one, KEEP).await.expect("fence answers");
    store.fence(&scopes, lost, 80).await.expect("fence answers");
    sleep(200).await;
    assert_eq!(bench.generations(&names).await, [Generation::Closed]);
    assert_eq!(bench.miss(&names, None).await, Miss::Closed);
    store.lift(&scopes, one).await.expect("lift answers");
    assert_ne!(currents(&bench.generations(&names).await), [None]);
    bench.filled(&names).await;

    // The one that is left decides when the scope opens by itself.
    store.fence(&scopes, one, KEEP).await.expect("fence answers");
    store.fence(&scopes, lost, 500).await.expect("fence answers");
    store.lift(&scopes, one).await.expect("lift answers");
    assert_eq!(bench.miss(&names, None).await, Miss::Closed);
    sleep(700).await;
    bench.filled(&names).await;
}
