//! The look-up of one key.

use std::time::Duration;

use axum::Router;
use axum::routing::get as on_get;
use serde_json::json;
use tower_response_cache::{Cache, DataKey, Identity, NearCache, RedisStore, Route, Tenant};

use crate::fixture::{app, escaped, get, operator, post, send};
use crate::support::Backend;
use crate::support::app::{App, request};
use axum::http::Method;

const NO_QUERY: [&str; 0] = [];

on_each_store! {
    async fn a_key_says_what_it_is_worth(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        let look = async || get(&admin, "/v1/key?tenant=4&target=/users?role=a").await.ok();
        let absent = look().await;
        assert_eq!((&absent["state"], &absent["stored"]), (&json!("absent"), &json!(null)));
        assert_eq!(absent["key"], "GET /users?role=a");
        app.warm("4", "/users?role=a").await;
        let before = app.cache.stats();
        let fresh = look().await;
        assert_eq!(fresh["state"], "fresh", "{fresh}");
        assert_eq!((&fresh["route"], &fresh["tenant"]), (&json!("/users"), &json!("4")));
        let stored = &fresh["stored"];
        assert_eq!((&stored["status"], &stored["kind"]), (&json!(200), &json!("response")));
        assert!((290..=300).contains(&stored["ttl_s"].as_i64().unwrap()), "{stored}");
        assert!(stored["headers"].as_array().unwrap().contains(&json!("content-type")));
        assert!(stored["body_bytes"].as_u64().unwrap() > 0);
        assert!(stored["bytes"].as_u64().unwrap() > stored["body_bytes"].as_u64().unwrap());
        let stamps = fresh["stamps"].as_array().unwrap();
        let scopes: Vec<_> = stamps.iter().map(|stamp| stamp["scope"].as_str().unwrap()).collect();
        assert!(scopes.contains(&"tenant") && scopes.contains(&"path:/users"), "{scopes:?}");
        assert!(stamps.iter().all(|stamp| stamp["state"] == "valid" && stamp["since"].is_string()));
        assert_eq!(fresh["body"], json!(null));
        assert_eq!(app.cache.stats().hits, before.hits, "a look-up is no hit");
        assert_eq!(app.cache.stats().misses, before.misses);

        let shown = get(&admin, "/v1/key?tenant=4&target=/users?role=a&body=true").await.ok();
        assert_eq!(shown["body"]["text"], app.get("4", "/users?role=a").await.text());
        assert_eq!(shown["body"]["truncated"], false);

        post(&admin, "/v1/invalidate", &json!({ "tenant": "4", "path": "/users" })).await.ok();
        let gone = look().await;
        assert_eq!(gone["state"], "invalidated");
        let moved: Vec<_> = gone["stamps"].as_array().unwrap().iter()
            .filter(|stamp| stamp["state"] == "moved")
            .map(|stamp| stamp["scope"].clone())
            .collect();
        assert_eq!(moved, [json!("path:/users")]);
    }

    async fn what_can_not_be_looked_up_is_said(backend: Backend) {
        let builder = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/users/{id}"))
            .route(Route::get("/users/me").uncached())
            .route(Route::get("/me").per_user(Identity::header("x-user")))
            .route(Route::get("/news").tenantless())
            .route(Route::query_method("/search"))
            .route(Route::get("/private").per_user(Identity::with(|parts| {
                Some(parts.extensions.get::<String>().expect("set by the authentication").clone())
            })));
        let admin = operator(&App::of(builder, Router::new()));
        for (target, status, error) in [
            ("/v1/key?tenant=4&target=/posts", 404, "no-route"),
            ("/v1/key?tenant=4&target=/users/me", 404, "no-route"),
            ("/v1/key?tenant=4&target=/users/1&method=DELETE", 404, "no-route"),
            ("/v1/key?tenant=4&target=/me", 422, "bypass"),
            ("/v1/key?tenant=4&target=/news", 422, "tenantless"),
            ("/v1/key?tenantless=true&target=/users/1", 422, "tenant"),
            ("/v1/key?tenant=4&target=/search&method=QUERY", 422, "content"),
            ("/v1/key?tenant=4&target=/private", 422, "unreadable"),
            ("/v1/key?tenant=4&target=/users/%2541%25", 422, "bypass"),
        ] {
            assert_eq!(get(&admin, target).await.error(status), error, "{target}");
        }
        let me = get(&admin, "/v1/key?tenant=4&target=/me&header=x-user:%20ada").await.ok();
        assert_eq!(me["key"], "GET;@=ada /me");
        assert_eq!(get(&admin, "/v1/key?tenantless=true&target=/news").await.ok()["state"], "absent");
    }

    async fn no_secret_is_shown(backend: Backend) {
        let builder = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::get("/page").header("authorization").without_set_cookie());
        let handler = async || {
            [("set-cookie", "session=s3cret"), ("x-token", "s3cret"), ("content-type", "text/plain")]
        };
        let app = App::of(builder, Router::new().route("/page", on_get(handler)));
        for _ in 0..2 {
            let mut asked = request(Method::GET, "4", "/page");
            asked.headers_mut().insert("authorization", "Bearer s3cret".parse().unwrap());
            app.send(asked).await;
            app.cache.settled().await;
        }
        let admin = operator(&app);
        let keys = get(&admin, "/v1/keys?tenant=4").await;
        let entry = keys.ok()["keys"][0]["entry"].as_str().unwrap().to_owned();
        let found = get(&admin, &format!("/v1/key?tenant=4&entry={}", escaped(&entry))).await;
        assert_eq!(found.ok()["state"], "fresh", "{found:?}");
        let named = found.ok()["stored"]["headers"].clone();
        assert!(named.as_array().unwrap().contains(&json!("x-token")), "{named}");
        for text in [&keys.text, &found.text] {
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    async fn the_host_is_that_of_who_asks_unless_another_is_named(backend: Backend) {
        let app = app(backend.store.clone());
        for _ in 0..2 {
            let mut asked = request(Method::GET, "4", "/users/1");
            asked.headers_mut().insert("host", "gym.example".parse().unwrap());
            app.send(asked).await;
            app.cache.settled().await;
        }
        let look = async |host: &str, more: &str| {
            let target = format!("/v1/key?tenant=4&target=/users/1{more}");
            let asked = axum::http::Request::get(target).header("host", host);
            let asked = asked.body(axum::body::Body::empty()).unwrap();
            send(&operator(&app), asked).await.ok()
        };
        assert_eq!(look("gym.example", "").await["state"], "fresh");
        let elsewhere = look("admin.example", "").await;
        assert_eq!(elsewhere["state"], "absent");
        assert!(elsewhere["explanation"].as_str().unwrap().contains("the header `host`"));
        assert_eq!(look("admin.example", "&header=host:gym.example").await["state"], "fresh");
    }

    async fn values_are_found(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        let gym = app.cache.tenant("4").unwrap();
        gym.set("hours", Duration::from_secs(60), &[8, 20]).await.unwrap();
        let tagged = DataKey::from("/users/1/badges").tag("badges");
        gym.set(tagged, Duration::from_secs(60), "gold").await.unwrap();
        let listed = get(&admin, "/v1/keys?tenant=4").await.ok();
        assert_eq!(listed["keys"].as_array().unwrap().len(), 2, "{listed}");
        let look = async |entry: &str| {
            get(&admin, &format!("/v1/key?tenant=4&entry={}&body=1", escaped(entry))).await.ok()
        };
        let hours = look("value hours").await;
        assert_eq!((&hours["state"], &hours["stored"]["kind"]), (&json!("fresh"), &json!("value")));
        assert_eq!(hours["body"]["text"], "[8,20]");
        assert_eq!(look("value /users/1/badges").await["state"], "unknown");
        let order = json!({ "tenant": "4", "everything": true });
        post(&admin, "/v1/invalidate", &order).await.ok();
        assert_eq!(look("value hours").await["state"], "invalidated");
    }

    async fn variants_and_templates_are_found(backend: Backend) {
        let builder = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/talk").query(NO_QUERY))
            .route(Route::get("/members").key("members:{role}"));
        let talk = async |headers: axum::http::HeaderMap| {
            let language = headers.get("accept-language").unwrap().to_str().unwrap().to_owned();
            ([("vary", "accept-language")], language)
        };
        let router = Router::new()
            .route("/talk", on_get(talk))
            .route("/members", on_get(async || "members"));
        let app = App::of(builder, router);
        let admin = operator(&app);
        for language in ["de", "fr", "de", "fr"] {
            let mut asked = request(Method::GET, "4", "/talk");
            asked.headers_mut().insert("accept-language", language.parse().unwrap());
            app.send(asked).await;
            app.cache.settled().await;
        }
        for (language, state) in [("de", "fresh"), ("fr", "fresh"), ("it", "absent")] {
            let target = format!("/v1/key?tenant=4&target=/talk&body=1&header=accept-language:{language}");
            let found = get(&admin, &target).await.ok();
            assert_eq!(found["state"], state, "{found}");
            if state == "fresh" {
                assert_eq!(found["body"]["text"], language);
            }
        }
        app.warm("4", "/members?role=a").await;
        let by_target = get(&admin, "/v1/key?tenant=4&target=/members?role=a").await.ok();
        assert_eq!((&by_target["state"], &by_target["key"]), (&json!("fresh"), &json!("GET members:a")));
        let by_name = get(&admin, "/v1/key?tenant=4&entry=GET%20members:a").await.ok();
        assert_eq!((&by_name["state"], &by_name["stamps"]), (&json!("unknown"), &json!([])));
        assert_eq!(by_name["stored"]["status"], 200);
        app.get("4", "/members?role=a").await.assert_hit();
    }

    /// The keys of a route that leaves it to responses what of the query counts are in the slot of their
    /// path, which a listed key says too.
    async fn what_is_listed_of_a_spread_tenant_is_found_by_its_name(backend: Backend) {
        let builder = Cache::builder(backend.store.clone())
            .namespace("gym")
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .spread_tenants()
            .route(Route::get("/members"))
            .route(Route::get("/found").no_vary_search());
        let router = Router::new()
            .route("/members", on_get(async || "members"))
            .route("/found", on_get(async || ([("no-vary-search", "params=(\"utm\")")], "found")));
        let app = App::of(builder, router);
        let admin = operator(&app);
        for path in ["/members", "/members?page=2", "/found?q=a&utm=x", "/found?q=b", "/found"] {
            app.warm("4", path).await;
        }
        let page = get(&admin, "/v1/keys?tenant=4&limit=100").await.ok();
        let keys = page["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 5, "{page}");
        for key in keys {
            let key = format!("{} {}", key["variant"].as_str().unwrap(), key["text"].as_str().unwrap());
            let found = get(&admin, &format!("/v1/key?tenant=4&entry={}", escaped(&key))).await.ok();
            assert_eq!((&found["key"], &found["stored"]["status"]), (&json!(key), &json!(200)));
        }
    }
}

#[tokio::test]
async fn a_long_body_is_cut_off() {
    let builder = Cache::builder(Backend::memory().store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/long"));
    let app = App::of(builder, Router::new().route("/long", on_get(async || "é".repeat(50_000))));
    app.warm("4", "/long").await;
    let found = get(&operator(&app), "/v1/key?tenant=4&target=/long&body=true").await.ok();
    assert_eq!(found["stored"]["body_bytes"], 100_000);
    assert_eq!(found["body"]["truncated"], true);
    assert_eq!(found["body"]["text"].as_str().unwrap().len(), 64 << 10);
}

/// A look-up by name, which knows no scopes, leaves nothing in the near-cache that requests would trip
/// over.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_leaves_the_near_cache_alone() {
    let backend = Backend::redis().await;
    let url = backend.server.as_ref().unwrap().url();
    let near = RedisStore::builder(&url).near_cache(NearCache::strict());
    let store = near.connect().await.unwrap();
    let builder = Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/members").key("members:{role}").ttl(Duration::from_secs(60)));
    let app = App::of(builder, Router::new().route("/members", on_get(async || "members")));
    let admin = operator(&app);
    app.get("4", "/members?role=a").await;
    app.cache.settled().await;
    for _ in 0..3 {
        let found = get(&admin, "/v1/key?tenant=4&entry=GET%20members:a").await.ok();
        assert_eq!((&found["state"], &found["near"]), (&json!("unknown"), &json!(false)));
        app.get("4", "/members?role=a").await.assert_hit();
    }
}
