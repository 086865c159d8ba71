//! Who may run the handler.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use super::{Bench, KEEP, sleep};
use crate::store::{LeaseToken, Miss, Mode, Store};

/// Of many misses at once exactly one is granted, and all others are told to wait, each with the
/// same snapshot. The holder itself is granted again.
pub async fn lease_goes_to_one_of_many(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let tokens: Vec<LeaseToken> = (0..16).map(|_| LeaseToken::random()).collect();
    let misses = tokens.iter().map(|token| bench.miss(&names, Some((*token, KEEP))));
    let answers = join(misses).await;
    let mut holder = None;
    let (mut snapshots, mut waited_for) = (Vec::new(), Vec::new());
    for (answer, token) in answers.into_iter().zip(&tokens) {
        match answer {
            Miss::Granted(snapshot) => {
                assert!(holder.replace(*token).is_none(), "two were granted");
                snapshots.push(snapshot);
            }
            Miss::Wait { snapshot, holder } => {
                snapshots.push(snapshot);
                waited_for.push(holder);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(waited_for.iter().all(|token| Some(*token) == holder), "who waits learns for whom");
    assert!(snapshots.iter().all(|snapshot| *snapshot == snapshots[0]));
    let again = bench.miss(&names, Some((holder.expect("one was granted"), KEEP))).await;
    assert_eq!(again, Miss::Granted(snapshots.swap_remove(0)));
}

/// A lease ends after its time.
pub async fn lease_expires(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let (mine, yours) = (LeaseToken::random(), LeaseToken::random());
    bench.miss(&names, Some((mine, 80))).await;
    sleep(200).await;
    let next = bench.miss(&names, Some((yours, KEEP))).await;
    assert!(matches!(next, Miss::Granted(_)), "{next:?}");
    assert!(!store.renew(&names, mine, KEEP).await.expect("renew answers"));
}

/// A lease whose stamps or epoch are no longer in force holds nobody up: it is taken over.
pub async fn lease_is_outdated_by_an_invalidation(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let tokens = [LeaseToken::random(), LeaseToken::random(), LeaseToken::random()];
    bench.miss(&names, Some((tokens[0], KEEP))).await;
    store.invalidate(&bench.scopes(&["path:/users"]), Mode::Hard).await.expect("moves");
    let next = bench.miss(&names, Some((tokens[1], KEEP))).await;
    assert!(matches!(next, Miss::Granted(_)), "{next:?}");
    assert!(!store.release(&names, tokens[0]).await.expect("release answers"), "taken over");
    store.remove(&names).await.expect("remove answers");
    let next = bench.miss(&names, Some((tokens[2], KEEP))).await;
    assert!(matches!(next, Miss::Granted(_)), "{next:?}");
}

/// [`Store::renew`] and [`Store::release`] act for the holder alone, and say so.
pub async fn lease_is_renewed_and_released_by_its_holder_alone(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let (mine, yours) = (LeaseToken::random(), LeaseToken::random());
    assert!(!store.renew(&names, mine, KEEP).await.expect("renew answers"));
    assert!(!store.release(&names, mine).await.expect("release answers"));
    bench.miss(&names, Some((mine, 500))).await;
    assert!(!store.renew(&names, yours, KEEP).await.expect("renew answers"));
    assert!(!store.release(&names, yours).await.expect("release answers"));
    assert!(store.renew(&names, mine, KEEP).await.expect("renew answers"));
    sleep(800).await;
    let waiting = bench.miss(&names, Some((yours, KEEP))).await;
    assert!(matches!(waiting, Miss::Wait { .. }), "renewed beyond its first time: {waiting:?}");
    assert!(store.release(&names, mine).await.expect("release answers"));
    let next = bench.miss(&names, Some((yours, KEEP))).await;
    assert!(matches!(next, Miss::Granted(_)), "{next:?}");
}

/// A miss that asks for no lease waits for none and takes none.
pub async fn miss_without_lease_never_waits(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let (mine, yours) = (LeaseToken::random(), LeaseToken::random());
    bench.granted(&names).await;
    let first = bench.miss(&names, Some((mine, KEEP))).await;
    assert!(matches!(first, Miss::Granted(_)), "{first:?}");
    bench.granted(&names).await;
    let other = bench.miss(&names, Some((yours, KEEP))).await;
    assert!(matches!(other, Miss::Wait { .. }), "{other:?}");
}

/// Runs futures side by side and answers in their order.
async fn join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none() {
                match future.as_mut().poll(cx) {
                    Poll::Ready(output) => *slot = Some(output),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}
