//! P7: the order comes from the store, and so does the time.
use std::sync::Arc;
use std::time::Duration;

use crate::support::Backend;
use crate::support::app::{App, Source};
use tower_response_cache::clock::{Clock, SkewedClock};
use tower_response_cache::{Cache, RedisStore, Route, Tenant};

const QUARTER: Duration = Duration::from_secs(15 * 60);
const TTL: Duration = Duration::from_millis(400);

async fn instance(backend: &Backend, clock: Arc<dyn Clock>, source: &Source) -> App {
    let url = backend.server.as_ref().unwrap().url();
    let store = RedisStore::builder(&url).clock(clock).connect().await.unwrap();
    let cache = Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/users/{id}"))
        .route(Route::get("/users/{id}/stats").ttl(TTL));
    App::with(cache, source.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_a_quarter_of_an_hour_apart_agree_on_everything() {
    let backend = Backend::redis().await;
    let source = Source::default();
    let (fast, slow) = (Arc::new(SkewedClock::default()), Arc::new(SkewedClock::default()));
    fast.advance(QUARTER);
    slow.rewind(QUARTER);
    let ahead = instance(&backend, fast.clone(), &source).await;
    let behind = instance(&backend, slow.clone(), &source).await;
    for (writer, reader) in [(&ahead, &behind), (&behind, &ahead)] {
        for round in 0..20 {
            let value = format!("{round}");
            writer.put("4", "/users/42", &value).await;
            for app in [reader, writer, reader] {
                let answer = app.get("4", "/users/42").await;
                assert_eq!(answer.text(), format!("4/42={value}"));
                let age: u64 = answer
                    .headers
                    .get("age")
                    .map_or(0, |age| age.to_str().unwrap().parse().unwrap());
                assert!(age <= 1, "{answer:?}");
                app.cache.settled().await;
            }
            let hit = reader.get("4", "/users/42").await;
            hit.assert_hit();
            let ttl = hit.cache_status().split("ttl=").nth(1).unwrap();
            assert!(["298", "299", "300"].contains(&ttl), "{hit:?}");
            // Clocks that are set while all runs change nothing either.
            fast.advance(QUARTER);
            slow.rewind(QUARTER);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_expires_for_all_at_once() {
    let backend = Backend::redis().await;
    let source = Source::default();
    for turned in [QUARTER, Duration::ZERO] {
        let clock = Arc::new(SkewedClock::default());
        clock.rewind(turned);
        let behind = instance(&backend, clock, &source).await;
        let right = instance(&backend, Arc::new(SkewedClock::default()), &source).await;
        for (writer, reader) in [(&behind, &right), (&right, &behind)] {
            writer.get("4", "/users/1/stats").await;
            writer.cache.settled().await;
            for app in [reader, writer] {
                app.get("4", "/users/1/stats").await.assert_hit();
            }
            tokio::time::sleep(TTL + Duration::from_millis(100)).await;
            for app in [reader, writer] {
                app.get("4", "/users/1/stats").await.assert_miss();
                app.cache.settled().await;
                writer.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
            }
        }
    }
}
