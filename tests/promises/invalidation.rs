//! P4, P6, P9, P10: what a write makes miss, and what it leaves alone.

use std::time::Duration;

use crate::support::app::{App, Source, gym_cache, request};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post, put};
use futures_util::StreamExt;
use tower_response_cache::{
    Cache, InvalidateError, InvalidationSet, On, Route, Scope, ScopeError, Tenant,
};

on_each_store! {
    async fn a_write_to_one_user_reaches_every_spelling_and_no_other_user(backend: Backend) {
        let app = App::gym(backend.store.clone());
        let own = ["/users/42", "/users/%34%32", "/users/42?x=1", "/users/42/stats", "/users", "/users?role=a"];
        let others = ["/users/421", "/users/4", "/users/421/stats"];
        for written in ["/users/42", "/users/%34%32", "/users/4%32", "/users/42?y=2"] {
            for target in own.iter().chain(&others) {
                app.warm("4", target).await;
            }
            assert_eq!(app.put("4", written, "new").await.status, StatusCode::NO_CONTENT);
            for target in others {
                app.get("4", target).await.assert_hit();
            }
            for target in own {
                if target != "/users/%34%32" {
                    app.get_settled("4", target).await.assert_miss();
                }
            }
        }
    }

    async fn a_path_that_is_spelled_otherwise_invalidates_all_the_same(backend: Backend) {
        let app = App::gym(backend.store.clone());
        for written in ["/us%65rs/42", "/users/./42", "/x/../users/42"] {
            app.warm("4", "/users/42").await;
            // The router knows no such path; another router might.
            app.put("4", written, "new").await;
            let answer = app.get("4", "/users/42").await;
            // A 404 says that nothing was written.
            answer.assert_hit();
        }
        let handler = || put(|| async { StatusCode::NO_CONTENT });
        let loose = Router::new()
            .route("/users/{id}", get(|| async { "x" }).merge(handler()))
            .fallback(|| async { StatusCode::NO_CONTENT });
        let app = App::of(gym_cache(backend.store.clone()).namespace("loose"), loose);
        for written in ["/us%65rs/42", "/users/./42", "/x/../users/42"] {
            app.warm("4", "/users/42").await;
            app.put("4", written, "new").await;
            app.get("4", "/users/42").await.assert_miss();
        }
    }

    async fn an_unsafe_method_invalidates_the_cached_path_it_runs_on(backend: Backend) {
        // RFC 9111, section 4.4, without any rule.
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/hours"))
            .route(Route::get("/rules").only_rules_invalidate());
        let both = || get(|| async { "x" }).put(|| async {}).fallback(|| async { "any" });
        let app = App::of(cache, Router::new().route("/hours", both()).route("/rules", both()));
        for method in ["PUT", "POST", "DELETE", "PATCH", "FOO"] {
            app.warm("4", "/hours?x=1").await;
            app.warm("4", "/rules").await;
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            app.send(request(method.clone(), "4", "/hours")).await;
            app.get("4", "/hours?x=1").await.assert_miss();
            app.send(request(method, "4", "/rules")).await;
            app.get("4", "/rules").await.assert_hit();
            app.cache.settled().await;
        }
        for method in [Method::OPTIONS, Method::TRACE] {
            app.warm("4", "/hours").await;
            app.send(request(method, "4", "/hours")).await;
            app.get("4", "/hours").await.assert_hit();
        }
    }

    async fn paths_that_the_response_names_are_invalidated_too(backend: Backend) {
        // RFC 9111, section 4.4.
        let rows = [
            ("location", "/users/7", 201, true),
            ("location", "users/7?x=1", 303, true),
            ("content-location", "http://gym.example/users/%37", 200, true),
            ("location", "https://other.example/users/7", 201, false),
            ("location", "/users/70", 201, false),
            ("location", "/users/7", 404, false),
        ];
        for (field, value, status, invalidates) in rows {
            let create = move || async move {
                (StatusCode::from_u16(status).unwrap(), [(field, value)])
            };
            let routes = crate::support::app::gym_routes(Source::default());
            let builder = gym_cache(backend.store.clone()).invalidate(On::put("/new").path("/users"));
            let app = App::of(builder, routes.route("/new", put(create)));
            for gym in ["4", "5"] {
                app.warm(gym, "/users/7").await;
            }
            let mut request = request(Method::PUT, "4", "/new");
            request.headers_mut().insert("host", "gym.example".parse().unwrap());
            app.send(request).await;
            assert_eq!(app.get("4", "/users/7").await.is_hit(), !invalidates, "{field}: {value}");
            app.get("5", "/users/7").await.assert_hit();
            app.cache.settled().await;
        }
    }

    async fn p10_the_outcome_decides(backend: Backend) {
        let outcome = || {
            post(|request: axum::extract::Request| async move {
                let status = request.uri().query().unwrap().parse::<u16>().unwrap();
                assert!(status != 999, "the handler panics");
                StatusCode::from_u16(status).unwrap()
            })
        };
        let cache = gym_cache(backend.store.clone())
            .hold_after_lost(Duration::ZERO)
            .invalidate(On::post("/do").path("/users"))
            .invalidate(On::post("/strict").path("/users").on_client_error(true));
        let routes = crate::support::app::gym_routes(Source::default())
            .route("/do", outcome())
            .route("/strict", outcome());
        let app = App::of(cache, routes);
        let rows = [
            (200, true), (204, true), (302, true), (304, true), (400, false), (404, false),
            (408, true), (409, false), (500, true), (503, true), (999, true),
        ];
        for (status, invalidates) in rows {
            app.warm("4", "/users").await;
            let sent = request(Method::POST, "4", &format!("/do?{status}"));
            let client = app.clone();
            let _ = tokio::spawn(async move { client.send(sent).await }).await;
            app.cache.settled().await;
            assert_eq!(app.get("4", "/users").await.is_hit(), !invalidates, "{status}");
        }
        app.warm("4", "/users").await;
        app.send(request(Method::POST, "4", "/strict?404")).await;
        app.get("4", "/users").await.assert_miss();
    }

    async fn p10_a_client_that_leaves_loses_no_invalidation(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.source.put("4", "42", "old");
        app.warm("4", "/users/42").await;
        let mut slow = request(Method::PUT, "4", "/users/42");
        slow.headers_mut().insert("x-delay-ms", "60000".parse().unwrap());
        *slow.body_mut() = Body::from("new");
        // The handler commits and then dawdles; the client does not wait.
        let left = tokio::time::timeout(Duration::from_millis(100), app.send(slow)).await;
        assert!(left.is_err());
        app.cache.settled().await;
        let after = app.get("4", "/users/42").await;
        after.assert_bypass("fenced");
        assert_eq!(after.text(), "4/42=new");
    }

    async fn p10_a_commit_that_outlives_its_handler_is_covered_too(backend: Backend) {
        let source = Source::default();
        source.put("4", "42", "old");
        let routes = {
            let source = source.clone();
            crate::support::app::gym_routes(source.clone()).route(
                "/users/{id}/late",
                put(|| async move {
                    // What a dropped handler leaves behind: nobody can take it back.
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(300)).await;
                        source.put("4", "42", "new");
                    });
                    std::future::pending::<()>().await;
                }),
            )
        };
        let cache = gym_cache(backend.store.clone())
            .hold_after_lost(Duration::from_millis(700))
            .invalidate(On::put("/users/{id}/late").subtree("/users/{id}"));
        let app = App::of(cache, routes);
        app.warm("4", "/users/42").await;
        let lost = app.send(request(Method::PUT, "4", "/users/42/late"));
        assert!(tokio::time::timeout(Duration::from_millis(50), lost).await.is_err());
        app.cache.settled().await;
        // Read and, were the scope open, stored between the invalidation and the commit.
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=old");
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=new");
        app.get_settled("4", "/users/42").await.assert_hit();
    }

    async fn p6_a_read_that_began_before_a_write_is_never_stored_after_it(backend: Backend) {
        let source = Source::default();
        source.put("4", "42", "old");
        let one = App::with(gym_cache(backend.store.clone()), source.clone());
        let other = App::with(gym_cache(backend.another().await), source);
        for writer in [&one, &other] {
            writer.put("4", "/users/42", "old").await;
            let mut slow = request(Method::GET, "4", "/users/42");
            slow.headers_mut().insert("x-delay-ms", "200".parse().unwrap());
            let reader = one.clone();
            let slow = tokio::spawn(async move { reader.send(slow).await });
            tokio::time::sleep(Duration::from_millis(80)).await;
            writer.put("4", "/users/42", "new").await;
            // Neither while the slow read runs, nor when it has ended.
            for app in [&one, &other] {
                assert_eq!(app.get("4", "/users/42").await.text(), "4/42=new");
            }
            assert_eq!(slow.await.unwrap().text(), "4/42=old");
            one.cache.settled().await;
            for app in [&one, &other, &one, &other] {
                assert_eq!(app.get("4", "/users/42").await.text(), "4/42=new");
            }
        }
    }

    async fn p9_patterns_tags_sets_and_tenants_from_code(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/users").key("users:{role}:{status}").tag("lists"))
            .route(Route::get("/users/{id}").tag("user:{id}"))
            .set(InvalidationSet::named("user").subtree("/users/{id}").pattern("users:*").or_all())
            .set(InvalidationSet::named("one").subtree("/users/{id}"))
            .scope(Scope::pattern("users:{role}:*"));
        let app = App::of(cache, crate::support::app::gym_routes(Source::default()));
        let targets = ["/users?role=admin&status=on", "/users?role=guest&status=on", "/users/1", "/users/2"];
        let gym = app.cache.tenant("4").unwrap();
        let still_hit = |expected: [bool; 4]| {
            let app = app.clone();
            async move {
                for (target, expected) in targets.into_iter().zip(expected) {
                    assert_eq!(app.get("4", target).await.is_hit(), expected, "{target}");
                    app.warm("4", target).await;
                    app.get("5", target).await.assert_hit();
                }
            }
        };
        for target in targets {
            app.warm("4", target).await;
            app.warm("5", target).await;
        }
        gym.invalidate(&Scope::pattern("users:{role}:*").with("role", "admin")).await.unwrap();
        still_hit([false, true, true, true]).await;
        gym.invalidate(&Scope::tag("lists")).await.unwrap();
        still_hit([false, false, true, true]).await;
        gym.invalidate(&Scope::tag("user:{id}").with("id", "1")).await.unwrap();
        still_hit([true, true, false, true]).await;
        gym.invalidate(&Scope::path("/users/2")).await.unwrap();
        still_hit([true, true, true, false]).await;
        gym.invalidate_set("user", &[("id", "1")]).await.unwrap();
        still_hit([false, false, false, true]).await;
        gym.invalidate_set("user", &[("id", "*")]).await.unwrap();
        still_hit([false, false, true, true]).await;
        gym.invalidate_set_for_all("user").await.unwrap();
        still_hit([false, false, false, false]).await;
        gym.invalidate_all().await.unwrap();
        still_hit([false, false, false, false]).await;
        assert_eq!(gym.delete_pattern("users:*:on").await.unwrap(), 2);
        still_hit([false, false, true, true]).await;
        assert_eq!(gym.delete_pattern("/users/?").await.unwrap(), 2);
        still_hit([true, true, false, false]).await;
        assert_eq!(gym.delete_pattern("/nothing*").await.unwrap(), 0);

        let unknown = gym.invalidate(&Scope::pattern("user:*")).await;
        assert!(matches!(unknown, Err(InvalidateError::Scope(ScopeError::UnknownScope(_)))));
        let unbound = gym.invalidate_set("user", &[]).await;
        assert!(matches!(unbound, Err(InvalidateError::Scope(ScopeError::Unbound(_)))));
        let to_spare = gym.invalidate_set("user", &[("id", "1"), ("role", "x")]).await;
        assert!(matches!(
            to_spare,
            Err(InvalidateError::Scope(ScopeError::UnknownParameter { parameter, .. }))
                if parameter == "role"
        ));
        let to_spare = gym.invalidate(&Scope::path("/users").with("id", "1")).await;
        assert!(matches!(
            to_spare,
            Err(InvalidateError::Scope(ScopeError::UnknownParameter { scope, .. }))
                if scope.contains("/users")
        ));
        still_hit([true, true, true, true]).await;
        let for_one = gym.invalidate_set_for_all("one").await;
        assert!(matches!(for_one, Err(InvalidateError::Scope(ScopeError::NotForAll(_)))));
        let unknown = gym.invalidate_set("users", &[]).await;
        assert!(matches!(unknown, Err(InvalidateError::Scope(ScopeError::UnknownSet(_)))));
        assert!(matches!(gym.delete_pattern("[a").await, Err(InvalidateError::Glob(_))));
    }

    async fn a_rule_can_reach_all_tenants(backend: Backend) {
        let cache = gym_cache(backend.store.clone())
            .invalidate(On::post("/plans").all_tenants())
            .invalidate(On::post("/reset").tenant());
        let routes = crate::support::app::gym_routes(Source::default())
            .route("/plans", post(|| async {}))
            .route("/reset", post(|| async {}));
        let app = App::of(cache, routes);
        for gym in ["4", "5"] {
            app.warm(gym, "/users").await;
        }
        app.send(request(Method::POST, "4", "/reset")).await;
        app.get("4", "/users").await.assert_miss();
        app.get("5", "/users").await.assert_hit();
        app.cache.settled().await;
        app.get("4", "/users").await.assert_hit();
        app.send(request(Method::POST, "4", "/plans")).await;
        for gym in ["4", "5"] {
            app.get(gym, "/users").await.assert_miss();
        }
    }

    async fn an_invalidation_in_the_background_does_not_delay_the_response(backend: Backend) {
        let cache = gym_cache(backend.store.clone())
            .invalidate(On::post("/later").path("/users").in_background());
        let routes = crate::support::app::gym_routes(Source::default()).route("/later", post(|| async {}));
        let app = App::of(cache, routes);
        app.warm("4", "/users").await;
        app.send(request(Method::POST, "4", "/later")).await;
        app.cache.settled().await;
        app.get("4", "/users").await.assert_miss();
    }

    async fn a_rule_can_wait_for_the_end_of_a_streamed_answer(backend: Backend) {
        let source = Source::default();
        source.put("4", "42", "old");
        let import = {
            let source = source.clone();
            move || async move {
                // The handler answers first and writes while it streams.
                let rows = futures_util::stream::iter(["one", "two"]).then(move |row| {
                    let source = source.clone();
                    async move {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        source.put("4", "42", row);
                        Ok::<_, std::convert::Infallible>(row)
                    }
                });
                Body::from_stream(rows)
            }
        };
        let cache = gym_cache(backend.store.clone())
            .invalidate(On::post("/import").path("/users/42").after_body());
        let app = App::of(cache, crate::support::app::gym_routes(source).route("/import", post(import)));
        for reads_to_the_end in [true, false] {
            app.warm("4", "/users/42").await;
            let mut answer = app.open(request(Method::POST, "4", "/import")).await;
            // Stored between the first invalidation and the writes.
            app.get("4", "/users/42").await;
            app.get_settled("4", "/users/42").await.assert_hit();
            if reads_to_the_end {
                let whole = http_body_util::BodyExt::collect(answer.body_mut()).await.unwrap();
                assert_eq!(whole.to_bytes(), "onetwo");
                assert_eq!(app.get("4", "/users/42").await.text(), "4/42=two");
            } else {
                http_body_util::BodyExt::frame(answer.body_mut()).await.unwrap().unwrap();
                drop(answer);
                app.cache.settled().await;
                assert_eq!(app.get("4", "/users/42").await.text(), "4/42=one");
            }
            app.cache.settled().await;
        }
    }

    async fn delete_pattern_refuses_the_fills_under_way(backend: Backend) {
        let app = App::gym(backend.store.clone());
        app.source.put("4", "42", "old");
        let mut slow = request(Method::GET, "4", "/users/42");
        slow.headers_mut().insert("x-delay-ms", "200".parse().unwrap());
        let reader = app.clone();
        let slow = tokio::spawn(async move { reader.send(slow).await });
        tokio::time::sleep(Duration::from_millis(80)).await;
        app.source.put("4", "42", "new");
        app.cache.tenant("4").unwrap().delete_pattern("/users*").await.unwrap();
        assert_eq!(slow.await.unwrap().text(), "4/42=old");
        assert_eq!(app.get_settled("4", "/users/42").await.text(), "4/42=new");
    }
}
