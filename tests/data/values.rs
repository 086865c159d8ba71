//! What goes in comes out, as the type that it is asked for.

use std::convert::Infallible;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tower_response_cache::{DataKey, DataTtl};

use crate::{Fetches, HOUR, cache, gym};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct User {
    id: u32,
    name: String,
    roles: Vec<String>,
}

#[derive(Deserialize)]
struct Hours {
    open: String,
}

fn user() -> User {
    User { id: 42, name: "Ada \u{1f600} \"\\".to_owned(), roles: Vec::new() }
}

on_each_store! {
    async fn values_of_every_shape_come_back(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        macro_rules! comes_back {
            ($($key:literal: $value:expr, $other:expr;)*) => {$({
                let fetches = Fetches::default();
                for _ in 0..3 {
                    let value = if fetches.count() == 0 { $value } else { $other };
                    assert_eq!(fetches.get(&gym, $key, value).await, $value, $key);
                    cache.settled().await;
                }
                assert_eq!(fetches.count(), 1, $key);
            })*};
        }
        comes_back! {
            "struct": user(), User { id: 1, ..user() };
            "list": vec![user(), user()], vec![];
            "empty list": Vec::<User>::new(), vec![user()];
            "some": Some(user()), None;
            "none": None::<User>, Some(user());
            "text": "x".to_owned(), String::new();
            "number": u64::MAX, 0;
            "unit": (), ();
            "json": serde_json::json!({"a": [1, null, {}]}), serde_json::Value::Null;
        }
    }

    async fn json_of_any_shape_is_a_value(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let hours = serde_json::json!({"open": "06:00"});
        let fetch = async || Ok::<_, Infallible>(hours.clone());
        assert_eq!(gym.get_or_fetch_json("hours", HOUR, fetch).await.unwrap(), hours);
        cache.settled().await;
        let never = async || Err("fetched again");
        assert_eq!(gym.get_or_fetch_json("hours", HOUR, never).await.unwrap(), hours);
        assert_eq!(gym.get::<Hours>("hours").await.unwrap().unwrap().open, "06:00");
    }

    async fn what_is_of_another_type_is_fetched_and_replaced(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let fetches = Fetches::default();
        fetches.get(&gym, "k", "text".to_owned()).await;
        cache.settled().await;
        assert_eq!(gym.get::<u32>("k").await.unwrap(), None);
        assert_eq!(fetches.get(&gym, "k", user()).await, user());
        cache.settled().await;
        assert_eq!(fetches.get(&gym, "k", User { id: 1, ..user() }).await, user());
        assert_eq!(fetches.count(), 2);
        assert_eq!(cache.stats().corrupt, 1);
    }

    async fn what_is_absent_is_kept_for_a_time_of_its_own(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let ttl = DataTtl::from(HOUR).absent(Duration::from_millis(200));
        let fetches = Fetches::default();
        let ask = async |value: Option<u32>| {
            cache.settled().await;
            let fetch = async || {
                fetches.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok::<_, Infallible>(value)
            };
            gym.get_or_fetch("maybe", ttl, fetch).await.unwrap()
        };
        assert_eq!(ask(None).await, None);
        assert_eq!(ask(Some(1)).await, None);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(ask(Some(1)).await, Some(1));
        assert_eq!(ask(None).await, Some(1));
        // Not kept at all.
        let ttl = DataTtl::from(HOUR).absent(Duration::ZERO);
        for _ in 0..2 {
            let fetch = async || Ok::<_, Infallible>(None::<u32>);
            gym.get_or_fetch("never", ttl, fetch).await.unwrap();
            cache.settled().await;
            assert_eq!(gym.get::<Option<u32>>("never").await.unwrap(), None);
        }
    }

    async fn a_value_ends_with_its_time(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        gym.set("k", Duration::from_millis(150), &1).await.unwrap();
        assert_eq!(gym.get::<u32>("k").await.unwrap(), Some(1));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(gym.get::<u32>("k").await.unwrap(), None);
    }

    async fn keys_tenants_and_responses_never_meet(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let other = cache.tenant("5").unwrap();
        let nobody = cache.tenantless();
        gym.set("users:member", HOUR, "value").await.unwrap();
        for elsewhere in [&other, &nobody] {
            assert_eq!(elsewhere.get::<String>("users:member").await.unwrap(), None);
        }
        // A response under the same text is another entry.
        let router = axum::Router::new().route("/users", axum::routing::get(async || "response"));
        let app = crate::support::app::App { router: router.layer(cache.layer()), cache: cache.clone(), source: crate::support::app::Source::default() };
        assert_eq!(app.get("4", "/users?role=member").await.text(), "response");
        assert_eq!(app.get_settled("4", "/users?role=member").await.text(), "response");
        assert_eq!(gym.get::<String>("users:member").await.unwrap().as_deref(), Some("value"));
        // What comes from a request is data.
        let of = |id: &str| DataKey::template("users:{id}:stats").with("id", id);
        for (index, id) in ["42", "4*", "4?", "42:stats", "4%32", "42 ", ""].iter().enumerate() {
            gym.set(of(id), HOUR, &index).await.unwrap();
        }
        for (index, id) in ["42", "4*", "4?", "42:stats", "4%32", "42 ", ""].iter().enumerate() {
            assert_eq!(gym.get::<usize>(of(id)).await.unwrap(), Some(index), "{id:?}");
        }
    }

    async fn what_is_no_key_is_fetched_past_the_cache(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        let fetches = Fetches::default();
        let keys = || [
            DataKey::from(""),
            DataKey::from("x".repeat(2000)),
            DataKey::template("users:{id}"),
            DataKey::template("users:{id").with("id", "1"),
            DataKey::from("k").tag("user:{id}"),
        ];
        for key in keys() {
            assert_eq!(fetches.get(&gym, key.clone(), 1).await, 1);
            let error = gym.get::<u32>(key.clone()).await.unwrap_err();
            assert_eq!(error.kind(), tower_response_cache::DataErrorKind::Key, "{key:?}");
            assert!(std::error::Error::source(&error).is_some(), "says what is wrong");
        }
        assert_eq!(fetches.count(), keys().len());
        // Too large, and no JSON: given all the same.
        let large = "x".repeat(2 << 20);
        assert_eq!(fetches.get(&gym, "large", large.clone()).await, large);
        cache.settled().await;
        assert_eq!(gym.get::<String>("large").await.unwrap(), None);
        let error = gym.set("large", HOUR, &large).await.unwrap_err();
        assert_eq!(error.kind(), tower_response_cache::DataErrorKind::TooLarge);
    }
}
