//! One fetch for all who ask together, and nobody depends on another.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::{HOUR, cache, gym};

on_each_store! {
    async fn of_those_who_ask_together_one_fetches(backend: Backend) {
        let (one, other) = (cache(backend.store.clone()), cache(backend.another().await));
        let fetches = AtomicUsize::new(0);
        let asks = (0..40).map(|index| {
            let gym = gym(if index % 2 == 0 { &one } else { &other });
            let fetches = &fetches;
            async move {
                gym.get_or_fetch("k", HOUR, async || {
                    let fetch = fetches.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    Ok::<_, Infallible>(fetch)
                })
                .await
                .unwrap()
            }
        });
        assert!(join_all(asks).await.into_iter().all(|fetch| fetch == 0));
        assert_eq!(fetches.load(Ordering::SeqCst), 1);
        assert_eq!(one.stats().runs + other.stats().runs, 1);
    }

    async fn a_fetch_may_borrow_and_its_error_comes_back_unchanged(backend: Backend) {
        #[derive(Debug, PartialEq)]
        struct Mine<'a>(&'a str, usize);

        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let text = String::from("mine");
        let mut count = 0;
        let error = gym
            .get_or_fetch::<u32, _>("k", HOUR, async || {
                count += 1;
                Err(Mine(&text, count))
            })
            .await
            .unwrap_err();
        assert_eq!(error, Mine("mine", 1));
        cache.settled().await;
        assert_eq!(gym.get::<u32>("k").await.unwrap(), None);
    }

    async fn whose_fetch_fails_leaves_the_others_to_theirs(backend: Backend) {
        let cache = cache(backend.store.clone());
        let fetches = AtomicUsize::new(0);
        let asks = (0..10).map(|index| {
            let (gym, fetches) = (gym(&cache), &fetches);
            async move {
                gym.get_or_fetch::<u32, _>("k", HOUR, async || {
                    fetches.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    Err(index)
                })
                .await
            }
        });
        let began = tokio::time::Instant::now();
        for (index, answer) in join_all(asks).await.into_iter().enumerate() {
            assert_eq!(answer, Err(index));
        }
        assert_eq!(fetches.load(Ordering::SeqCst), 10);
        // Together, not one after the other.
        assert!(began.elapsed() < Duration::from_millis(450), "{:?}", began.elapsed());
    }

    async fn who_leaves_takes_nobody_along(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let begun = Arc::new(Notify::new());
        let leader = {
            let (gym, begun) = (gym.clone(), begun.clone());
            tokio::spawn(async move {
                gym.get_or_fetch::<u32, Infallible>("k", HOUR, async || {
                    begun.notify_one();
                    std::future::pending().await
                })
                .await
            })
        };
        begun.notified().await;
        let others = join_all((0..5).map(|_| {
            let gym = gym.clone();
            async move { gym.get_or_fetch("k", HOUR, async || Ok::<_, Infallible>(7)).await }
        }));
        let (answers, ()) = tokio::join!(others, async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            leader.abort();
        });
        assert!(answers.into_iter().all(|answer| answer == Ok(7)));
        cache.settled().await;
        assert_eq!(gym.get::<u32>("k").await.unwrap(), Some(7));
    }

    async fn a_fetch_that_panics_leaves_the_others_to_theirs(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let begun = Arc::new(Notify::new());
        let leader = {
            let (gym, begun) = (gym.clone(), begun.clone());
            tokio::spawn(async move {
                gym.get_or_fetch::<u32, Infallible>("k", HOUR, async || {
                    begun.notify_one();
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    panic!("on purpose")
                })
                .await
            })
        };
        begun.notified().await;
        let answer = gym.get_or_fetch("k", HOUR, async || Ok::<_, Infallible>(7)).await;
        assert_eq!(answer, Ok(7));
        assert!(leader.await.unwrap_err().is_panic());
    }
}

#[test]
fn its_future_can_be_sent_where_the_fetch_can() {
    use tower_response_cache::MemoryStore;

    fn is_send<T: Send>(_: T) {}
    let cache = cache(Arc::new(MemoryStore::new()));
    let gym = gym(&cache);
    is_send(gym.get_or_fetch("k", HOUR, async || Ok::<_, Infallible>(1)));
    is_send(gym.get::<u32>("k"));
    is_send(gym.get_many::<u32, _>(["a", "b"]));
    is_send(gym.set("k", HOUR, &1));
    is_send(gym.remove("k"));
}
