//! P10: scopes that are closed while a write runs, and for a while after it.

use std::time::Duration;

use crate::support::app::{App, Source, gym_cache, request};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use tower_response_cache::{CacheBuilder, On, Store};

fn fenced(store: std::sync::Arc<dyn Store>, longest: Duration) -> CacheBuilder {
    gym_cache(store).invalidate(On::patch("/users/{id}").subtree("/users/{id}").fence(longest))
}

fn app(builder: CacheBuilder, source: &Source) -> App {
    let cache = crate::support::app::patient(builder).build().unwrap();
    let patch = {
        let source = source.clone();
        axum::routing::patch(
            move |axum::extract::Path(id): axum::extract::Path<String>,
                  headers: axum::http::HeaderMap,
                  body: String| async move {
                source.put("4", &id, &body);
                let delay =
                    headers.get("x-delay-ms").map_or(0, |v| v.to_str().unwrap().parse().unwrap());
                tokio::time::sleep(Duration::from_millis(delay)).await;
                headers
                    .get("x-status")
                    .map_or(StatusCode::NO_CONTENT, |v| v.to_str().unwrap().parse().unwrap())
            },
        )
    };
    let router = crate::support::app::gym_routes(source.clone()).route("/users/{id}", patch);
    App { router: router.layer(cache.layer()), cache, source: source.clone() }
}

fn patch(target: &str, value: &str, delay: u64, status: u16) -> Request<Body> {
    let mut request = request(Method::PATCH, "4", target);
    request.headers_mut().insert("x-delay-ms", delay.into());
    request.headers_mut().insert("x-status", status.into());
    *request.body_mut() = Body::from(value.to_owned());
    request
}

on_each_store! {
    async fn while_the_handler_runs_nothing_is_served_or_stored(backend: Backend) {
        let source = Source::default();
        source.put("4", "1", "old");
        let longest = Duration::from_secs(30);
        let one = app(fenced(backend.store.clone(), longest), &source);
        let other = app(fenced(backend.another().await, longest), &source);
        one.warm("4", "/users/1").await;
        other.get("4", "/users/1").await.assert_hit();
        one.warm("4", "/users/10").await;
        let writer = one.clone();
        let write = tokio::spawn(async move { writer.send(patch("/users/1", "new", 300, 204)).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        for app in [&one, &other, &one, &other] {
            let answer = app.get("4", "/users/1").await;
            answer.assert_bypass("fenced");
            assert_eq!(answer.text(), "4/1=new");
            app.get("4", "/users/10").await.assert_hit();
        }
        assert_eq!(write.await.unwrap().status, StatusCode::NO_CONTENT);
        for app in [&one, &other] {
            app.get("4", "/users/1").await;
            app.get_settled("4", "/users/1").await.assert_hit();
        }
    }

    async fn overlapping_fences_open_with_the_last(backend: Backend) {
        let source = Source::default();
        let app = app(fenced(backend.store.clone(), Duration::from_secs(30)), &source);
        app.warm("4", "/users/1").await;
        let start = |delay| {
            let app = app.clone();
            tokio::spawn(async move { app.send(patch("/users/1", "new", delay, 204)).await })
        };
        let (short, long) = (start(100), start(500));
        short.await.unwrap();
        app.get("4", "/users/1").await.assert_bypass("fenced");
        // A plain invalidation of the scope opens nobody's fence.
        app.put("4", "/users/1", "newer").await;
        app.get("4", "/users/1").await.assert_bypass("fenced");
        app.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
        app.get("4", "/users/1").await.assert_bypass("fenced");
        long.await.unwrap();
        app.get("4", "/users/1").await.assert_miss();
        app.get_settled("4", "/users/1").await.assert_hit();
    }

    async fn a_refused_write_opens_its_fence_again(backend: Backend) {
        let source = Source::default();
        let app = app(fenced(backend.store.clone(), Duration::from_secs(30)), &source);
        app.warm("4", "/users/1").await;
        app.send(patch("/users/1", "x", 0, 404)).await;
        app.get("4", "/users/1").await.assert_miss();
        app.get_settled("4", "/users/1").await.assert_hit();
    }

    async fn a_client_that_leaves_a_fenced_write_leaves_no_fence_for_long(backend: Backend) {
        let source = Source::default();
        source.put("4", "1", "old");
        let builder = fenced(backend.store.clone(), Duration::from_secs(600));
        let app = app(builder.hold_after_lost(Duration::from_millis(300)), &source);
        app.warm("4", "/users/1").await;
        let write = app.send(patch("/users/1", "new", 60_000, 204));
        assert!(tokio::time::timeout(Duration::from_millis(100), write).await.is_err());
        app.cache.settled().await;
        let closed = app.get("4", "/users/1").await;
        closed.assert_bypass("fenced");
        assert_eq!(closed.text(), "4/1=new");
        tokio::time::sleep(Duration::from_millis(400)).await;
        app.warm("4", "/users/1").await;
    }

    async fn a_hold_keeps_the_scope_closed_after_the_write(backend: Backend) {
        let source = Source::default();
        let hold = On::patch("/users/{id}").subtree("/users/{id}").hold(Duration::from_millis(400));
        let app = app(gym_cache(backend.store.clone()).invalidate(hold), &source);
        app.warm("4", "/users/1").await;
        app.send(patch("/users/1", "new", 0, 204)).await;
        app.get("4", "/users/1").await.assert_bypass("fenced");
        tokio::time::sleep(Duration::from_millis(500)).await;
        app.get("4", "/users/1").await.assert_miss();
        app.get_settled("4", "/users/1").await.assert_hit();
        // A write that was refused holds nothing.
        app.send(patch("/users/1", "new", 0, 404)).await;
        app.get("4", "/users/1").await.assert_hit();
    }
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_store_a_fenced_write_goes_on_and_is_counted_or_is_refused() {
    let mut backend = crate::support::Backend::redis().await;
    let source = Source::default();
    source.put("4", "1", "old");
    let longest = Duration::from_secs(30);
    let quick = |builder: CacheBuilder| builder.invalidate_timeout(Duration::from_millis(200));
    let open = app(quick(fenced(backend.store.clone(), longest)), &source);
    let strict = gym_cache(backend.another().await)
        .invalidate(On::patch("/users/{id}").subtree("/users/{id}").fence_or_refuse(longest));
    let strict = app(quick(strict), &source);
    backend.server.as_mut().unwrap().stop();

    assert_eq!(strict.send(patch("/users/1", "refused", 0, 204)).await.status.as_u16(), 503);
    assert_eq!(open.get("4", "/users/1").await.text(), "4/1=old", "the handler did not run");
    assert_eq!(open.send(patch("/users/1", "new", 0, 204)).await.status.as_u16(), 204);
    assert_eq!(open.get("4", "/users/1").await.text(), "4/1=new");
    assert_eq!(open.cache.stats().unfenced, 1);
    assert_eq!(strict.cache.stats().unfenced, 1);
}
