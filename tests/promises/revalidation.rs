//! RFC 9111, section 4.3: a stale response that has a validator is asked about, not made anew.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use parking_lot::Mutex;
use tower_response_cache::{Cache, CacheBuilder, On, Route, Store, Tenant};

use crate::support::app::{Answer, App, request};

const TTL: Duration = Duration::from_millis(100);

fn route() -> Route {
    Route::get("/").ttl(TTL).revalidate(Duration::from_secs(60))
}

fn cache(store: Arc<dyn Store>, route: Route) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(route)
        .invalidate(On::put("/change").path("/"))
}

/// A resource with a version, by which it is asked about, and what it was asked.
#[derive(Clone, Default)]
struct Resource {
    version: Arc<Mutex<u32>>,
    asked: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<Response<Body>>>>,
}

impl Resource {
    fn router(&self) -> Router {
        let handler = {
            let resource = self.clone();
            move |method: Method, headers: HeaderMap| async move { resource.answer(&method, &headers) }
        };
        let change = {
            let resource = self.clone();
            move || async move { *resource.version.lock() += 1 }
        };
        Router::new().route("/", get(handler)).route("/change", axum::routing::put(change))
    }

    fn answer(&self, method: &Method, headers: &HeaderMap) -> Response<Body> {
        let condition = headers.get(header::IF_NONE_MATCH);
        let condition = condition.map_or("", |value| value.to_str().unwrap()).to_owned();
        let mut asked = self.asked.lock();
        asked.push(format!("{method} {condition}"));
        if let Some(answer) = self.answers.lock().pop() {
            return answer;
        }
        let tag = format!("\"{}\"", *self.version.lock());
        let fields = [
            (header::ETAG, tag.clone()),
            (header::HeaderName::from_static("x-run"), asked.len().to_string()),
        ];
        if condition == tag {
            return (StatusCode::NOT_MODIFIED, fields).into_response();
        }
        (fields, format!("body {}", *self.version.lock())).into_response()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

fn asking(method: Method, fields: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = request(method, "4", "/");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

/// After the TTL of what is stored.
async fn later(app: &App, method: Method, fields: &[(&'static str, &str)]) -> Answer {
    app.cache.settled().await;
    tokio::time::sleep(TTL + Duration::from_millis(20)).await;
    app.send(asking(method, fields)).await
}

on_each_store! {
    async fn without_a_window_nothing_is_asked(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), Route::get("/").ttl(TTL)), resource.router());
        app.get("4", "/").await;
        later(&app, Method::GET, &[]).await;
        assert_eq!(resource.asked(), ["GET ", "GET "]);
    }

    async fn a_304_makes_a_stored_response_fresh_again(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        assert_eq!(app.get("4", "/").await.headers["x-run"], "1");
        let answer = later(&app, Method::GET, &[]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "body 0"));
        let status = answer.cache_status();
        assert!(status.contains("fwd=stale; fwd-status=304; ttl="), "{status}");
        // What the 304 says anew replaces what was stored.
        assert_eq!(answer.headers["x-run"], "2");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        assert_eq!((hit.text(), &hit.headers["x-run"]), ("body 0", &"2".parse().unwrap()));
        assert_eq!(resource.asked(), ["GET ", "GET \"0\""]);
        assert_eq!(app.cache.stats().revalidated, 1);
    }

    async fn a_200_replaces_it(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        app.get("4", "/").await;
        *resource.version.lock() = 7;
        let answer = later(&app, Method::GET, &[]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "body 7"));
        assert!(answer.cache_status().contains("fwd=stale; ttl="), "{answer:?}");
        assert_eq!(app.get_settled("4", "/").await.text(), "body 7");
    }

    async fn what_a_write_has_reached_is_not_asked_about(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        app.get("4", "/").await;
        app.cache.settled().await;
        app.put("4", "/change", "").await;
        *resource.version.lock() = 0;
        let answer = later(&app, Method::GET, &[]).await;
        assert_eq!(answer.text(), "body 0");
        assert_eq!(resource.asked(), ["GET ", "GET "]);
    }

