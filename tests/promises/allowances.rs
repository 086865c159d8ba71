//! P5: what is refused by default is stored where the app says that it knows.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tower_response_cache::{Cache, CacheBuilder, Identity, Route, Store, Tenant};

use crate::support::app::{Answer, App, request};

fn cache(store: Arc<dyn Store>, route: Route) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).route(route)
}

async fn ask(app: &App, fields: &[(&'static str, &str)]) -> Answer {
    app.cache.settled().await;
    let mut request = request(Method::GET, "4", "/");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    app.send(request).await
}

fn answering(fields: &'static [(&'static str, &'static str)]) -> Router {
    let handler = move || async move {
        let mut response = "x".into_response();
        for (name, value) in fields {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        response
    };
    Router::new().route("/", get(handler))
}

on_each_store! {
    async fn a_cookie_goes_to_who_ran_the_handler_and_to_nobody_else(backend: Backend) {
        let route = Route::get("/").same_for_all_users().without_set_cookie();
        let router = answering(&[("set-cookie", "id=1"), ("set-cookie", "b=2"), ("x-kept", "1")]);
        let app = App::of(cache(backend.store.clone(), route), router);
        let first = ask(&app, &[]).await;
        assert_eq!(first.headers.get_all(header::SET_COOKIE).iter().count(), 2);
        let hit = ask(&app, &[]).await;
        hit.assert_hit();
        assert!(!hit.headers.contains_key(header::SET_COOKIE), "{hit:?}");
        assert_eq!(hit.headers["x-kept"], "1");
    }

    async fn private_responses_are_stored_for_their_user(backend: Backend) {
        let route = Route::get("/").per_user(Identity::header("x-user")).store_private();
        let router = answering(&[("cache-control", "private, max-age=60")]);
        let app = App::of(cache(backend.store.clone(), route), router);
        for user in ["a", "b"] {
            assert!(!ask(&app, &[("x-user", user)]).await.is_hit());
            ask(&app, &[("x-user", user)]).await.assert_hit();
        }
    }

    async fn cookies_that_do_not_matter_are_ignored(backend: Backend) {
        let app = App::of(cache(backend.store.clone(), Route::get("/").ignore_cookies()), answering(&[]));
        ask(&app, &[("cookie", "a=1")]).await;
        ask(&app, &[("cookie", "a=2")]).await.assert_hit();
        ask(&app, &[("authorization", "x")]).await.assert_bypass("authorization");
    }

    async fn authorization_that_does_not_matter_is_ignored(backend: Backend) {
        let app = App::of(cache(backend.store.clone(), Route::get("/").ignore_authorization()), answering(&[]));
        ask(&app, &[("authorization", "a")]).await;
        ask(&app, &[("authorization", "b")]).await.assert_hit();
        ask(&app, &[("cookie", "a=1")]).await.assert_bypass("cookie");
    }

    async fn fields_of_one_request_are_not_replayed(backend: Backend) {
        let fields = &[("x-request-id", "7"), ("server-timing", "db;dur=5"), ("x-kept", "1"), ("x-mine", "2")];
        let app = App::of(
            cache(backend.store.clone(), Route::get("/")).namespace("default"),
            answering(fields),
        );
        assert_eq!(ask(&app, &[]).await.headers["x-request-id"], "7");
        let hit = ask(&app, &[]).await;
        hit.assert_hit();
        assert!(!hit.headers.contains_key("x-request-id") && !hit.headers.contains_key("server-timing"));
        assert_eq!((&hit.headers["x-kept"], &hit.headers["x-mine"]), (&"1".parse().unwrap(), &"2".parse().unwrap()));

        let builder = cache(backend.store.clone(), Route::get("/")).namespace("own").unstored_fields(["X-Mine"]);
        let app = App::of(builder, answering(fields));
        ask(&app, &[]).await;
        let hit = ask(&app, &[]).await;
        hit.assert_hit();
        assert!(hit.headers.contains_key("x-request-id") && !hit.headers.contains_key("x-mine"), "{hit:?}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let store = tower_response_cache::MemoryStore::new();
    let cache = Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .route(Route::get("/").same_for_all_users().store_private());
    let error = cache.build().unwrap_err().to_string();
    assert!(error.contains("per_user"), "{error}");
    for builder in [
        Cache::builder(tower_response_cache::MemoryStore::new()).targeted_fields(["CDN Cache"]),
        Cache::builder(tower_response_cache::MemoryStore::new()).unstored_fields(["x y"]),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("CDN Cache") || error.contains("x y"), "{error}");
    }
}
