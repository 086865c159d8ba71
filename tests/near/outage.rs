//! What is remembered for an outage, where the app wants that.

use std::sync::Arc;
use std::time::Duration;

use tower_response_cache::{NearCache, RedisStore, Store};

use crate::support::app::{App, Source, gym_cache};
use crate::support::redis_server::RedisServer;
use crate::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_bridged_by_what_is_remembered_and_by_nothing_that_was_invalidated_here() {
    for (is_coherent, near) in [(true, NearCache::coherent()), (false, NearCache::strict())] {
        let mut server = RedisServer::start();
        let source = Source::default();
        source.put("4", "42", "old");
        source.put("4", "43", "old");
        let builder = RedisStore::builder(&server.url()).near_cache(near);
        let redis = Arc::new(builder.connect().await.unwrap());
        let store: Arc<dyn Store> = redis.clone();
        let builder = gym_cache(store.clone()).stale_in_outage(Duration::from_secs(60));
        let app = App::with(builder, source.clone());
        // The same, but for the memory.
        let plain = App::with(gym_cache(store), source.clone());
        for target in ["/users/42", "/users/43"] {
            app.warm("4", target).await;
            app.get_settled("4", target).await.assert_hit();
        }
        app.put("4", "/users/43", "confirmed").await;
        server.kill();
        if is_coherent {
            // Until it is known, hits go on.
            until("the feed's end is known", || !redis.is_near_alive()).await;
        }
        source.put("4", "42", "unseen");
        let runs = source.runs();
        let answer = app.get("4", "/users/42").await;
        assert_eq!(answer.text(), "4/42=old");
        assert!(answer.cache_status().contains("; detail=store-away"), "{answer:?}");
        assert_eq!(source.runs(), runs);
        assert_eq!(app.cache.stats().recalled, 1);
        assert_eq!(app.get("4", "/users/43").await.text(), "4/43=confirmed");
        assert_eq!(plain.get("4", "/users/42").await.text(), "4/42=unseen");
        // What this instance could not confirm is not served either.
        app.put("4", "/users/42", "here").await;
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=here");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_remembered_for_too_long_is_not_served() {
    let mut server = RedisServer::start();
    let source = Source::default();
    source.put("4", "42", "old");
    let builder = RedisStore::builder(&server.url()).near_cache(NearCache::coherent());
    let store: Arc<dyn Store> = Arc::new(builder.connect().await.unwrap());
    let app =
        App::with(gym_cache(store).stale_in_outage(Duration::from_millis(200)), source.clone());
    app.warm("4", "/users/42").await;
    app.get("4", "/users/42").await;
    server.kill();
    tokio::time::sleep(Duration::from_millis(250)).await;
    source.put("4", "42", "new");
    assert_eq!(app.get("4", "/users/42").await.text(), "4/42=new");
}
