//! The five uses of the Python cache service that this crate succeeds.

use std::time::Duration;

use crate::support::app::{App, Source, gym_routes, request};
use axum::http::{Method, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use tower_response_cache::{Cache, CacheBuilder, InvalidationSet, On, Route, Store, Tenant};

fn service(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/users").key("users:{role}:{status}"))
        .route(Route::get("/users/{id}").key("user:{id}"))
        .route(Route::get("/operating-hours").key("hours").ttl(Duration::from_secs(3600)))
        .route(Route::get("/participants").key("participants").ttl(Duration::from_secs(600)))
        .set(InvalidationSet::named("user").pattern("user:{id}").pattern("users:*").or_all())
        .invalidate(On::put("/users/{id}").pattern("user:{id}").pattern("users:*"))
        .invalidate(On::put("/operating-hours").pattern("hours"))
}

fn app(store: std::sync::Arc<dyn Store>) -> App {
    let hours = || async { Json(serde_json::json!({ "open": "06:00", "close": "22:00" })) };
    let routes: Router = gym_routes(Source::default())
        .route("/operating-hours", get(hours).merge(put(|| async { StatusCode::NO_CONTENT })))
        .route("/participants", get(|| async { Json(["Ada", "Bob"]) }));
    App::of(service(store), routes)
}

on_each_store! {
    async fn user_lists_are_cached_by_role_and_status(backend: Backend) {
        let app = app(backend.store.clone());
        app.warm("4", "/users?role=member&status=active").await;
        app.get("4", "/users?status=active&role=member&page=2").await.assert_hit();
        app.get("4", "/users?role=member").await.assert_miss();
        app.get("4", "/users?role=member&status=").await.assert_miss();
        app.get("5", "/users?role=member&status=active").await.assert_miss();
    }

    async fn one_user_is_invalidated_or_all_of_them(backend: Backend) {
        let app = app(backend.store.clone());
        let warm_all = || async {
            for target in ["/users/1", "/users/2", "/users?role=member"] {
                app.warm("4", target).await;
                app.warm("5", target).await;
            }
        };
        let gym = app.cache.tenant("4").unwrap();
        warm_all().await;
        gym.invalidate_set("user", &[("id", "1")]).await.unwrap();
        app.get("4", "/users/1").await.assert_miss();
        app.get("4", "/users/2").await.assert_hit();
        app.get("4", "/users?role=member").await.assert_miss();
        warm_all().await;
        gym.invalidate_set_for_all("user").await.unwrap();
        app.get("4", "/users/1").await.assert_miss();
        app.get("4", "/users/2").await.assert_miss();
        for target in ["/users/1", "/users/2", "/users?role=member"] {
            app.get("5", target).await.assert_hit();
        }
    }

    async fn a_pattern_is_deleted_in_one_gym_alone(backend: Backend) {
        let app = app(backend.store.clone());
        for gym in ["4", "5", "45", "*"] {
            for status in ["active", "gone", "new"] {
                app.warm(gym, &format!("/users?role=member&status={status}")).await;
            }
            app.warm(gym, "/participants").await;
        }
        for gym in ["4", "*"] {
            let removed = app.cache.tenant(gym).unwrap().delete_pattern("users:*").await.unwrap();
            assert_eq!(removed, 3);
            app.get(gym, "/participants").await.assert_hit();
        }
        for (gym, is_hit) in [("4", false), ("5", true), ("45", true), ("*", false)] {
            let answer = app.get(gym, "/users?role=member&status=active").await;
            assert_eq!(answer.is_hit(), is_hit, "{gym}");
        }
    }

    async fn opening_hours_are_json_for_an_hour(backend: Backend) {
        let app = app(backend.store.clone());
        let first = app.get("4", "/operating-hours").await;
        assert!(first.cache_status().contains("; ttl=3600"), "{first:?}");
        let hit = app.get_settled("4", "/operating-hours").await;
        hit.assert_hit();
        assert_eq!(hit.headers["content-type"], "application/json");
        let hours: serde_json::Value = serde_json::from_slice(&hit.body).unwrap();
        assert_eq!(hours["open"], "06:00");
        app.send(request(Method::PUT, "4", "/operating-hours")).await;
        app.get("4", "/operating-hours").await.assert_miss();
    }

    async fn participants_are_cached_for_ten_minutes(backend: Backend) {
        let app = app(backend.store.clone());
        let first = app.get("4", "/participants").await;
        assert!(first.cache_status().contains("; ttl=600"), "{first:?}");
        let hit = app.get_settled("4", "/participants").await;
        hit.assert_hit();
        assert_eq!(hit.text(), r#"["Ada","Bob"]"#);
    }
}
