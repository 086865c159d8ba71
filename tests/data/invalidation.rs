//! P6: what invalidates responses invalidates values, and the other way round.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use axum::routing::{get, post, put};
use tower_response_cache::{DataKey, Scope};

use crate::support::app::{App, Source, request};
use crate::{HOUR, builder, gym};

fn app(store: std::sync::Arc<dyn tower_response_cache::Store>) -> App {
    let router = axum::Router::new()
        .route("/users/{id}", get(async || "user").merge(put(async || StatusCode::NO_CONTENT)))
        .route("/users", get(async || "users"))
        .route("/plans", post(async || StatusCode::NO_CONTENT));
    let cache = builder(store).scope(Scope::pattern("users:*")).build().unwrap();
    App { router: router.layer(cache.layer()), cache, source: Source::default() }
}

fn keys() -> [(&'static str, DataKey); 5] {
    [
        ("by its text", DataKey::from("users:active")),
        ("by its tag", DataKey::template("stats:{id}").with("id", "42").tag("user:{id}")),
        ("by its path", DataKey::from("/users/42")),
        ("by its subtree", DataKey::from("/users/42/stats?period=week")),
        ("by nothing", DataKey::template("stats:{id}").with("id", "43").tag("user:{id}")),
    ]
}

on_each_store! {
    async fn a_mutating_route_reaches_values(backend: Backend) {
        let app = app(backend.store.clone());
        let other = builder(backend.another().await).scope(Scope::pattern("users:*")).build().unwrap();
        let (here, there) = (gym(&app.cache), gym(&other));
        let stranger = app.cache.tenant("5").unwrap();
        for (_, key) in keys() {
            here.set(&key, HOUR, &1).await.unwrap();
            stranger.set(&key, HOUR, &1).await.unwrap();
        }
        app.send(request(Method::PUT, "4", "/users/42")).await;
        for (what, key) in keys() {
            let expected = (what == "by nothing").then_some(1);
            assert_eq!(here.get::<u32>(&key).await.unwrap(), expected, "{what}");
            assert_eq!(there.get::<u32>(&key).await.unwrap(), expected, "{what}, elsewhere");
            assert_eq!(stranger.get::<u32>(&key).await.unwrap(), Some(1), "{what}, another tenant");
        }
        app.send(request(Method::POST, "4", "/plans")).await;
        assert_eq!(here.get::<u32>(&keys()[4].1).await.unwrap(), None, "by its tenant");
    }

    async fn code_reaches_values_and_responses_alike(backend: Backend) {
        let app = app(backend.store.clone());
        let gym = gym(&app.cache);
        for what in ["pattern", "delete", "all"] {
            gym.set("users:active", HOUR, &1).await.unwrap();
            app.warm("4", "/users?role=member").await;
            match what {
                "pattern" => gym.invalidate(&Scope::pattern("users:*")).await.unwrap(),
                "delete" => assert_eq!(gym.delete_pattern("users:*").await.unwrap(), 2),
                _ => gym.invalidate_all().await.unwrap(),
            }
            assert_eq!(gym.get::<u32>("users:active").await.unwrap(), None, "{what}");
            app.get("4", "/users?role=member").await.assert_miss();
            app.cache.settled().await;
        }
        gym.set(&keys()[1].1, HOUR, &1).await.unwrap();
        gym.invalidate(&Scope::tag("user:{id}").with("id", "42")).await.unwrap();
        assert_eq!(gym.get::<u32>(&keys()[1].1).await.unwrap(), None);
    }

    async fn a_fetch_that_began_before_is_not_stored_after(backend: Backend) {
        let app = app(backend.store.clone());
        let gym = gym(&app.cache);
        for what in ["a rule", "remove", "delete_pattern"] {
            let slow = gym.get_or_fetch("users:slow", HOUR, async || {
                tokio::time::sleep(Duration::from_millis(150)).await;
                Ok::<_, Infallible>("old".to_owned())
            });
            let (slow, ()) = tokio::join!(slow, async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                match what {
                    "a rule" => drop(app.send(request(Method::PUT, "4", "/users/1")).await),
                    "remove" => drop(gym.remove("users:slow").await.unwrap()),
                    _ => drop(gym.delete_pattern("users:*").await.unwrap()),
                }
                // Neither does it answer who asks now.
                let new = async || Ok::<_, Infallible>("new".to_owned());
                assert_eq!(gym.get_or_fetch("users:slow", HOUR, new).await.unwrap(), "new", "{what}");
            });
            assert_eq!(slow.unwrap(), "old");
            app.cache.settled().await;
            assert_eq!(gym.get::<String>("users:slow").await.unwrap().as_deref(), Some("new"), "{what}");
            gym.remove("users:slow").await.unwrap();
        }
    }
}

#[test]
fn what_is_for_values_alone_has_to_be_said() {
    use tower_response_cache::{Cache, ConfigError, MemoryStore, On, Tenant};

    let rule = || On::put("/users/{id}").pattern("users:*").tag("user:{id}");
    let builder = || {
        let tenant = Tenant::header("x-gym-id");
        Cache::builder(MemoryStore::new()).tenant(tenant).invalidate(rule())
    };
    assert!(matches!(builder().build(), Err(ConfigError::MatchesNothing { .. })));
    assert!(builder().with_values().build().is_ok());
}
