//! Requests that want to be of another tenant, or of two at once.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use axum::routing::get;
use tower_response_cache::{Cache, Route, Tenant};

use crate::support::app::{App, request};

/// One request whose lines of the tenant's field are these.
fn lines(method: Method, lines: &[&[u8]]) -> Request<Body> {
    let mut request = request(method, "-", "/users/42");
    request.headers_mut().remove("x-gym-id");
    for line in lines {
        request.headers_mut().append("x-gym-id", HeaderValue::from_bytes(line).unwrap());
    }
    request
}

on_each_store! {
    async fn who_says_two_tenants_has_none(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.source.put("4", "42", "secret");
        app.warm("4", "/users/42").await;
        let none: [&[&[u8]]; 9] = [
            &[b"4", b"5"], &[b"5", b"4"], &[b"4", b"4"], &[b"4", b""], &[b""], &[b"\xe9"], &[b"4\xff"],
            &[b"4\t"], &[b"\xc2\x85"],
        ];
        for tenant in none {
            let runs = app.source.runs();
            app.send(lines(Method::GET, tenant)).await.assert_bypass("bad-tenant");
            assert_eq!(app.source.runs(), runs + 1);
            // Nor does it move anything.
            let write = app.send(lines(Method::PUT, tenant)).await;
            assert!(write.cache_status().ends_with("detail=bad-tenant"), "{write:?}");
            app.get("4", "/users/42").await.assert_hit();
        }
    }

    async fn a_tenant_that_resembles_another_is_another(backend: Backend) {
        let app = App::gym(backend.store.clone());
        let tenants: [&[u8]; 15] = [
            b"gym", b"Gym", b"GYM", b" gym", b"gym ", b"gym,", b"gym,gym", b"gym,4", b"gym;4", b"\"gym\"",
            b"%67ym", "ｇｙｍ".as_bytes(), "gym\u{301}".as_bytes(), "gy\u{200b}m".as_bytes(), b"gym\\0",
        ];
        for tenant in tenants {
            let name = std::str::from_utf8(tenant).unwrap();
            app.source.put(name, "42", &format!("secret of {name:?}"));
        }
        for _ in 0..2 {
            for tenant in tenants {
                let name = std::str::from_utf8(tenant).unwrap();
                let answer = app.send(lines(Method::GET, &[tenant])).await;
                assert_eq!(answer.text(), format!("{name}/42=secret of {name:?}"));
                app.cache.settled().await;
            }
        }
        // A write of one is nothing to the others.
        for (at, tenant) in tenants.iter().enumerate() {
            app.send(lines(Method::PUT, &[tenant])).await;
            for other in &tenants[at + 1..] {
                app.send(lines(Method::GET, &[other])).await.assert_hit();
            }
        }
    }

    async fn an_escaped_tenant_in_a_path_is_who_it_says_after_decoding(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::path("gym"))
            .same_for_all_users()
            .route(Route::get("/gyms/{gym}/users"));
        let handler = |axum::extract::Path(gym): axum::extract::Path<String>| async move { gym };
        let router = Router::new().route("/gyms/{gym}/users", get(handler));
        let app = App::of(cache, router);
        app.warm("-", "/gyms/4/users").await;
        app.get("-", "/gyms/%34/users").await.assert_hit();
        for (gym, name) in [("4%2F..%2F5", "4/../5"), ("5%3F", "5?"), ("%2A", "*"), ("4%20", "4 ")] {
            for _ in 0..2 {
                let answer = app.get_settled("-", &format!("/gyms/{gym}/users")).await;
                assert_eq!(answer.text(), name);
            }
        }
        for gym in ["%00", "4%0d%0a", "4%00", "%7F", "%C2%85", "%ff", "%C0%B4", &"4".repeat(129)] {
            app.get("-", &format!("/gyms/{gym}/users")).await.assert_bypass("bad-tenant");
        }
    }

    async fn a_host_names_one_tenant_or_none(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::subdomain_of("example.com"))
            .same_for_all_users()
            .route(Route::get("/"));
        let app = App::of(cache, Router::new().route("/", get(|| async { "x" })));
        let ask = |target: &str, hosts: &[&str]| {
            let mut request = Request::get(target).body(Body::empty()).unwrap();
            for host in hosts {
                request.headers_mut().append("host", host.parse().unwrap());
            }
            request
        };
        app.send(ask("/", &["a.example.com"])).await.assert_miss();
        app.cache.settled().await;
        app.send(ask("/", &["a.example.com"])).await.assert_hit();
        for (target, hosts) in [
            ("/", &["a.example.com", "b.example.com"][..]),
            ("/", &["a.example.com", "a.example.com"]),
            ("http://a.example.com/", &["b.example.com"]),
            ("/", &["a.b.example.com"]),
            ("/", &[".example.com"]),
        ] {
            app.send(ask(target, hosts)).await.assert_bypass("bad-tenant");
        }
        for host in ["a.example.com.", "a.example.com.evil", "evil@a.example.com:", "a.example.com#"] {
            let answer = app.send(ask("/", &[host])).await;
            assert!(!answer.is_hit(), "{host}: {answer:?}");
        }
    }
}
