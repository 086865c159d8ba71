//! Many requests at once, or many different ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, put};
use futures_util::future::join_all;
use tower_response_cache::{Cache, On, Route, Tenant};

use crate::support::app::{App, Source, gym_cache, request};

const FENCE: Duration = Duration::from_secs(60);

fn fenced(backend: &crate::support::Backend) -> App {
    let rule = On::put("/fenced/{id}").path("/users/{id}").fence(FENCE);
    let builder = gym_cache(backend.store.clone()).invalidate(rule);
    let builder = builder.hold_after_lost(Duration::from_millis(100));
    let app = App::with(builder, Source::default());
    let write = put(|| async { tokio::time::sleep(Duration::from_millis(20)).await });
    let more = Router::new().route("/fenced/{id}", write).layer(app.cache.layer());
    App { router: app.router.clone().merge(more), ..app }
}

on_each_store! {
    async fn writes_without_a_tenant_move_and_close_nothing(backend: Backend) {
        let app = fenced(&backend);
        app.warm("4", "/users/42").await;
        let flood = (0..300).map(|_| {
            let app = app.clone();
            let put = Request::put("/fenced/42").body(Body::empty()).unwrap();
            async move { app.send(put).await }
        });
        let during = app.get("4", "/users/42");
        let (answers, during) = tokio::join!(join_all(flood), during);
        assert!(answers.iter().all(|answer| answer.cache_status().ends_with("detail=no-tenant")));
        during.assert_hit();
        app.get("4", "/users/42").await.assert_hit();
        assert_eq!(app.cache.stats().invalidations, 0);
    }

    async fn a_flood_of_fenced_writes_opens_again_and_leaves_no_token(backend: Backend) {
        let app = fenced(&backend);
        app.warm("4", "/users/1").await;
        app.warm("4", "/users/untouched").await;
        let put = |id: usize| request(Method::PUT, "4", &format!("/fenced/{id}"));
        // Many on one key, and one on each of many.
        let ids = (0..200).map(|_| 1).chain(0..200);
        let whole = ids.clone().map(|id| { let app = app.clone(); async move { app.send(put(id)).await } });
        join_all(whole).await;
        // The same by clients who leave in the middle.
        let lost = ids.map(|id| {
            let app = app.clone();
            async move {
                let _ = tokio::time::timeout(Duration::from_millis(5), app.send(put(id))).await;
            }
        });
        join_all(lost).await;
        app.get("4", "/users/untouched").await.assert_hit();
        app.cache.settled().await;
        let began = Instant::now();
        // Long before the fences' own deadline.
        while !app.get_settled("4", "/users/1").await.is_hit() {
            assert!(began.elapsed() < FENCE / 3, "closed for good");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        #[cfg(feature = "redis")]
        if let Some(server) = &backend.server {
            // Of the key that all of them wrote: those of its fences end in a minute, those of a hold at once.
            let late = (now_millis() + 10_000).to_string();
            let key: &[u8] = b"gym:f:{4}:path:/users/1";
            let tokens = || server.raw(&[b"ZRANGEBYSCORE", key, late.as_bytes(), b"+inf"]);
            while !tokens().starts_with("*0\r\n") {
                assert!(began.elapsed() < FENCE / 3, "{}", tokens());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn a_hostile_client_gets_no_more_runs_than_there_is_room_for(backend: Backend) {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .max_runs(4)
            .run_queue_timeout(Duration::from_millis(20))
            .shed_load()
            .route(Route::get("/{id}"));
        let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
        let handler = move || async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            "x".repeat(100)
        };
        let app = App::of(cache, Router::new().route("/{id}", get(handler)));
        app.warm("4", "/honest").await;
        let flood = (0..600_usize).map(|at| {
            let method = if at % 3 == 1 { Method::HEAD } else { Method::GET };
            let target = format!("/{}?{}", fastrand_of(at) % 50, fastrand_of(at + 7));
            let mut asked = request(method, "4", &target);
            if at % 3 == 2 {
                let range = format!("bytes={}-{}", at % 90, at % 90 + 5);
                asked.headers_mut().insert("range", range.parse().unwrap());
            }
            if at % 5 == 0 {
                asked.headers_mut().insert("x-host", at.to_string().parse().unwrap());
            }
            let app = app.clone();
            async move { app.send(asked).await.status }
        });
        let honest = async {
            for _ in 0..20 {
                app.get("4", "/honest").await.assert_hit();
            }
        };
        let (statuses, ()) = tokio::join!(join_all(flood), honest);
        assert!(most.load(Ordering::SeqCst) <= 4, "{most:?} at once");
        assert!(statuses.contains(&StatusCode::SERVICE_UNAVAILABLE));
        assert!(statuses.contains(&StatusCode::OK));
        app.cache.settled().await;
        assert!(format!("{:?}", app.cache).contains("flights: 0,"), "{:?}", app.cache);
    }
}

#[cfg(feature = "redis")]
#[allow(clippy::disallowed_methods, reason = "the server's clock is that of this machine")]
fn now_millis() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_millis()
}

/// A number that looks like any other.
fn fastrand_of(seed: usize) -> usize {
    seed.wrapping_mul(0x9E37_79B9).rotate_left(7) % 1_000_003
}
