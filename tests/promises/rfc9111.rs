//! The attitude that leaves the word to the response and the request (RFC 9111).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use parking_lot::Mutex;
use tower_response_cache::{Cache, CacheBuilder, Route, Store};

use crate::support::app::{Answer, App};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .rfc9111()
        .route(Route::get("/").tenantless())
        .route(Route::get("/{*path}").tenantless())
}

/// An origin that answers with these fields, and counts its answers in the body.
#[derive(Clone, Default)]
struct Script {
    fields: Arc<Mutex<Vec<(&'static str, String)>>>,
    status: Arc<Mutex<u16>>,
    asked: Arc<Mutex<Vec<(Method, HeaderMap)>>>,
}

impl Script {
    fn new(fields: &[(&'static str, &str)]) -> Self {
        let script = Self::default();
        *script.status.lock() = 200;
        script.says(fields);
        script
    }

    fn says(&self, fields: &[(&'static str, &str)]) {
        let value = |value: &str| match value.strip_prefix("in ") {
            Some(seconds) => date(seconds.parse().unwrap()),
            None => value.to_owned(),
        };
        *self.fields.lock() = fields.iter().map(|(name, said)| (*name, value(said))).collect();
    }

    fn router(&self) -> Router {
        let script = self.clone();
        Router::new().fallback(move |method: Method, headers: HeaderMap| async move {
            script.answer(method, headers)
        })
    }

    fn answer(&self, method: Method, headers: HeaderMap) -> Response<Body> {
        let mut asked = self.asked.lock();
        asked.push((method, headers));
        let status = StatusCode::from_u16(*self.status.lock()).unwrap();
        let mut response = (status, asked.len().to_string()).into_response();
        for (name, value) in self.fields.lock().iter() {
            let name = header::HeaderName::from_static(name);
            if name == header::CONTENT_TYPE {
                response.headers_mut().remove(&name);
            }
            response.headers_mut().append(name, value.parse().unwrap());
        }
        response
    }

    fn runs(&self) -> usize {
        self.asked.lock().len()
    }
}

fn asking(method: &str, fields: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri("/a").body(Body::empty()).unwrap();
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn ask(app: &App, fields: &[(&'static str, &str)]) -> Answer {
    app.cache.settled().await;
    app.send(asking("GET", fields)).await
}

/// Seconds from now, as a date: `in -100` in a script.
#[allow(clippy::disallowed_methods, reason = "an origin has a clock of its own")]
fn date(seconds: i64) -> String {
    let now = std::time::SystemTime::now();
    let span = Duration::from_secs(seconds.unsigned_abs());
    httpdate::fmt_http_date(if seconds < 0 { now - span } else { now + span })
}

type Fields<'a> = &'a [(&'static str, &'a str)];

on_each_store! {
    async fn the_response_says_whether_it_is_stored(backend: Backend) {
        let rows: Vec<(&str, u16, Fields<'_>, Fields<'_>, bool)> = vec![
            ("3 nothing said of freshness", 200, &[], &[], false),
            ("4.2.1 max-age", 200, &[], &[("cache-control", "max-age=100")], true),
            ("4.2.1 s-maxage goes first", 200, &[], &[("cache-control", "max-age=0, s-maxage=100")], true),
            ("4.2.1 s-maxage goes first", 200, &[], &[("cache-control", "max-age=100, s-maxage=0")], false),
            ("5.3 Expires", 200, &[], &[("expires", "in 100")], true),
            ("5.3 Expires in the past", 200, &[], &[("expires", "in -100")], false),
            ("5.3 Expires is no date", 200, &[], &[("expires", "0")], false),
            ("5.3 max-age goes first", 200, &[], &[("expires", "in -100"), ("cache-control", "max-age=100")], true),
            ("4.2.2 heuristic", 200, &[], &[("last-modified", "in -1000000")], true),
            ("4.2.2 not for every status", 500, &[], &[("last-modified", "in -1000000")], false),
            ("4.2.3 older than fresh", 200, &[], &[("cache-control", "max-age=100"), ("age", "100")], false),
            ("4.2.3 old by its date", 200, &[], &[("cache-control", "max-age=50"), ("date", "in -100")], false),
            ("3 any status that says so", 599, &[], &[("cache-control", "max-age=100")], true),
            ("3 a status that says nothing", 599, &[], &[], false),
            ("5.2.2.5 no-store", 200, &[], &[("cache-control", "max-age=100, no-store")], false),
            ("5.2.2.7 private", 200, &[], &[("cache-control", "max-age=100, private")], false),
            ("5.2.2.7 private fields", 200, &[], &[("cache-control", "max-age=100, private=\"x-own\""), ("x-own", "1")], true),
            ("5.2.2.3 must-understand", 200, &[], &[("cache-control", "max-age=100, no-store, must-understand")], true),
            ("5.2.2.3 must-understand", 599, &[], &[("cache-control", "max-age=100, must-understand")], false),
            ("5.2.2.4 no-cache, nothing to ask with", 200, &[], &[("cache-control", "max-age=100, no-cache")], false),
            ("5.2.1.5 no-store of the request", 200, &[("cache-control", "no-store")], &[("cache-control", "max-age=100")], false),
            ("3.5 Authorization", 200, &[("authorization", "x")], &[("cache-control", "max-age=100")], false),
            ("3.5 public", 200, &[("authorization", "x")], &[("cache-control", "max-age=100, public")], true),
            ("3.5 s-maxage", 200, &[("authorization", "x")], &[("cache-control", "s-maxage=100")], true),
            ("3.5 must-revalidate", 200, &[("authorization", "x")], &[("cache-control", "max-age=100, must-revalidate")], true),
            ("7.3 Set-Cookie", 200, &[], &[("cache-control", "max-age=100"), ("set-cookie", "a=b")], false),
            ("4.1 Vary: *", 200, &[], &[("cache-control", "max-age=100"), ("vary", "*")], false),
        ];
        for (index, (row, status, request, response, stored)) in rows.into_iter().enumerate() {
            let script = Script::new(response);
            *script.status.lock() = status;
            let app = App::of(cache(backend.store.clone()).namespace(format!("row{index}")), script.router());
            let first = ask(&app, request).await;
            assert_eq!((first.status.as_u16(), first.text()), (status, "1"), "{row}");
            let second = ask(&app, &[]).await;
            assert_eq!(second.is_hit(), stored, "{row}: {second:?}");
            assert_eq!(second.text(), if stored { "1" } else { "2" }, "{row}");
            if stored {
                assert!(!second.headers.contains_key("x-own"), "{row}: {second:?}");
                assert!(second.headers.contains_key(header::DATE), "{row}: {second:?}");
            }
        }
    }

    async fn a_client_says_what_it_wants_of_what_is_stored(backend: Backend) {
        // The age is 10 of 100 seconds.
        let rows: Vec<(&str, Fields<'_>, bool)> = vec![
            ("nothing", &[], true),
            ("5.2.1.4 no-cache", &[("cache-control", "no-cache")], false),
            ("5.4 Pragma", &[("pragma", "no-cache")], false),
            ("5.4 Pragma beside Cache-Control", &[("pragma", "no-cache"), ("cache-control", "max-age=50")], true),
            ("5.2.1.1 max-age", &[("cache-control", "max-age=50")], true),
            ("5.2.1.1 max-age", &[("cache-control", "max-age=5")], false),
            ("5.2.1.3 min-fresh", &[("cache-control", "min-fresh=50")], true),
            ("5.2.1.3 min-fresh", &[("cache-control", "min-fresh=95")], false),
            ("5.2.1.5 no-store", &[("cache-control", "no-store")], true),
            ("5.2.1.7 only-if-cached", &[("cache-control", "only-if-cached")], true),
            ("5.2.3 unknown", &[("cache-control", "x-unknown=\"no-cache\"")], true),
        ];
        for (index, (row, fields, hit)) in rows.into_iter().enumerate() {
            let script = Script::new(&[("cache-control", "max-age=100"), ("age", "10")]);
            let app = App::of(cache(backend.store.clone()).namespace(format!("row{index}")), script.router());
            ask(&app, &[]).await;
            let answer = ask(&app, fields).await;
            assert_eq!(answer.is_hit(), hit, "{row}: {answer:?}");
            assert_eq!(answer.text(), if hit { "1" } else { "2" }, "{row}");
            if !hit {
                assert!(answer.cache_status().contains("fwd=request"), "{row}: {answer:?}");
                // What it got is stored for the others.
                assert_eq!(ask(&app, &[]).await.text(), "2", "{row}");
            }
        }
    }

    async fn who_wants_only_what_is_stored_gets_no_more(backend: Backend) {
        let script = Script::new(&[("cache-control", "max-age=100")]);
        let app = App::of(cache(backend.store.clone()), script.router());
        let answer = ask(&app, &[("cache-control", "only-if-cached")]).await;
        assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(answer.cache_status(), "response-cache; detail=only-if-cached");
        assert_eq!(script.runs(), 0);
    }

    async fn stale_is_served_to_whom_it_may_be(backend: Backend) {
        let rows: Vec<(&str, Fields<'_>, &str, bool)> = vec![
            ("4.2.4 not by itself", &[], "max-age=10", false),
            ("5.2.1.2 max-stale", &[("cache-control", "max-stale=60")], "max-age=10", true),
            ("5.2.1.2 max-stale", &[("cache-control", "max-stale")], "max-age=10", true),
            ("5.2.1.2 max-stale", &[("cache-control", "max-stale=20")], "max-age=10", false),
            ("5.2.2.2 must-revalidate", &[("cache-control", "max-stale")], "max-age=10, must-revalidate", false),
            ("5.2.2.8 proxy-revalidate", &[("cache-control", "max-stale")], "max-age=10, proxy-revalidate", false),
            ("5.2.2.10 s-maxage", &[("cache-control", "max-stale")], "s-maxage=10", false),
            ("RFC 5861 3", &[], "max-age=10, stale-while-revalidate=60", true),
            ("RFC 5861 3", &[], "max-age=10, stale-while-revalidate=20", false),
        ];
        for (index, (row, fields, control, stale)) in rows.into_iter().enumerate() {
            // Forty seconds old, with something to ask by.
            let script = Script::new(&[("cache-control", control), ("age", "40"), ("etag", "\"1\"")]);
            let app = App::of(cache(backend.store.clone()).namespace(format!("row{index}")), script.router());
            ask(&app, &[]).await;
            let answer = ask(&app, fields).await;
            assert_eq!(answer.text(), if stale { "1" } else { "2" }, "{row}: {answer:?}");
            assert_eq!(answer.is_hit(), stale, "{row}: {answer:?}");
        }
    }

    async fn a_failed_origin_is_answered_for_where_that_is_allowed(backend: Backend) {
        let rows = [
            ("RFC 5861 4", "max-age=10, stale-if-error=60", true),
            ("RFC 5861 4 too long", "max-age=10, stale-if-error=20", false),
            ("4.2.4 not by itself", "max-age=10", false),
            ("5.2.2.2 must-revalidate", "max-age=10, stale-if-error=60, must-revalidate", false),
        ];
        for (index, (row, control, stale)) in rows.into_iter().enumerate() {
            let script = Script::new(&[("cache-control", control), ("age", "40"), ("etag", "\"1\"")]);
            let app = App::of(cache(backend.store.clone()).namespace(format!("row{index}")), script.router());
            ask(&app, &[]).await;
            *script.status.lock() = 503;
            script.says(&[]);
            let answer = ask(&app, &[]).await;
            let expected = if stale { (StatusCode::OK, "1") } else { (StatusCode::SERVICE_UNAVAILABLE, "2") };
            assert_eq!((answer.status, answer.text()), expected, "{row}: {answer:?}");
        }
    }

    async fn no_cache_asks_each_time(backend: Backend) {
        let script = Script::new(&[("cache-control", "max-age=100, no-cache"), ("etag", "\"1\"")]);
        let app = App::of(cache(backend.store.clone()), script.router());
        ask(&app, &[]).await;
        *script.status.lock() = 304;
        for run in 2..4 {
            let answer = ask(&app, &[]).await;
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "1"), "{answer:?}");
            assert_eq!(script.asked.lock()[run - 1].1[header::IF_NONE_MATCH], "\"1\"");
            assert!(answer.cache_status().contains("fwd-status=304"), "{answer:?}");
        }
    }

    async fn an_older_response_is_used_where_a_newer_one_may_not_be_stored(backend: Backend) {
        let script = Script::new(&[("cache-control", "max-age=100")]);
        let app = App::of(cache(backend.store.clone()), script.router());
        ask(&app, &[]).await;
        script.says(&[("cache-control", "no-store")]);
        assert_eq!(ask(&app, &[("cache-control", "no-cache")]).await.text(), "2");
        assert_eq!(ask(&app, &[]).await.text(), "1");
    }

    async fn unsafe_methods_end_what_is_stored_if_they_do_not_fail(backend: Backend) {
        for (index, (method, status, kept)) in [
            ("POST", 200, false),
            ("PUT", 303, false),
            ("UNKNOWN", 200, false),
            ("POST", 400, true),
            ("POST", 500, true),
            ("POST", 504, false),
            ("OPTIONS", 200, true),
        ].into_iter().enumerate() {
            let script = Script::new(&[("cache-control", "max-age=100")]);
            let builder = cache(backend.store.clone()).namespace(format!("row{index}"));
            let app = App::of(builder.hold_after_lost(Duration::ZERO), script.router());
            ask(&app, &[]).await;
            app.cache.settled().await;
            *script.status.lock() = status;
            app.send(asking(method, &[])).await;
            *script.status.lock() = 200;
            let answer = ask(&app, &[]).await;
            assert_eq!(answer.is_hit(), kept, "{method} {status}: {answer:?}");
        }
    }

    async fn a_targeted_field_has_the_word(backend: Backend) {
        let rows: Vec<(&str, Fields<'_>, bool)> = vec![
            ("9213 2.2 instead of Cache-Control", &[("cdn-cache-control", "max-age=100"), ("cache-control", "no-store")], true),
            ("9213 2.2 forbids", &[("cdn-cache-control", "no-store"), ("cache-control", "max-age=100")], false),
            ("9213 2.1 malformed", &[("cdn-cache-control", "no-store,,"), ("cache-control", "max-age=100")], true),
            ("9213 2.2 another cache's", &[("other-cache-control", "no-store"), ("cache-control", "max-age=100")], true),
        ];
        for (index, (row, fields, stored)) in rows.into_iter().enumerate() {
            let script = Script::new(fields);
            let builder = cache(backend.store.clone()).namespace(format!("row{index}"));
            let app = App::of(builder.targeted_fields(["CDN-Cache-Control"]), script.router());
            ask(&app, &[]).await;
            assert_eq!(ask(&app, &[]).await.is_hit(), stored, "{row}");
        }
    }

    async fn conditions_that_are_for_the_origin_go_there(backend: Backend) {
        let script = Script::new(&[("cache-control", "max-age=100"), ("etag", "\"1\"")]);
        let app = App::of(cache(backend.store.clone()), script.router());
        ask(&app, &[]).await;
        let answer = ask(&app, &[("if-match", "\"1\"")]).await;
        answer.assert_bypass("precondition");
        assert_eq!(script.asked.lock()[1].1[header::IF_MATCH], "\"1\"");
    }

    async fn cookies_are_refused_unless_they_do_not_matter(backend: Backend) {
        let script = Script::new(&[("cache-control", "max-age=100")]);
        let app = App::of(cache(backend.store.clone()), script.router());
        ask(&app, &[("cookie", "a=b")]).await.assert_bypass("cookie");
        let builder = Cache::builder(backend.store.clone())
            .namespace("ignoring")
            .rfc9111()
            .route(Route::get("/{*path}").tenantless().ignore_cookies());
        let app = App::of(builder, script.router());
        ask(&app, &[("cookie", "a=b")]).await;
        ask(&app, &[("cookie", "a=c")]).await.assert_hit();
    }
}
