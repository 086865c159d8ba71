//! Paths that are spelled so that the cache and the app take them for different ones.

use crate::support::app::App;
use crate::twin::{Asked, Twin};
use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::get;
use tower_response_cache::{Cache, Identity, Route, Tenant};

/// What stands after `/users/`, or after `/files/`.
const PATHS: [&str; 44] = [
    "me",
    "m%65",
    "%6D%65",
    "ME",
    "me/x.css",
    "me%2Fx.css",
    "me%2fx.css",
    "me;x.css",
    "me%3Bx.css",
    "me.",
    "me..",
    "me%2E",
    "me.css",
    "me%00",
    "me%00.css",
    "me%0A",
    "me%0D%0AX:1",
    "me%20",
    "me+",
    "me%23",
    "me%23.css",
    "me%3F",
    "me%3Fx.css",
    "me%25",
    "me%2525",
    "me%E2%80%8B",
    "me%C0%AF",
    "me%FF",
    "me%5Cx.css",
    "me%5C",
    "..%2Fme",
    "..%2fusers%2fme",
    ".%2e/me",
    "%2e%2e/me",
    "./me",
    "../users/me",
    "me/..%2f",
    "me/.",
    "/me",
    "me/",
    "me//",
    "me//x.css",
    "%",
    "me%4",
];

/// Before any of it.
const BEFORE: [&str; 5] = ["/users/", "//users/", "/users//", "/./users/", "/files/"];

const QUERIES: [&str; 8] =
    ["", "?", "?x.css", "?a=1&b=2", "?b=2&a=1", "?a=1&a=2", "?a=2&a=1", "?role=admin"];

on_each_store! {
    async fn each_spelling_of_a_path_gets_the_answer_of_its_own_handler(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        let mut hits = 0;
        // Twice, so that each is asked after each of the others.
        for _ in 0..2 {
            for before in BEFORE {
                for path in PATHS {
                    let answer = twin.ask(Asked::get(&format!("{before}{path}"))).await;
                    hits += usize::from(answer.is_hit());
                }
            }
        }
        assert!(hits > 20, "{hits} hits: the cache was not in it");
    }

    async fn an_escape_in_a_literal_segment_does_not_write_into_its_entry(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        // A router that matches as it stands takes this for the user of the name "me".
        twin.ask(Asked::get("/users/m%65")).await.assert_bypass("ambiguous");
        twin.ask(Asked::get("/users/me")).await.assert_miss();
        twin.ask(Asked::get("/users/m%65")).await.assert_bypass("ambiguous");
        twin.ask(Asked::get("/users/me")).await.assert_hit();
        // Where no other route has that path there is but one reading.
        twin.ask(Asked::get("/users/%34%32")).await.assert_miss();
        twin.ask(Asked::get("/users/42")).await.assert_hit();
    }

    async fn each_spelling_of_a_query_gets_its_own_answer(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        for _ in 0..2 {
            for path in ["/users/me", "/users/1", "/files/a/b"] {
                for query in QUERIES {
                    twin.ask(Asked::get(&format!("{path}{query}"))).await;
                }
            }
        }
    }

    async fn the_page_of_one_user_is_stored_under_no_other_path(backend: Backend) {
        // A handler that takes any path below it for the page itself: what deception needs.
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::get("/account/{*rest}").per_user(Identity::header("x-user")))
            .route(Route::get("/open/{*rest}"));
        let handler = |_: Path<String>, headers: HeaderMap| async move {
            format!("{:?} {:?}", headers.get("x-user"), headers.get("cookie"))
        };
        let router = Router::new()
            .route("/account/{*rest}", get(handler))
            .route("/open/{*rest}", get(handler));
        let app = App::of(cache, router);
        for path in PATHS {
            let target = format!("/account/{path}");
            let of = |user: &str| Asked::get(&target).with("x-user", user).build();
            app.send(of("victim")).await;
            app.cache.settled().await;
            let attacker = app.send(of("attacker")).await;
            assert!(!attacker.text().contains("victim"), "{target}: {attacker:?}");
            app.send(Asked::get(&target).build()).await.assert_bypass("no-identity");
            // Without a word of the app on users a session's page is not stored at all.
            let target = format!("/open/{path}");
            let own = app.send(Asked::get(&target).with("cookie", "session=victim").build()).await;
            own.assert_bypass("cookie");
            app.cache.settled().await;
            let attacker = app.send(Asked::get(&target).build()).await;
            assert!(!attacker.text().contains("victim"), "{target}: {attacker:?}");
        }
    }
}
