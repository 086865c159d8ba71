//! P1, P2, P4, P5: no tenant no cache, and no tenant reaches another.

use crate::support::app::{App, Source, gym_cache, request};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::routing::get;
use tower_response_cache::{Cache, Identity, Route, Tenant};

/// Names that try to be another tenant's, a pattern, a key or a cluster slot.
const HOSTILE: [&str; 12] =
    ["4", "*", "4}:x", "{4}", "[0-9]", "?", "4:2", "%34", "!", "\\", "4 GET /users", "😀"];

on_each_store! {
    async fn p1_without_a_tenant_nothing_is_looked_up_or_stored(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.warm("4", "/users/42").await;
        let bare = || Request::get("/users/42").body(Body::empty()).unwrap();
        app.send(bare()).await.assert_bypass("no-tenant");
        let mut two = request(Method::GET, "4", "/users/42");
        two.headers_mut().append("x-gym-id", "5".parse().unwrap());
        app.send(two).await.assert_bypass("bad-tenant");
        app.get(&"x".repeat(129), "/users/42").await.assert_bypass("bad-tenant");
        app.get("", "/users/42").await.assert_bypass("bad-tenant");
        let mut tab = request(Method::GET, "4", "/users/42");
        tab.headers_mut().insert("x-gym-id", "4\t4".parse().unwrap());
        app.send(tab).await.assert_bypass("bad-tenant");
        let runs = app.source.runs();
        app.cache.settled().await;
        app.send(bare()).await.assert_bypass("no-tenant");
        assert_eq!(app.source.runs(), runs + 1);
    }

    async fn p1_a_write_without_a_tenant_says_that_it_invalidated_nothing(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.warm("4", "/users/42").await;
        let mut bare = request(Method::PUT, "4", "/users/42");
        bare.headers_mut().remove("x-gym-id");
        let answer = app.send(bare).await;
        assert!(answer.cache_status().ends_with("fwd=method; detail=no-tenant"), "{answer:?}");
        app.get("4", "/users/42").await.assert_hit();
        let answer = app.put("4", "/users/42", "new").await;
        assert!(answer.cache_status().ends_with("fwd=method"), "{answer:?}");
    }

    async fn p1_a_request_without_a_tenant_can_be_refused(backend: Backend) {
        let app = App::with(gym_cache(backend.store.clone()).refuse_without_tenant(), Source::default());
        let bare = Request::get("/users/42").body(Body::empty()).unwrap();
        assert_eq!(app.send(bare).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(app.source.runs(), 0);
    }

    async fn p2_tenants_with_hostile_names_never_share_an_entry(backend: Backend) {
        let app = App::gym(backend.store.clone());
        for gym in HOSTILE {
            app.source.put(gym, "42", &format!("secret of {gym}"));
        }
        for gym in HOSTILE {
            let answer = app.get(gym, "/users/42").await;
            answer.assert_miss();
            assert_eq!(answer.text(), format!("{gym}/42=secret of {gym}"));
        }
        app.cache.settled().await;
        for gym in HOSTILE {
            let answer = app.get(gym, "/users/42").await;
            answer.assert_hit();
            assert_eq!(answer.text(), format!("{gym}/42=secret of {gym}"));
        }
    }

    async fn p4_a_write_of_one_tenant_leaves_every_other_alone(backend: Backend) {
        let app = App::gym(backend.store.clone());
        for gym in HOSTILE {
            app.warm(gym, "/users/42").await;
            app.warm(gym, "/users").await;
        }
        for (index, gym) in HOSTILE.into_iter().enumerate() {
            app.put(gym, "/users/42", "new").await;
            app.get(gym, "/users/42").await.assert_miss();
            for other in &HOSTILE[index + 1..] {
                app.get(other, "/users/42").await.assert_hit();
                app.get(other, "/users").await.assert_hit();
            }
        }
    }

    async fn p4_an_id_is_data_and_matches_only_itself(backend: Backend) {
        let app = App::gym(backend.store.clone());
        let ids = ["42", "421", "*", "[0-9]", "%3F", "%252A", "1:2", "{id}", "%5C", "a%2Fb", "%2A"];
        let same = |one: &str, other: &str| matches!((one, other), ("*", "%2A") | ("%2A", "*"));
        for written in ids {
            for id in ids {
                app.warm("4", &format!("/users/{id}")).await;
            }
            app.delete("4", &format!("/users/{written}")).await;
            for id in ids {
                let answer = app.get("4", &format!("/users/{id}")).await;
                if id == written || same(id, written) {
                    app.cache.settled().await;
                } else {
                    answer.assert_hit();
                }
            }
        }
    }

    async fn p5_credentials_go_past_the_cache_unless_the_route_says(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::get("/quiet"))
            .route(Route::get("/shared").same_for_all_users())
            .route(Route::get("/me").per_user(Identity::header("x-user")))
            .route(Route::get("/keyed").header("cookie"));
        let who = || get(|headers: axum::http::HeaderMap| async move { format!("{headers:?}") });
        let router = Router::new()
            .route("/quiet", who())
            .route("/shared", who())
            .route("/me", who())
            .route("/keyed", who());
        let app = App::of(cache, router);
        let with = |target: &str, name: &'static str, value: &str| {
            let mut request = request(Method::GET, "4", target);
            request.headers_mut().insert(name, value.parse().unwrap());
            request
        };
        app.warm("4", "/quiet").await;
        app.send(with("/quiet", "authorization", "Bearer a")).await.assert_bypass("authorization");
        app.send(with("/quiet", "cookie", "id=1")).await.assert_bypass("cookie");
        app.send(with("/keyed", "authorization", "Bearer a")).await.assert_bypass("authorization");

        app.send(with("/shared", "authorization", "Bearer a")).await.assert_miss();
        app.cache.settled().await;
        app.send(with("/shared", "authorization", "Bearer b")).await.assert_hit();

        app.get("4", "/me").await.assert_bypass("no-identity");
        let ada = app.send(with("/me", "x-user", "ada")).await;
        app.cache.settled().await;
        let bob = app.send(with("/me", "x-user", "bob")).await;
        bob.assert_miss();
        assert_ne!(ada.body, bob.body);
        app.send(with("/me", "x-user", "ada")).await.assert_hit();

        app.send(with("/keyed", "cookie", "id=1")).await.assert_miss();
        app.cache.settled().await;
        app.send(with("/keyed", "cookie", "id=2")).await.assert_miss();
        app.send(with("/keyed", "cookie", "id=1")).await.assert_hit();
    }

    async fn a_tenant_is_read_from_wherever_the_app_says(backend: Backend) {
        #[derive(Clone)]
        struct Session(u32);
        let sources = [
            ("path", Tenant::path("gym")),
            ("host", Tenant::subdomain_of("example.com")),
            ("session", Tenant::extension(|session: &Session| session.0.to_string())),
            ("closure", Tenant::with(|parts| parts.uri.query().map(str::to_owned))),
        ];
        for (name, tenant) in sources {
            let cache = Cache::builder(backend.store.clone())
                .namespace(name)
                .tenant(tenant)
                .same_for_all_users()
                .route(Route::get("/gyms/{gym}").ignore_query());
            let router = Router::new().route("/gyms/{gym}", get(|| async { "x" }));
            let app = App::of(cache, router);
            let ask = |one: bool| {
                let (gym, host, query) =
                    if one { ("a%20b", "a.example.com", "q=1") } else { ("b", "b.example.com:80", "q=2") };
                let mut request = Request::get(format!("/gyms/{gym}?{query}"))
                    .header(header::HOST, host)
                    .body(Body::empty())
                    .unwrap();
                request.extensions_mut().insert(Session(u32::from(one)));
                request
            };
            app.send(ask(true)).await.assert_miss();
            app.cache.settled().await;
            app.send(ask(false)).await.assert_miss();
            app.send(ask(true)).await.assert_hit();
        }
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::subdomain_of("example.com"))
            .same_for_all_users()
            .route(Route::get("/"));
        let app = App::of(cache, Router::new().route("/", get(|| async { "x" })));
        for (host, detail) in [
            ("example.com", "no-tenant"),
            ("evil.com", "no-tenant"),
            ("a.b.example.com", "bad-tenant"),
            ("notexample.com", "no-tenant"),
        ] {
            let request = Request::get("/").header(header::HOST, host).body(Body::empty()).unwrap();
            app.send(request).await.assert_bypass(detail);
        }
    }

    async fn tenantless_routes_are_shared_and_nobody_elses(backend: Backend) {
        let cache = gym_cache(backend.store.clone()).route(Route::get("/news").tenantless());
        let app = App::of(cache, Router::new().route("/news", get(|| async { "news" })));
        app.get("4", "/news").await.assert_miss();
        app.get_settled("5", "/news").await.assert_hit();
        // Not the tenant of this name either.
        app.cache.tenant("!").unwrap().invalidate_all().await.unwrap();
        app.get("5", "/news").await.assert_hit();
        app.cache.tenantless().invalidate_all().await.unwrap();
        app.get("5", "/news").await.assert_miss();
    }
}
