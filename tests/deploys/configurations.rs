//! An invalidation under one configuration reaches what another one has stored, and what is not known
//! to be the answer to a request is none.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use tower_response_cache::{On, Route};

use crate::support::Backend;
use crate::support::app::{App, request};
use crate::{Deploy, Guard, STATS, after, before, on_each_store};

/// Whether the reader still answers with the first value after the writer has changed it.
async fn is_stale_after(deploy: &Deploy, writer: &App, reader: &App, path: &str) -> bool {
    reader.warm("4", STATS).await;
    assert_eq!(writer.put("4", path, "second").await.status.as_u16() / 100, 2);
    assert_eq!(deploy.source.read("4", "42").as_deref(), Some("second"));
    reader.get("4", STATS).await.text() != "stats of 42: second"
}

on_each_store! {
    async fn a_write_through_the_new_one_reaches_what_the_old_one_stored(backend: Backend) {
        for (guard, stale) in [(Guard::On, false), (Guard::Off, true)] {
            let backend = Fresh::of(&backend).await;
            let deploy = Deploy::of(&backend.0, guard, before, after).await;
            let (old, new) = (&deploy.old, &deploy.new);
            assert_eq!(is_stale_after(&deploy, new, old, "/users/42").await, stale);
        }
    }

    /// The old one has a rule for the path, and it names another scope.
    async fn a_write_through_the_old_one_reaches_what_the_new_one_stored(backend: Backend) {
        for (guard, stale) in [(Guard::On, false), (Guard::Off, true)] {
            let backend = Fresh::of(&backend).await;
            let old = |builder| {
                before(builder)
                    .route(Route::get("/users"))
                    .invalidate(On::put("/users/{id}").path("/users"))
            };
            let deploy = Deploy::of(&backend.0, guard, old, after).await;
            let (old, new) = (&deploy.old, &deploy.new);
            assert_eq!(is_stale_after(&deploy, old, new, "/users/42").await, stale);
        }
    }

    /// For a path that the old one has no rule for, it learns from any of its misses that there is
    /// another configuration which may have one.
    async fn so_does_one_without_any_rule_for_it(backend: Backend) {
        for (guard, stale) in [(Guard::On, false), (Guard::Off, true)] {
            let backend = Fresh::of(&backend).await;
            let deploy = Deploy::of(&backend.0, guard, before, after).await;
            let (old, new) = (&deploy.old, &deploy.new);
            new.warm("4", STATS).await;
            old.get("4", "/users/7/stats").await;
            old.cache.settled().await;
            assert_eq!(is_stale_after(&deploy, old, new, "/names").await, stale);
        }
    }

    async fn a_pattern_that_is_deleted_by_the_one_is_gone_for_the_other(backend: Backend) {
        for (guard, hit) in [(Guard::On, false), (Guard::Off, true)] {
            let backend = Fresh::of(&backend).await;
            let old = |builder: tower_response_cache::CacheBuilder| {
                builder.route(Route::get("/users/{id}/stats").key("stats:{id}"))
            };
            let deploy = Deploy::of(&backend.0, guard, old, after).await;
            deploy.old.warm("4", STATS).await;
            let tenant = deploy.new.cache.tenant("4").unwrap();
            tenant.delete_pattern("/users/*").await.unwrap();
            assert_eq!(deploy.old.get("4", STATS).await.is_hit(), hit);
        }
    }

    async fn an_entry_whose_key_holds_something_else_is_a_miss(backend: Backend) {
        let of = |names: &'static [&'static str]| {
            move |builder: tower_response_cache::CacheBuilder| {
                builder.route(Route::get("/users").query(names.iter().copied()))
            }
        };
        let deploy = Deploy::of(&backend, Guard::On, of(&["page"]), of(&["page", "role"])).await;
        // To the old one the role is no matter, so this is its answer to "/users" as well.
        deploy.old.get("4", "/users?role=trainer").await;
        deploy.old.get_settled("4", "/users").await.assert_hit();
        let answer = deploy.new.get("4", "/users").await;
        answer.assert_miss();
        assert!(!answer.text().contains("trainer"), "{answer:?}");
    }

    async fn what_comes_back_after_a_rollback_has_missed_nothing(backend: Backend) {
        let deploy = Deploy::of(&backend, Guard::On, before, after).await;
        deploy.old.warm("4", STATS).await;
        let Deploy { old, new, source } = deploy;
        drop(old);
        for value in ["second", "third"] {
            new.put("4", "/users/42", value).await;
            new.get("4", STATS).await;
            new.cache.settled().await;
        }
        let again = Deploy::of(&backend, Guard::On, before, after).await;
        source.put("4", "42", "third");
        again.source.put("4", "42", "third");
        assert_eq!(again.old.get("4", STATS).await.text(), "stats of 42: third");
    }

    async fn a_tenant_moves_as_a_whole_only_while_two_fill_it(backend: Backend) {
        let deploy = Deploy::of(&backend, Guard::On, before, |builder| {
            after(builder).route(Route::get("/users"))
        })
        .await;
        let (old, new) = (&deploy.old, &deploy.new);
        old.warm("4", STATS).await;
        new.warm("4", "/users").await;
        new.warm("5", "/users").await;
        new.put("4", "/users/42", "second").await;
        new.get("4", "/users").await.assert_miss();
        new.get("5", "/users").await.assert_hit();

        // From here on the old one is gone.
        new.warm("4", "/users").await;
        new.put("4", "/users/42", "third").await;
        new.get("4", "/users").await.assert_hit();
    }

    async fn what_changes_neither_keys_nor_scopes_is_no_other_configuration(backend: Backend) {
        let slower = |builder: tower_response_cache::CacheBuilder| {
            builder
                .default_ttl(Duration::from_secs(60))
                .max_body(1000)
                .route(Route::get("/users/{id}/stats").tag("members").jitter(10))
                .route(Route::get("/users"))
                .invalidate(On::put("/users/{id}").tag("members"))
                .invalidate(On::put("/names").tag("members"))
        };
        let deploy = Deploy::of(&backend, Guard::On, slower, |builder| {
            after(builder).route(Route::get("/users"))
        })
        .await;
        deploy.old.warm("4", "/users").await;
        deploy.new.get("4", "/users").await.assert_hit();
        deploy.old.warm("4", STATS).await;
        deploy.new.put("4", "/users/42", "second").await;
        deploy.old.get("4", "/users").await.assert_hit();
        deploy.old.get("4", STATS).await.assert_miss();
    }

    async fn a_revision_is_another_configuration(backend: Backend) {
        let revised = |builder| after(builder).revision("2: tenants from the token");
        let deploy = Deploy::of(&backend, Guard::On, after, revised).await;
        deploy.old.warm("4", "/users/7/stats").await;
        deploy.new.get("4", "/users/7/stats").await.assert_miss();
    }

    async fn a_fence_closes_what_the_other_one_stored(backend: Backend) {
        let fenced = |builder: tower_response_cache::CacheBuilder| {
            builder
                .route(Route::get("/users/{id}/stats").tag("members"))
                .invalidate(On::put("/users/{id}").tag("members").fence(Duration::from_secs(20)))
        };
        let deploy = Deploy::of(&backend, Guard::On, before, fenced).await;
        deploy.old.warm("4", STATS).await;
        let new = deploy.new.clone();
        let mut write = request(Method::PUT, "4", "/users/42");
        write.headers_mut().insert("x-delay-ms", "400".parse().unwrap());
        let writing = tokio::spawn(async move { new.send(write).await });
        while deploy.source.read("4", "42").as_deref() == Some("first") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // The write has happened, and its handler has not answered.
        assert_eq!(deploy.old.get("4", STATS).await.text(), "stats of 42: ");
        writing.await.unwrap();
        deploy.old.warm("4", STATS).await;
    }
}

/// A store that nothing has been put into.
struct Fresh(Backend);

impl Fresh {
    async fn of(backend: &Backend) -> Self {
        #[cfg(feature = "redis")]
        if backend.server.is_some() {
            return Self(Backend::redis().await);
        }
        let _ = Arc::clone(&backend.store);
        Self(Backend::memory())
    }
}

/// P8: without the list nobody knows who has filled what, so anybody may have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_lost_revives_nothing() {
    let backend = Backend::redis().await;
    let deploy = Deploy::of(&backend, Guard::On, before, after).await;
    let (old, new) = (&deploy.old, &deploy.new);
    let server = backend.server.as_ref().unwrap();
    let lose = || assert_eq!(server.raw(&[b"DEL", b"gym:c:{4}:all"]).trim(), ":1");
    old.warm("4", STATS).await;
    lose();
    new.put("4", "/users/42", "second").await;
    assert_eq!(old.get("4", STATS).await.text(), "stats of 42: second");
    // And where the new one has begun a list of its own since.
    old.warm("4", STATS).await;
    lose();
    new.get("4", "/users/7/stats").await;
    new.cache.settled().await;
    new.put("4", "/users/42", "third").await;
    assert_eq!(old.get("4", STATS).await.text(), "stats of 42: third");
}
