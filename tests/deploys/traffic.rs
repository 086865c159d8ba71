//! A deploy under traffic, judged by what each reader was owed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tower_response_cache::{On, Route};

use crate::support::Backend;
use crate::support::app::App;
use crate::{Deploy, Guard, STATS, after, before};

/// How many answers were older than what had been confirmed before their request, out of how many.
async fn run(guard: Guard, span: Duration) -> (u64, u64) {
    let backend = Backend::redis().await;
    let old = |builder| {
        before(builder)
            .route(Route::get("/users"))
            .invalidate(On::put("/users/{id}").path("/users"))
    };
    let deploy = Deploy::of(&backend, guard, old, after).await;
    deploy.source.put("4", "42", "0");
    let confirmed = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + span;
    let mut readers = Vec::new();
    for app in [&deploy.old, &deploy.new, &deploy.old, &deploy.new] {
        let (app, confirmed): (App, _) = (app.clone(), Arc::clone(&confirmed));
        readers.push(tokio::spawn(async move {
            let (mut stale, mut all) = (0, 0);
            while Instant::now() < end {
                let owed = confirmed.load(Ordering::SeqCst);
                let answer = app.get("4", STATS).await;
                let value: u64 = answer.text().rsplit(' ').next().unwrap().parse().unwrap();
                stale += u64::from(value < owed);
                all += 1;
                tokio::task::yield_now().await;
            }
            (stale, all)
        }));
    }
    // By turns, so that each meets what the other has stored.
    for version in 1.. {
        if Instant::now() >= end {
            break;
        }
        let app = if version % 2 == 0 { &deploy.old } else { &deploy.new };
        app.put("4", "/users/42", &version.to_string()).await;
        confirmed.store(version, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let mut sum = (0, 0);
    for reader in readers {
        let (stale, all) = reader.await.unwrap();
        sum = (sum.0 + stale, sum.1 + all);
    }
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_what_was_outdated_before_he_asked() {
    let (stale, all) = run(Guard::On, Duration::from_secs(2)).await;
    assert!(all > 100, "{all}");
    assert_eq!(stale, 0, "of {all}");
    let (stale, all) = run(Guard::Off, Duration::from_millis(500)).await;
    assert!(stale > 0, "of {all}: the check finds nothing");
}
