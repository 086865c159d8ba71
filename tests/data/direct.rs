//! Get, set, remove.

use std::time::Duration;

use tower_response_cache::DataErrorKind;

use crate::{HOUR, builder, cache, gym};

on_each_store! {
    async fn values_are_set_got_and_removed(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        assert_eq!(gym.get::<u32>("k").await.unwrap(), None);
        gym.set("k", HOUR, &1).await.unwrap();
        gym.set("k", HOUR, &2).await.unwrap();
        assert_eq!(gym.get::<u32>("k").await.unwrap(), Some(2));
        assert!(gym.remove("k").await.unwrap());
        assert!(!gym.remove("k").await.unwrap());
        assert_eq!(gym.get::<u32>("k").await.unwrap(), None);
        // A time of nothing removes.
        gym.set("k", HOUR, &1).await.unwrap();
        gym.set("k", Duration::ZERO, &1).await.unwrap();
        assert_eq!(gym.get::<u32>("k").await.unwrap(), None);
    }

    async fn many_are_asked_for_together(backend: Backend) {
        let cache = cache(backend.store.clone());
        let gym = gym(&cache);
        for number in [1, 3] {
            gym.set(format!("n:{number}"), HOUR, &number).await.unwrap();
        }
        let keys = (0..5).map(|number| format!("n:{number}"));
        let found = gym.get_many::<i32, _>(keys).await.unwrap();
        assert_eq!(found, [None, Some(1), None, Some(3), None]);
        assert_eq!(gym.get_many::<i32, &str>([]).await.unwrap(), []);
        let error = gym.get_many::<i32, _>(["n:1", ""]).await.unwrap_err();
        assert_eq!(error.kind(), DataErrorKind::Key);
    }

    async fn what_is_fenced_is_not_set(backend: Backend) {
        use axum::http::{Method, StatusCode};
        use axum::routing::put;
        use tower_response_cache::On;

        let cache = builder(backend.store.clone())
            .invalidate(On::put("/slow").pattern("slow:*").fence(Duration::from_secs(20)))
            .build()
            .unwrap();
        let gym = gym(&cache);
        gym.set("slow:1", HOUR, &1).await.unwrap();
        let handler = {
            let gym = gym.clone();
            put(async move || {
                assert_eq!(gym.get::<u32>("slow:1").await.unwrap(), None);
                let error = gym.set("slow:1", HOUR, &2).await.unwrap_err();
                assert_eq!(error.kind(), DataErrorKind::Refused);
                StatusCode::NO_CONTENT
            })
        };
        let router = axum::Router::new().route("/slow", handler).layer(cache.layer());
        let app = crate::support::app::App { router, cache: cache.clone(), source: crate::support::app::Source::default() };
        let answer = app.send(crate::support::app::request(Method::PUT, "4", "/slow")).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        gym.set("slow:1", HOUR, &3).await.unwrap();
        assert_eq!(gym.get::<u32>("slow:1").await.unwrap(), Some(3));
    }
}
