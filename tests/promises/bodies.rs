//! P2, P6, P14, P22: QUERY, and POST where a route says that it reads, with the content in the key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::routing::any;
use bytes::Bytes;
use futures_util::{StreamExt, future, stream};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use tower_response_cache::{Cache, CacheBuilder, Identity, On, Route, Scope, Store, Tenant};

use crate::support::app::{Answer, App, request};

const READS: [&str; 2] = ["QUERY", "POST"];

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/search"))
        .route(Route::query_method("/search"))
        .route(Route::post("/search"))
}

/// Answers with what it was asked, and the number of the run.
async fn echo(State(runs): State<Arc<AtomicUsize>>, request: Request<Body>) -> Vec<u8> {
    let run = runs.fetch_add(1, Ordering::SeqCst);
    let method = request.method().clone();
    let gym = request.headers()["x-gym-id"].to_str().unwrap().to_owned();
    let (mut bytes, mut end) = (Vec::new(), String::new());
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(frame)) => end = format!(" {:?}", frame.into_trailers().unwrap()),
            Err(error) => end = format!(" failed: {error}"),
        }
    }
    let mut answer = format!("{run} {gym} {method} ").into_bytes();
    answer.extend_from_slice(&bytes);
    answer.extend_from_slice(end.as_bytes());
    answer
}

fn echo_routes() -> Router {
    Router::new()
        .route("/search", any(echo))
        .route("/search/{id}", any(echo))
        .route("/read", any(echo))
        .with_state(Arc::default())
}

fn app(backend: &crate::support::Backend) -> App {
    App::of(cache(backend.store.clone()), echo_routes())
}

fn ask(method: &str, gym: &str, body: impl Into<Body>) -> Request<Body> {
    ask_at(method, gym, "/search", body)
}

fn ask_at(method: &str, gym: &str, target: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = request(Method::from_bytes(method.as_bytes()).unwrap(), gym, target);
    *request.body_mut() = body.into();
    request
}

/// A body of unknown length, frame by frame.
fn frames(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> Body {
    Body::new(StreamBody::new(stream::iter(frames)))
}

#[allow(clippy::unnecessary_wraps, reason = "a step among those that may fail")]
fn data(bytes: &[u8]) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::copy_from_slice(bytes)))
}

async fn send(app: &App, request: Request<Body>) -> Answer {
    app.cache.settled().await;
    app.send(request).await
}

