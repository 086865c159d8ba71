//! Line breaks, NUL and bytes beyond ASCII, in what a request says and in what a handler answers.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, Method};
use axum::routing::{get, put};
use tower_response_cache::{Cache, Route, Tenant};

use crate::support::app::{App, request};
use crate::twin::{Asked, Twin};

/// As they stand in a path or a query.
const ESCAPED: [&str; 9] = [
    "%0d%0aset-cookie:%20a=b",
    "%0a",
    "%00",
    "%7f",
    "%c3%a9",
    "%e9",
    "%ff%fe",
    "%e2%80%ae",
    "%22;hit",
];

on_each_store! {
    async fn nothing_of_a_request_stands_in_the_fields_of_an_answer(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        for text in ESCAPED {
            for target in [format!("/users/{text}"), format!("/list?role={text}")] {
                for _ in 0..2 {
                    let answer = twin.ask(Asked::get(&target)).await;
                    let names: Vec<_> = answer.headers.keys().map(axum::http::HeaderName::as_str).collect();
                    let known = ["content-type", "content-length", "cache-status", "age", "date"];
                    assert!(names.iter().all(|name| known.contains(name)), "{target}: {names:?}");
                    let status = answer.cache_status();
                    let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
                    assert!(status.bytes().all(is_plain) && !status.contains('"'), "{status}");
                    assert_eq!(status.matches("hit").count(), usize::from(answer.is_hit()));
                }
            }
        }
    }

    async fn bytes_beyond_ascii_in_a_field_of_the_key_are_told_apart(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        // Their loose readings would all be one.
        let hosts: [&[u8]; 5] = [b"\xe9", b"\xe8", b"\xc3\xa9", b"%E9", b"\xef\xbf\xbd"];
        for host in hosts {
            twin.ask(Asked::get("/users/1").with("x-host", host)).await.assert_miss();
        }
        for host in hosts {
            twin.ask(Asked::get("/users/1").with("x-host", host)).await.assert_hit();
        }
    }

    async fn a_location_moves_nothing_but_a_path_of_its_own_tenant(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::path("gym"))
            .same_for_all_users()
            .route(Route::get("/gyms/{gym}/users"))
            .route(Route::get("/gyms/{gym}/users/{id}"));
        let app = App::of(cache, located("/gyms/{gym}/users", "/gyms/{gym}/users/{id}"));
        let locations: [&[u8]; 10] = [
            b"/gyms/5/users", b"../../5/users", b"/gyms/4/../5/users", b"/gyms/%35/users",
            b"/gyms/*/users", b"//evil.example/gyms/5/users", b"http://[", b"\xff\xfe", b"/gyms/5/users\tx",
            b"/gyms/5/users#\xe9",
        ];
        for location in locations {
            app.warm("-", "/gyms/5/users").await;
            let mut write = request(Method::PUT, "-", "/gyms/4/users/1");
            write.headers_mut().insert("x-say", HeaderValue::from_bytes(location).unwrap());
            app.send(write).await;
            app.get("-", "/gyms/5/users").await.assert_hit();
        }
    }

    async fn a_location_of_the_same_tenant_is_a_path_and_no_pattern(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/users"))
            .route(Route::get("/users/{id}"));
        let app = App::of(cache, located("/users", "/users/{id}"));
        let locations: [&[u8]; 6] =
            [b"/users/*", b"/users/?", b"/users/[0-9]", b"/*", b"*", b"/users/%2A"];
        for location in locations {
            app.warm("4", "/users/7").await;
            app.warm("4", "/users").await;
            let mut write = request(Method::PUT, "4", "/users/1");
            write.headers_mut().insert("x-say", HeaderValue::from_bytes(location).unwrap());
            app.send(write).await;
            app.get("4", "/users/7").await.assert_hit();
            app.get("4", "/users").await.assert_hit();
        }
    }
}

/// A list, and members whose PUT answers with the Location that it is told.
fn located(list: &str, member: &str) -> Router {
    let write = |headers: axum::http::HeaderMap| async move {
        [("location", headers.get("x-say").cloned().unwrap_or(HeaderValue::from_static("")))]
    };
    let read = |Path(of): Path<std::collections::HashMap<String, String>>| async move {
        format!("{of:?}")
    };
    Router::new().route(list, get(|| async { "list" })).route(member, put(write).get(read))
}
