//! Who may ask, decided on either side. Outside is right.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::get;
use futures_util::future::BoxFuture;
use tower_http::auth::AsyncRequireAuthorizationLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_response_cache::{Cache, Identity, Route, Tenant};

use super::{Runs, app, asking, built, cache};
use crate::support::app::Answer;

/// Who an authentication layer found to be asking.
#[derive(Clone)]
struct Session {
    gym: &'static str,
    user: String,
}

type Refusal = Response<Body>;

/// Knows `Bearer ann` and `Bearer bob`, of gym 4.
#[expect(clippy::result_large_err, reason = "the layer wants the whole response")]
fn authenticate(request: &mut Request<Body>) -> Result<(), Refusal> {
    let token = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let user = match token {
        Some(b"Bearer ann") => "ann",
        Some(b"Bearer bob") => "bob",
        _ => return Err(StatusCode::UNAUTHORIZED.into_response()),
    };
    request.extensions_mut().insert(Session { gym: "4", user: user.to_owned() });
    Ok(())
}

fn by_token(mut request: Request<Body>) -> BoxFuture<'static, Result<Request<Body>, Refusal>> {
    Box::pin(async move {
        authenticate(&mut request)?;
        Ok(request)
    })
}

/// The same, as middleware of axum.
async fn by_middleware(mut request: Request<Body>, next: Next) -> Refusal {
    match authenticate(&mut request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal,
    }
}

/// Answers with the name of who asks.
fn me(runs: &Runs) -> Router {
    let runs = runs.clone();
    let handler = move |request: Request<Body>| async move {
        runs.count();
        request.extensions().get::<Session>().map_or(String::new(), |session| session.user.clone())
    };
    Router::new().route("/", get(handler.clone()).put(handler))
}

fn as_user(user: &str) -> Request<Body> {
    asking(Method::GET, &[("authorization", &format!("Bearer {user}"))])
}

/// The status, and whether the cache had anything to do with it.
fn seen(answer: &Answer) -> (u16, bool) {
    (answer.status.as_u16(), !answer.cache_status().is_empty())
}

on_each_store! {
    async fn outside_the_refused_never_reach_the_cache(backend: Backend) {
        let authenticated = || {
            Cache::builder(backend.store.clone())
                .tenant(Tenant::extension(|session: &Session| session.gym.to_owned()))
                .per_user(Identity::extension(|session: &Session| session.user.clone()))
                .route(Route::get("/"))
        };
        for kind in ["tower-http", "axum"] {
            let runs = Runs::default();
            let cache = built(authenticated().namespace(kind));
            let router = me(&runs).layer(cache.layer());
            let router = if kind == "axum" {
                router.layer(from_fn(by_middleware))
            } else {
                router.layer(AsyncRequireAuthorizationLayer::new(by_token))
            };
            let app = app(cache, router);
            for user in ["ann", "bob", "ann", "bob"] {
                assert_eq!(app.send(as_user(user)).await.text(), user);
                app.cache.settled().await;
            }
            let before = app.cache.stats();
            assert_eq!((runs.so_far(), before.hits), (2, 2));
            assert_eq!(seen(&app.get("4", "/").await), (401, false));
            assert_eq!(seen(&app.send(as_user("mallory")).await), (401, false));
            let write = app.send(asking(Method::PUT, &[])).await;
            assert_eq!(seen(&write), (401, false));
            assert_eq!(app.cache.stats(), before);
            // A write of who was refused has invalidated nothing.
            app.send(as_user("ann")).await.assert_hit();
        }
    }

    async fn a_refusal_by_a_field_outside_never_reaches_the_cache(backend: Backend) {
        let runs = Runs::default();
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let json = ValidateRequestHeaderLayer::accept("application/json");
        let app = app(cache.clone(), me(&runs).layer(cache.layer()).layer(json));
        let refused = app.send(asking(Method::GET, &[("accept", "text/plain")])).await;
        assert_eq!(seen(&refused), (406, false));
        assert_eq!((runs.so_far(), app.cache.stats().misses), (0, 0));
    }

    /// Without a word on users, what a request with credentials is answered is nobody else's.
    async fn inside_nothing_is_shared_of_who_is_authorised_unless_the_app_says_so(backend: Backend) {
        let runs = Runs::default();
        let builder = Cache::builder(backend.store.clone()).tenant(Tenant::header("x-gym-id"));
        let cache = built(builder.route(Route::get("/")));
        let inner = me(&runs).layer(AsyncRequireAuthorizationLayer::new(by_token));
        let app = app(cache.clone(), inner.layer(cache.layer()));
        for user in ["ann", "bob", "ann"] {
            let answer = app.send(as_user(user)).await;
            answer.assert_bypass("authorization");
            assert_eq!(answer.text(), user);
            app.cache.settled().await;
        }
        for _ in 0..2 {
            let refused = app.get_settled("4", "/").await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
            assert!(refused.cache_status().contains("detail=status"), "{refused:?}");
        }
        assert_eq!((runs.so_far(), app.cache.stats().stored), (3, 0));
    }

    async fn warning_inside_and_same_for_all_users_the_unauthorised_are_served(backend: Backend) {
        let runs = Runs::default();
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let inner = me(&runs).layer(AsyncRequireAuthorizationLayer::new(by_token));
        let app = app(cache.clone(), inner.layer(cache.layer()));
        // Nobody's 401 is kept for who may.
        assert_eq!(app.get("4", "/").await.status, StatusCode::UNAUTHORIZED);
        // Its lease is given up behind the answer, and refuses others' fills until then.
        app.cache.settled().await;
        app.send(as_user("ann")).await;
        app.cache.settled().await;
        let unauthorised = app.get("4", "/").await;
        unauthorised.assert_hit();
        assert_eq!((unauthorised.status, unauthorised.text()), (StatusCode::OK, "ann"));
    }

    /// Credentials are known by `Authorization` and `Cookie`. What is proved by another field has
    /// to be in the key, or before the cache.
    async fn warning_inside_a_key_in_another_field_is_no_credential(backend: Backend) {
        let handler = |headers: HeaderMap| async move {
            match headers.get("x-api-key") {
                Some(key) if key == "s3cret" => (StatusCode::OK, "for who has a key"),
                _ => (StatusCode::UNAUTHORIZED, ""),
            }
        };
        for (route, expected) in [
            (Route::get("/"), StatusCode::OK),
            (Route::get("/").header("x-api-key"), StatusCode::UNAUTHORIZED),
        ] {
            let builder = Cache::builder(backend.store.clone()).tenant(Tenant::header("x-gym-id"));
            let cache = built(builder.namespace(expected.as_str()).route(route));
            let router = Router::new().route("/", get(handler)).layer(cache.layer());
            let app = app(cache, router);
            app.send(asking(Method::GET, &[("x-api-key", "s3cret")])).await;
            let without = app.get_settled("4", "/").await;
            assert_eq!(without.status, expected);
        }
    }
}
