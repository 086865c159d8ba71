//! Text that means something in a pattern, in what a request chooses.

use tower_response_cache::key::encode;
use tower_response_cache::{On, Route, Scope};

use crate::support::app::{App, Source, gym_cache};

/// Ids as they stand in a path, with what a handler makes of them.
const IDS: [(&str, &str); 9] = [
    ("*", "*"),
    ("%3F", "?"),
    ("[0-9]", "[0-9]"),
    ("[%5E0]", "[^0]"),
    ("%5C*", "\\*"),
    ("%7Bid%7D", "{id}"),
    ("4*", "4*"),
    ("a:b", "a:b"),
    ("%2A%2A", "**"),
];

on_each_store! {
    async fn an_id_in_a_rule_reaches_itself_alone(backend: Backend) {
        let builder = gym_cache(backend.store.clone())
            .route(Route::get("/members/{id}").key("members:{id}:x").tag("member:{id}"))
            .invalidate(On::put("/members/{id}").pattern("members:{id}:*").tag("member:{id}"));
        let read = || axum::routing::get(|| async { "x" }).put(|| async { "" });
        let router = axum::Router::new().route("/members/{id}", read());
        let app = App::of(builder, router);
        for (id, _) in IDS {
            app.warm("4", "/members/42").await;
            app.warm("4", "/members/4").await;
            app.warm("4", &format!("/members/{id}")).await;
            app.put("4", &format!("/members/{id}"), "").await;
            app.get("4", "/members/42").await.assert_hit();
            app.get("4", "/members/4").await.assert_hit();
            app.get("4", &format!("/members/{id}")).await.assert_miss();
            app.cache.settled().await;
        }
    }

    async fn an_id_in_a_scope_that_code_names_reaches_itself_alone(backend: Backend) {
        let app = App::gym(backend.store.clone());
        let tenant = app.cache.tenant("4").unwrap();
        for (path, id) in IDS {
            app.warm("4", "/users/42").await;
            app.warm("4", &format!("/users/{path}")).await;
            tenant.invalidate(&Scope::subtree("/users/{id}").with("id", id)).await.unwrap();
            app.get("4", "/users/42").await.assert_hit();
            app.get("4", &format!("/users/{path}")).await.assert_miss();
            app.cache.settled().await;
        }
    }

    async fn an_ad_hoc_pattern_ends_at_its_tenant(backend: Backend) {
        let app = App::gym(backend.store.clone());
        for gym in ["4", "*", "[4]", "4*", "{4}", "4}:*"] {
            for other in ["4", "5", "*"] {
                app.warm(other, "/users/42").await;
            }
            let tenant = app.cache.tenant(gym).unwrap();
            for glob in ["*", "/users/42", "*}*", "*:*", "[^x]*", "?*"] {
                tenant.delete_pattern(glob).await.unwrap();
            }
            for other in ["4", "5", "*"] {
                let answer = app.get(other, "/users/42").await;
                assert_eq!(answer.is_hit(), other != gym, "{gym} and {other}: {answer:?}");
                app.cache.settled().await;
            }
        }
    }

    async fn an_id_goes_into_an_ad_hoc_pattern_as_a_key_spells_it(backend: Backend) {
        let source = Source::default();
        let app = App::with(gym_cache(backend.store.clone()), source);
        let tenant = app.cache.tenant("4").unwrap();
        for (path, id) in IDS {
            app.warm("4", "/users/42").await;
            app.warm("4", &format!("/users/{path}")).await;
            let mut glob = String::from("/users/");
            encode(id.as_bytes(), &mut glob);
            assert_eq!(tenant.delete_pattern(&glob).await.unwrap(), 1, "{glob}");
            app.get("4", "/users/42").await.assert_hit();
        }
        // What is no pattern is an error, and moves nothing.
        for glob in ["[", "/users/\\", "[\u{e9}]", &"*".repeat(2000)] {
            assert!(tenant.delete_pattern(glob).await.is_err(), "{glob}");
        }
    }
}
