//! The list of a tenant's keys.

use std::collections::BTreeSet;

use serde_json::json;

use crate::fixture::{app, escaped, get, operator};

on_each_store! {
    async fn keys_are_listed_by_pages(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        let empty = get(&admin, "/v1/keys?tenant=4").await.ok();
        assert_eq!((&empty["keys"], &empty["next"]), (&json!([]), &json!(null)));
        for id in 0..30 {
            app.get("4", &format!("/users/{id}")).await;
            app.get("5", &format!("/users/other{id}")).await;
        }
        app.get("4", "/users?role=a").await;
        app.cache.settled().await;
        let mut seen = BTreeSet::new();
        let mut cursor = String::new();
        for page in 0.. {
            assert!(page < 100, "the list ends");
            let target = format!("/v1/keys?tenant=4&glob=/users/*&limit=7&cursor={}", escaped(&cursor));
            let listed = get(&admin, &target).await.ok();
            let keys = listed["keys"].as_array().unwrap();
            assert!(keys.len() <= 17, "{}", keys.len());
            for key in keys {
                assert_eq!(key["variant"], "GET");
                seen.insert(key["text"].as_str().unwrap().to_owned());
            }
            let Some(next) = listed["next"].as_str() else { break };
            next.clone_into(&mut cursor);
        }
        assert_eq!(seen, (0..30).map(|id| format!("/users/{id}")).collect());
        let one = get(&admin, "/v1/keys?tenant=4&glob=/users%3F*").await.ok();
        let texts: Vec<_> =
            one["keys"].as_array().unwrap().iter().map(|key| key["text"].clone()).collect();
        assert!(texts.contains(&json!("/users?role=a")), "{texts:?}");
        let entry = escaped("GET /users/7");
        let found = get(&admin, &format!("/v1/key?tenant=4&entry={entry}")).await.ok();
        assert_eq!((&found["state"], &found["route"]), (&json!("fresh"), &json!("/users/{id}")));
    }
}
