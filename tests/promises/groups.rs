//! Groups that a response names (RFC 9875): P6 and P9 for what is known only after the handler ran.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_response_cache::{Cache, CacheBuilder, ResponseGroups, Route, Store, Tenant};

use crate::support::app::App;

const GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const ENDS: HeaderName = HeaderName::from_static("cache-group-invalidation");

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/{name}"))
        .route(Route::get("/typed/{name}"))
}

/// `/a` is in the groups `a` and `all`; a write to `/b` ends the group that its body names. A
/// request's `x-delay-ms` delays the answer.
fn router(runs: Arc<AtomicUsize>) -> Router {
    let typed = || async {
        let mut response = "typed".into_response();
        response.extensions_mut().insert(ResponseGroups::new(["of the app: *"]));
        response
    };
    let read = move |axum::extract::Path(name): axum::extract::Path<String>, headers: HeaderMap| async move {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        let delay = headers.get("x-delay-ms").map_or(0, |v| v.to_str().unwrap().parse().unwrap());
        tokio::time::sleep(Duration::from_millis(delay)).await;
        ([(GROUPS, format!("\"{name}\", \"all\""))], run.to_string())
    };
    let write = |body: String| async move { ([(ENDS, body)], "").into_response() as Response };
    Router::new()
        .route("/{name}", get(read).put(write))
        .route("/typed/{name}", get(typed).put(put_nothing))
}

async fn put_nothing() {}

on_each_store! {
    async fn a_group_ends_what_has_named_it_and_nothing_else(backend: Backend) {
        let app = App::of(cache(backend.store.clone()), router(Arc::default()));
        for target in ["/a", "/b", "/c"] {
            app.warm("4", target).await;
            app.warm("5", target).await;
        }
        app.put("4", "/z", "\"a\", \"b\"").await;
        for (target, kept) in [("/a", false), ("/b", false), ("/c", true)] {
            assert_eq!(app.get("4", target).await.is_hit(), kept, "{target}");
            // Another tenant's groups are others.
            app.get("5", target).await.assert_hit();
        }
        app.cache.settled().await;
        app.cache.tenant("4").unwrap().invalidate_group("all").await.unwrap();
        for target in ["/a", "/b", "/c"] {
            app.get("4", target).await.assert_miss();
        }
        // A group that nobody has named is no error.
        app.cache.tenant("4").unwrap().invalidate_group("unknown").await.unwrap();
    }

    async fn code_can_name_groups_too(backend: Backend) {
        let app = App::of(cache(backend.store.clone()), router(Arc::default()));
        app.warm("4", "/typed/x").await;
        app.cache.tenant("4").unwrap().invalidate_group("of the app: *").await.unwrap();
        app.get("4", "/typed/x").await.assert_miss();
    }

    async fn a_fill_that_began_before_the_end_of_its_group_is_not_stored(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(cache(backend.store.clone()), router(runs.clone()));
        let slow = {
            let app = app.clone();
            tokio::spawn(async move {
                let mut request = crate::support::app::request(axum::http::Method::GET, "4", "/a");
                request.headers_mut().insert("x-delay-ms", "300".parse().unwrap());
                app.send(request).await
            })
        };
        while runs.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        app.cache.tenant("4").unwrap().invalidate_group("a").await.unwrap();
        // Who begins after it neither joins the run from before, nor is answered from it.
        assert_eq!(app.get("4", "/a").await.text(), "1");
        assert_eq!(slow.await.unwrap().text(), "0");
        assert_eq!(app.get_settled("4", "/a").await.text(), "1");
    }

    async fn an_instance_that_did_not_store_it_knows_its_groups(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let one = App::of(cache(backend.store.clone()), router(runs.clone()));
        let other = App::of(cache(backend.another().await), router(runs));
        one.warm("4", "/a").await;
        other.get("4", "/a").await.assert_hit();
        one.cache.tenant("4").unwrap().invalidate_group("all").await.unwrap();
        other.get("4", "/a").await.assert_miss();
    }

    async fn a_response_in_too_many_groups_is_not_stored(backend: Backend) {
        let many = || async {
            let names: Vec<_> = (0..65).map(|number| format!("\"{number}\"")).collect();
            ([(GROUPS, names.join(", "))], "x")
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/{name}", get(many)));
        let answer = app.get("4", "/many").await;
        assert!(answer.cache_status().contains("detail=too-many-groups"), "{answer:?}");
        assert!(!app.get_settled("4", "/many").await.is_hit());
    }

    async fn a_response_that_was_confirmed_is_in_its_groups_still(backend: Backend) {
        // The groups are said with the body alone, as a handler does that answers 304 early.
        let handler = |headers: HeaderMap| async move {
            let tag = [(header::ETAG, "\"1\"")];
            if headers.contains_key(header::IF_NONE_MATCH) {
                return (StatusCode::NOT_MODIFIED, tag).into_response();
            }
            let mut response = (tag, "body").into_response();
            response.extensions_mut().insert(ResponseGroups::new(["g"]));
            response
        };
        let ttl = Duration::from_millis(100);
        let builder = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::get("/").ttl(ttl).revalidate(Duration::from_secs(60)));
        let app = App::of(builder, Router::new().route("/", get(handler)));
        app.get("4", "/").await;
        app.cache.settled().await;
        tokio::time::sleep(ttl + Duration::from_millis(20)).await;
        let confirmed = app.get("4", "/").await;
        assert!(confirmed.cache_status().contains("fwd-status=304"), "{confirmed:?}");
        app.cache.settled().await;
        app.cache.tenant("4").unwrap().invalidate_group("g").await.unwrap();
        // Neither served nor asked about.
        let after = app.get("4", "/").await;
        after.assert_miss();
        assert!(!after.cache_status().contains("fwd-status"), "{after:?}");
    }
}
