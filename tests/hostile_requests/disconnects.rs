//! Clients that leave at each moment at which they can.

use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::http::Method;
use tower_response_cache::On;

use crate::support::Backend;
use crate::support::app::{App, Source, gym_cache, request};

/// At how many moments a client leaves.
const MOMENTS: usize = 24;

/// Polls a request so many times, with time for its tasks in between, and drops it. Answers
/// whether it was done before.
async fn leave_after(polls: usize, request: impl Future) -> bool {
    let mut request = Box::pin(request);
    for _ in 0..polls {
        let poll = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if matches!(poll, Poll::Ready(_)) {
            return true;
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    false
}

fn app(backend: &Backend) -> App {
    let builder = gym_cache(backend.store.clone())
        .hold_after_lost(Duration::from_millis(10))
        .invalidate(On::patch("/users/{id}").path("/users/{id}").fence(Duration::from_secs(5)));
    App::with(builder, Source::default())
}

fn assert_nothing_left(app: &App) {
    let left = format!("{:?}", app.cache);
    assert!(left.contains("flights: 0, dirty: 0"), "{left}");
}

on_each_store! {
    async fn a_reader_who_leaves_takes_nothing_from_the_others(backend: Backend) {
        let app = app(&backend);
        for moment in 0..MOMENTS {
            let target = format!("/users/{moment}");
            app.source.put("4", &moment.to_string(), "value");
            let mut asked = request(Method::GET, "4", &target);
            asked.headers_mut().insert("x-delay-ms", "2".parse().unwrap());
            let leader = leave_after(moment, app.send(asked));
            let others = async {
                tokio::task::yield_now().await;
                app.get("4", &target).await
            };
            let (_, other) = tokio::join!(leader, others);
            assert_eq!(other.text(), format!("4/{moment}=value"));
            app.cache.settled().await;
            assert_eq!(app.get("4", &target).await.text(), format!("4/{moment}=value"));
            app.cache.settled().await;
            assert_nothing_left(&app);
        }
    }

    async fn a_writer_who_leaves_leaves_nothing_stale(backend: Backend) {
        let app = app(&backend);
        let mut done = 0;
        for moment in 0..MOMENTS {
            for method in [Method::PUT, Method::DELETE] {
                app.source.put("4", "42", "old");
                let began = Instant::now();
                while !app.get_settled("4", "/users/42").await.is_hit() {
                    assert!(began.elapsed() < Duration::from_secs(20), "closed for good");
                }
                let mut asked = request(method, "4", "/users/42");
                asked.headers_mut().insert("x-delay-ms", "1".parse().unwrap());
                done += usize::from(leave_after(moment, app.send(asked)).await);
                app.cache.settled().await;
                let now = app.source.read("4", "42").unwrap_or_default();
                let answer = app.get("4", "/users/42").await;
                assert_eq!(answer.text(), format!("4/42={now}"), "{moment}: {answer:?}");
                app.cache.settled().await;
                assert_nothing_left(&app);
                // Gone from the cache before the next round puts it behind its back.
                app.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
            }
        }
        assert!(done > 0 && done < 2 * MOMENTS, "{done}: they did not leave in the middle");
    }

    async fn a_body_that_is_left_in_the_middle_is_whole_for_the_next(backend: Backend) {
        use http_body_util::BodyExt;
        let app = app(&backend);
        app.source.put("4", "42", &"x".repeat(200_000));
        let mut opened = app.open(request(Method::GET, "4", "/users/42")).await;
        let _ = opened.body_mut().frame().await;
        drop(opened);
        let answer = app.get_settled("4", "/users/42").await;
        answer.assert_hit();
        assert_eq!(answer.body.len(), 200_000 + "4/42=".len());
        assert_nothing_left(&app);
    }
}