on_each_store! {
    async fn p2_the_same_content_is_a_hit_and_another_is_not(backend: Backend) {
        let app = app(&backend);
        for method in READS {
            let first = send(&app, ask(method, "4", "a")).await;
            first.assert_miss();
            assert!(first.text().ends_with(&format!("4 {method} a")), "{first:?}");
            let second = send(&app, ask(method, "4", "a")).await;
            second.assert_hit();
            assert_eq!(second.body, first.body);
            for other in ["b", "", "aa"] {
                send(&app, ask(method, "4", other)).await.assert_miss();
                send(&app, ask(method, "4", other)).await.assert_hit();
            }
            send(&app, ask(method, "5", "a")).await.assert_miss();
            send(&app, ask_at(method, "4", "/search?x", "a")).await.assert_miss();
        }
        send(&app, ask("GET", "4", "")).await.assert_miss();
    }

    async fn p2_what_the_content_means_is_in_the_key(backend: Backend) {
        let app = app(&backend);
        for method in READS {
            let kinds = [
                vec![],
                vec![("content-type", "text/plain")],
                vec![("content-type", "application/json")],
                vec![("content-encoding", "gzip")],
                vec![("content-type", "text/plain"), ("content-encoding", "gzip")],
            ];
            for round in 0..2 {
                for kind in &kinds {
                    let mut asked = ask(method, "4", "a");
                    for (name, value) in kind {
                        asked.headers_mut().append(*name, value.parse().unwrap());
                    }
                    let answer = send(&app, asked).await;
                    assert_eq!(answer.is_hit(), round == 1, "{method} {kind:?} {answer:?}");
                }
            }
        }
    }

    async fn p5_credentials_count_as_for_a_get(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::post("/search").per_user(Identity::header("x-user")))
            .route(Route::query_method("/search"));
        let app = App::of(cache, echo_routes());
        let of = |method: &str, user: &'static str| {
            let mut asked = ask(method, "4", "a");
            asked.headers_mut().insert("x-user", user.parse().unwrap());
            asked.headers_mut().insert("cookie", "session=1".parse().unwrap());
            asked
        };
        send(&app, of("POST", "1")).await.assert_miss();
        send(&app, of("POST", "1")).await.assert_hit();
        send(&app, of("POST", "2")).await.assert_miss();
        send(&app, ask("POST", "4", "a")).await.assert_bypass("no-identity");
        let passed = send(&app, of("QUERY", "1")).await;
        passed.assert_bypass("cookie");
        assert!(passed.text().ends_with("QUERY a"), "{passed:?}");
    }

    async fn the_number_of_frames_does_not_count(backend: Backend) {
        let app = app(&backend);
        for method in READS {
            let whole: Vec<u8> = (0..4000_u32).map(|at| b'a' + (at % 26) as u8).collect();
            let first = send(&app, ask(method, "4", whole.clone())).await;
            first.assert_miss();
            for size in [1, 999, 1500] {
                let pieces = frames(whole.chunks(size).map(data).collect());
                let answer = send(&app, ask(method, "4", pieces)).await;
                answer.assert_hit();
                assert_eq!(answer.body, first.body);
            }
        }
    }

    async fn trailers_reach_the_handler_and_count(backend: Backend) {
        let app = app(&backend);
        let with = |value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert("x-sum", value.parse().unwrap());
            ask("QUERY", "4", frames(vec![data(b"a"), Ok(Frame::trailers(fields))]))
        };
        let first = send(&app, with("1")).await;
        assert!(first.text().ends_with(r#"QUERY a {"x-sum": "1"}"#), "{first:?}");
        send(&app, with("1")).await.assert_hit();
        send(&app, with("2")).await.assert_miss();
        send(&app, ask("QUERY", "4", "a")).await.assert_miss();
    }

    async fn p15_over_the_limit_it_streams_on_unchanged(backend: Backend) {
        let cache = cache(backend.store.clone())
            .max_request_body(1000)
            .route(Route::post("/search/{id}").max_request_body(3000));
        let app = App::of(cache, echo_routes());
        let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at * 7 % 251) as u8).collect();
        for method in READS {
            for _ in 0..2 {
                for body in [
                    Body::from(bytes.clone()),
                    frames(bytes.chunks(700).map(data).collect()),
                    frames(bytes.chunks(50_000).map(data).collect()),
                ] {
                    let answer = send(&app, ask(method, "4", body)).await;
                    answer.assert_bypass("request-too-large");
                    assert!(answer.body.ends_with(&bytes), "{method}");
                }
            }
            // The limit itself is within, and a route may have its own.
            for (method, target, most) in
                [("QUERY", "/search", 1000), ("POST", "/search", 1000), ("POST", "/search/1", 3000)]
            {
                for (size, over) in [(most, false), (most + 1, true)] {
                    let known = Body::from(bytes[..size].to_vec());
                    for body in [known, frames(vec![data(&bytes[..size])])] {
                        let answer = send(&app, ask_at(method, "4", target, body)).await;
                        let passed = answer.cache_status().contains("request-too-large");
                        assert_eq!(passed, over, "{method} {target} {size} {answer:?}");
                    }
                }
            }
        }
    }

    async fn an_error_of_the_body_is_the_handlers(backend: Backend) {
        let app = app(&backend);
        for method in READS {
            let broken = || frames(vec![data(b"ab"), data(b"c"), Err("cut off"), data(b"never")]);
            for _ in 0..2 {
                let answer = send(&app, ask(method, "4", broken())).await;
                answer.assert_bypass("request-broken");
                // What a body says after an error, it says with the cache too.
                assert!(answer.text().contains("failed: cut off"), "{answer:?}");
            }
            send(&app, ask(method, "4", "abc")).await.assert_miss();
        }
        app.cache.settled().await;
        assert_eq!(app.cache.stats().stored, 2);
    }

    async fn the_error_that_says_too_large_is_recognised(backend: Backend) {
        let router = Router::new().route("/search", any(async |body: String| body));
        let cache = patient_cache(backend.store.clone());
        let limited = |request: Request<Body>| request.map(|body| Body::new(Limited::new(body, 10)));
        let router = router
            .layer(cache.layer())
            .layer(tower::util::MapRequestLayer::new(limited));
        let app = App { cache, router, source: crate::support::app::Source::default() };
        let answer = send(&app, ask("POST", "4", frames(vec![data(b"12345678"), data(b"9012")]))).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{answer:?}");
        answer.assert_bypass("request-broken");
    }

    async fn p6_invalidation_reaches_them_as_it_reaches_a_get(backend: Backend) {
        let cache = cache(backend.store.clone())
            .route(Route::query_method("/search/{id}").tag("result:{id}"))
            .route(Route::post("/search/{id}").tag("result:{id}"))
            .invalidate(On::put("/by-path").path("/search"))
            .invalidate(On::put("/by-subtree").subtree("/search"))
            .invalidate(On::put("/by-pattern").pattern("/search/*"))
            .invalidate(On::put("/by-tag/{id}").tag("result:{id}"))
            .invalidate(On::put("/by-tenant").tenant());
        let writes = ["/by-path", "/by-subtree", "/by-pattern", "/by-tag/{id}", "/by-tenant"];
        let router = writes
            .into_iter()
            .fold(echo_routes(), |router, path| router.route(path, any(async || StatusCode::NO_CONTENT)));
        let app = App::of(cache, router);
        for method in READS {
            for (write, target) in [
                ("/by-path", "/search"),
                ("/by-path", "/search?page=2"),
                ("/by-subtree", "/search/1"),
                ("/by-pattern", "/search/1"),
                ("/by-tag/1", "/search/1"),
                ("/by-tenant", "/search"),
                // RFC 9111, section 4.4.
                ("/search", "/search"),
                ("/search/1", "/search/1"),
            ] {
                for round in 0..2 {
                    let answer = send(&app, ask_at(method, "4", target, "a")).await;
                    assert_eq!(answer.is_hit(), round == 1, "{method} {target} {answer:?}");
                }
                send(&app, ask_at(method, "5", target, "a")).await;
                app.put("4", write, "").await;
                send(&app, ask_at(method, "4", target, "a")).await.assert_miss();
                send(&app, ask_at(method, "5", target, "a")).await.assert_hit();
                app.put("4", "/by-tenant", "").await;
                app.put("5", "/by-tenant", "").await;
            }
            send(&app, ask(method, "4", "a")).await;
            app.cache.settled().await;
            app.cache.tenant("4").unwrap().invalidate(&Scope::path("/search")).await.unwrap();
            send(&app, ask(method, "4", "a")).await.assert_miss();
            app.cache.settled().await;
            let removed = app.cache.tenant("4").unwrap().delete_pattern("/search").await.unwrap();
            assert!(removed >= 1);
            send(&app, ask(method, "4", "a")).await.assert_miss();
        }
    }

    async fn a_cached_post_is_a_read_and_any_other_a_write(backend: Backend) {
        let cache = cache(backend.store.clone()).route(Route::get("/read"));
        let app = App::of(cache, echo_routes());
        app.warm("4", "/search").await;
        app.warm("4", "/read").await;
        send(&app, ask("POST", "4", "a")).await.assert_miss();
        // Not even one that goes past the cache.
        let mut ranged = ask("POST", "4", "b");
        ranged.headers_mut().insert("range", "bytes=0-0".parse().unwrap());
        send(&app, ranged).await.assert_bypass("range");
        send(&app, ask("GET", "4", "")).await.assert_hit();
        // QUERY is safe also where no route caches it.
        let query = send(&app, ask_at("QUERY", "4", "/read", "a")).await;
        assert!(!query.headers.contains_key("cache-status"));
        send(&app, ask_at("GET", "4", "/read", "")).await.assert_hit();
        let post = send(&app, ask_at("POST", "4", "/read", "a")).await;
        assert!(post.cache_status().contains("fwd=method"), "{post:?}");
        send(&app, ask_at("GET", "4", "/read", "")).await.assert_miss();
    }

    async fn conditions_and_ranges_are_answered_for_query_alone(backend: Backend) {
        let handler = async |body: String| ([(header::ETAG, "\"1\"")], body);
        let app = App::of(cache(backend.store.clone()), Router::new().route("/search", any(handler)));
        let rows = [
            ("if-none-match", "\"1\"", StatusCode::NOT_MODIFIED, "precondition"),
            ("if-match", "\"2\"", StatusCode::PRECONDITION_FAILED, "precondition"),
            ("range", "bytes=1-2", StatusCode::PARTIAL_CONTENT, "range"),
        ];
        for (name, value, status, passed) in rows {
            for method in READS {
                send(&app, ask(method, "4", "abcd")).await;
                let mut asked = ask(method, "4", "abcd");
                asked.headers_mut().insert(name, value.parse().unwrap());
                let answer = send(&app, asked).await;
                if method == "QUERY" {
                    answer.assert_hit();
                    assert_eq!(answer.status, status, "{name}");
                } else {
                    answer.assert_bypass(passed);
                    assert_eq!(answer.text(), "abcd");
                }
            }
        }
    }

    async fn p13_identical_ones_run_once_and_others_for_themselves(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let handler = move |body: String| {
            counted.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                body
            }
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/search", any(handler)));
        let asked = (0..30).map(|at| {
            let app = app.clone();
            async move { (at % 3, app.send(ask("QUERY", "4", format!("{}", at % 3))).await) }
        });
        for (body, answer) in future::join_all(asked).await {
            assert_eq!(answer.text(), body.to_string());
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
    }

    async fn a_refresh_in_the_background_has_the_content_too(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(
                Route::query_method("/search")
                    .ttl(Duration::from_millis(100))
                    .stale_while_revalidate(Duration::from_secs(60)),
            );
        let app = App::of(cache, echo_routes());
        let first = send(&app, ask("QUERY", "4", "a")).await;
        assert_eq!(first.text(), "0 4 QUERY a");
        app.cache.settled().await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(send(&app, ask("QUERY", "4", "a")).await.text(), "0 4 QUERY a");
        assert_eq!(send(&app, ask("QUERY", "4", "a")).await.text(), "1 4 QUERY a");
    }

    async fn a_stale_answer_is_asked_about_with_the_same_content(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(
                Route::query_method("/search")
                    .ttl(Duration::from_millis(100))
                    .revalidate(Duration::from_secs(60)),
            );
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let handler = move |headers: HeaderMap, body: String| {
            let is_asked = headers.get("if-none-match").is_some_and(|tag| tag == "\"1\"");
            counted.fetch_add(usize::from(is_asked && body == "a"), Ordering::SeqCst);
            let status = if is_asked { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
            async move { (status, [(header::ETAG, "\"1\"")], if is_asked { String::new() } else { body }) }
        };
        let app = App::of(cache, Router::new().route("/search", any(handler)));
        for round in 0..2 {
            let answer = send(&app, ask("QUERY", "4", "a")).await;
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "a"), "{round}");
            app.cache.settled().await;
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    async fn a_cache_by_rfc9111_stores_query(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::query_method("/search"))
            .rfc9111();
        let says = async |body: String| ([(header::CACHE_CONTROL, "max-age=60")], body);
        let app = App::of(cache, Router::new().route("/search", any(says)));
        send(&app, ask("QUERY", "4", "a")).await.assert_miss();
        send(&app, ask("QUERY", "4", "a")).await.assert_hit();
        send(&app, ask("QUERY", "4", "b")).await.assert_miss();
    }

    async fn p2_a_response_may_vary_beside_the_content(backend: Backend) {
        let says = async |headers: HeaderMap, body: String| {
            let language = headers.get("accept-language").map_or("", |value| value.to_str().unwrap());
            ([(header::VARY, "accept-language")], format!("{language} {body}"))
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/search", any(says)));
        for round in 0..3 {
            for (language, body) in [("de", "a"), ("de", "b"), ("en", "a"), ("en", "b")] {
                let mut asked = ask("POST", "4", body);
                asked.headers_mut().insert("accept-language", language.parse().unwrap());
                let answer = send(&app, asked).await;
                assert_eq!(answer.text(), format!("{language} {body}"));
                assert!(round < 2 || answer.is_hit(), "{answer:?}");
            }
        }
    }

    async fn p14_who_sends_slowly_or_leaves_holds_nobody_up(backend: Backend) {
        let cache = cache(backend.store.clone()).request_body_timeout(Duration::from_secs(60));
        let app = App::of(cache, echo_routes());
        let never = || {
            let frames = stream::iter(vec![data(b"a")]).chain(stream::pending());
            ask("QUERY", "4", Body::new(StreamBody::new(frames)))
        };
        let slow = tokio::spawn({
            let (app, request) = (app.clone(), never());
            async move { app.send(request).await }
        });
        let gone = tokio::time::timeout(Duration::from_millis(100), app.send(never())).await;
        assert!(gone.is_err());
        send(&app, ask("QUERY", "4", "a")).await.assert_miss();
        send(&app, ask("QUERY", "4", "a")).await.assert_hit();
        assert!(!slow.is_finished());
        slow.abort();
        assert!(format!("{:?}", app.cache).contains("flights: 0"), "{:?}", app.cache);
        assert_eq!((app.cache.stats().stored, app.cache.stats().runs), (1, 1));
    }

    async fn content_that_comes_too_late_is_passed_on(backend: Backend) {
        let cache = cache(backend.store.clone()).request_body_timeout(Duration::from_millis(50));
        let app = App::of(cache, echo_routes());
        let late = stream::once(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            data(b"late")
        });
        let body = Body::new(StreamBody::new(stream::iter([data(b"soon ")]).chain(late)));
        let answer = send(&app, ask("POST", "4", body)).await;
        answer.assert_bypass("request-too-slow");
        assert!(answer.text().ends_with("POST soon late"), "{answer:?}");
    }

    async fn p1_without_a_tenant_nothing_is_read_or_invalidated(backend: Backend) {
        let app = app(&backend);
        app.warm("4", "/search").await;
        let router = Router::new().route("/search", any(async |body: String| body));
        let app = App { router: router.layer(app.cache.layer()), ..app };
        let mut asked = ask("POST", "4", frames(vec![data(b"a"), data(b"b")]));
        asked.headers_mut().remove("x-gym-id");
        let answer = send(&app, asked).await;
        answer.assert_bypass("no-tenant");
        assert_eq!(answer.text(), "ab");
        app.get("4", "/search").await.assert_hit();
    }

    async fn a_layer_inside_another_of_the_same_cache_lets_it_pass(backend: Backend) {
        let cache = patient_cache(backend.store.clone());
        let router = echo_routes().layer(cache.layer()).layer(cache.layer());
        let app = App { cache, router, source: crate::support::app::Source::default() };
        for method in READS {
            send(&app, ask(method, "4", "a")).await.assert_miss();
            let answer = send(&app, ask(method, "4", "a")).await;
            answer.assert_hit();
            assert!(answer.text().ends_with(" a"), "{answer:?}");
        }
        assert_eq!(app.cache.stats().stored, 2);
    }

    async fn a_path_that_is_not_cached_is_written_by_a_post(backend: Backend) {
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/search/{id}"))
            .route(Route::post("/search/{id}"))
            .route(Route::post("/search/new").uncached());
        let app = App::of(cache, echo_routes().route("/search/new", any(echo).with_state(Arc::default())));
        app.warm("4", "/search/1").await;
        send(&app, ask_at("POST", "4", "/search/1", "a")).await.assert_miss();
        send(&app, ask_at("POST", "4", "/search/1", "a")).await.assert_hit();
        let write = send(&app, ask_at("POST", "4", "/search/new", "a")).await;
        assert!(write.cache_status().contains("fwd=method"), "{write:?}");
    }
}

fn patient_cache(store: Arc<dyn Store>) -> Cache {
    crate::support::app::patient(cache(store)).build().unwrap()
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_without_a_store_the_handler_has_the_content_too() {
    let mut backend = crate::support::Backend::redis().await;
    let cache =
        cache(backend.store.clone()).lookup_timeout(Duration::from_millis(100)).build().unwrap();
    let router = echo_routes().layer(cache.layer());
    let app = App { cache, router, source: crate::support::app::Source::default() };
    backend.server.as_mut().unwrap().pause();
    let asked = READS.into_iter().flat_map(|method| ["a", "b"].map(|body| (method, body)));
    let answers = asked.map(|(method, body)| {
        let app = app.clone();
        async move { (method, body, app.send(ask(method, "4", body)).await) }
    });
    for (method, body, answer) in future::join_all(answers).await {
        answer.assert_bypass("store");
        assert!(answer.text().ends_with(&format!(" 4 {method} {body}")), "{answer:?}");
    }
    backend.server.as_mut().unwrap().resume();
}