    async fn a_client_that_has_the_response_gets_a_304_of_its_own(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        app.get("4", "/").await;
        let answer = later(&app, Method::GET, &[("if-none-match", "\"0\"")]).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
        let answer = later(&app, Method::GET, &[("if-none-match", "\"old\"")]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "body 0"));
        // The handler was asked about what is stored, not about what the client has.
        assert_eq!(resource.asked(), ["GET ", "GET \"0\"", "GET \"0\""]);
    }

    async fn a_304_for_another_response_is_an_error_and_no_more(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        app.get("4", "/").await;
        let wrong = (StatusCode::NOT_MODIFIED, [(header::ETAG, "\"wrong\"")]).into_response();
        resource.answers.lock().push(wrong);
        let answer = later(&app, Method::GET, &[]).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        let answer = later(&app, Method::GET, &[]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "body 0"));
    }

    async fn a_304_may_forbid_to_store_any_longer(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        app.get("4", "/").await;
        let fields = [(header::ETAG, "\"0\""), (header::CACHE_CONTROL, "no-store")];
        resource.answers.lock().push((StatusCode::NOT_MODIFIED, fields).into_response());
        let answer = later(&app, Method::GET, &[]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "body 0"));
        assert!(!app.get_settled("4", "/").await.is_hit());
    }

    async fn a_refresh_in_the_background_asks_too(backend: Backend) {
        let resource = Resource::default();
        let route = route().stale_while_revalidate(Duration::from_secs(60));
        let app = App::of(cache(backend.store.clone(), route), resource.router());
        app.get("4", "/").await;
        let stale = later(&app, Method::GET, &[]).await;
        assert!(stale.is_hit(), "{stale:?}");
        let hit = app.get_settled("4", "/").await;
        assert_eq!((hit.text(), &hit.headers["x-run"]), ("body 0", &"2".parse().unwrap()));
        assert_eq!(resource.asked(), ["GET ", "GET \"0\""]);
    }

    async fn one_question_answers_all_who_wait(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route().ttl(Duration::from_secs(1))), resource.router());
        app.get("4", "/").await;
        app.cache.settled().await;
        tokio::time::sleep(Duration::from_millis(1050)).await;
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move { app.get("4", "/").await })
            })
            .collect();
        for client in clients {
            let answer = client.await.unwrap();
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "body 0"));
        }
        assert_eq!(resource.asked(), ["GET ", "GET \"0\""]);
    }

    async fn the_answer_to_a_head_freshens_or_ends_what_is_stored(backend: Backend) {
        let resource = Resource::default();
        let app = App::of(cache(backend.store.clone(), route()), resource.router());
        app.get("4", "/").await;
        let head = later(&app, Method::HEAD, &[]).await;
        assert_eq!((head.status, &head.headers["x-run"]), (StatusCode::OK, &"2".parse().unwrap()));
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        assert_eq!((hit.text(), &hit.headers["x-run"]), ("body 0", &"2".parse().unwrap()));

        *resource.version.lock() = 1;
        later(&app, Method::HEAD, &[]).await;
        app.cache.settled().await;
        app.get("4", "/").await;
        // Nothing was left to ask about.
        assert_eq!(resource.asked(), ["GET ", "HEAD ", "HEAD ", "GET "]);
    }

    async fn a_soft_invalidation_asks_whether_anything_has_changed(backend: Backend) {
        let resource = Resource::default();
        let builder = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/").revalidate(Duration::from_secs(60)))
            .invalidate(On::put("/change").path("/").soft());
        let app = App::of(builder, resource.router());
        app.get("4", "/").await;
        app.cache.settled().await;
        app.put("4", "/change", "").await;
        *resource.version.lock() = 0;
        assert_eq!(app.get("4", "/").await.text(), "body 0");
        app.get_settled("4", "/").await.assert_hit();
        assert_eq!(resource.asked(), ["GET ", "GET \"0\""]);
    }
}
