//! P22: what is stored answers HEAD, conditions and single ranges, as RFC 9110 says.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

use crate::support::app::{App, request};

/// What is asked, and the status and body that come back.
type Row = (&'static str, &'static [(&'static str, &'static str)], u16, &'static str);

const BODY: &str = "0123456789abcdef";

fn cache(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store).tenant(Tenant::header("x-gym-id")).same_for_all_users()
}

/// A handler with both validators, which itself answers ranges and conditions of sorts.
async fn handler(headers: HeaderMap) -> axum::response::Response {
    if headers.contains_key(header::RANGE) {
        return (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, "bytes 0-1/16")], "01")
            .into_response();
    }
    if headers.contains_key(header::IF_MATCH) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    let fields = [
        (header::ETAG, "\"v1\""),
        (header::LAST_MODIFIED, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (header::CACHE_CONTROL, "max-age=100"),
        (header::CONTENT_TYPE, "text/plain"),
    ];
    (fields, BODY).into_response()
}

fn asking(method: Method, fields: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = request(method, "4", "/");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

on_each_store! {
    async fn conditions_and_ranges_are_answered_from_what_is_stored(backend: Backend) {
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")),
            Router::new().route("/", get(handler)),
        );
        app.warm("4", "/").await;
        let rows: [Row; 15] = [
            ("9110 13.1.2 the same tag", &[("if-none-match", "\"v1\"")], 304, ""),
            ("9110 13.1.2 weakly the same", &[("if-none-match", "W/\"v1\"")], 304, ""),
            ("9110 13.1.2 one of a list", &[("if-none-match", "\"x\", \"v1\"")], 304, ""),
            ("9110 13.1.2 any", &[("if-none-match", "*")], 304, ""),
            ("9110 13.1.2 another", &[("if-none-match", "\"v2\"")], 200, BODY),
            ("9110 13.1.3", &[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")], 304, ""),
            ("9110 13.1.3 older", &[("if-modified-since", "Sat, 05 Nov 1994 08:49:37 GMT")], 200, BODY),
            (
                "9110 13.2.2 the tag goes first",
                &[("if-none-match", "\"v2\""), ("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")],
                200,
                BODY,
            ),
            ("9110 13.1.1", &[("if-match", "\"v1\"")], 200, BODY),
            ("9110 13.1.1 another", &[("if-match", "\"v2\"")], 412, ""),
            ("9110 14.1.2 first and last", &[("range", "bytes=2-5")], 206, "2345"),
            ("9110 14.1.2 suffix", &[("range", "bytes=-3")], 206, "def"),
            ("9110 14.2 more than one", &[("range", "bytes=0-1,3-4")], 200, BODY),
            ("9110 15.5.17", &[("range", "bytes=16-")], 416, ""),
            ("9110 13.1.5 outdated", &[("range", "bytes=2-5"), ("if-range", "\"v0\"")], 200, BODY),
        ];
        for (row, fields, status, body) in rows {
            let answer = app.send(asking(Method::GET, fields)).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (status, body), "{row}: {answer:?}");
            assert!(answer.is_hit(), "{row}: {answer:?}");
            match status {
                304 => {
                    assert_eq!(answer.headers[header::ETAG], "\"v1\"", "{row}");
                    assert_eq!(answer.headers[header::CACHE_CONTROL], "max-age=100", "{row}");
                    // RFC 9110, section 8.6: that of the 200, or none.
                    let length = answer.headers.get(header::CONTENT_LENGTH);
                    assert!(length.is_none_or(|length| length == "16"), "{row}: {answer:?}");
                }
                206 => {
                    let length = body.len().to_string();
                    assert_eq!(answer.headers[header::CONTENT_LENGTH], *length, "{row}");
                    assert!(answer.headers.contains_key(header::CONTENT_RANGE), "{row}");
                }
                416 => assert_eq!(answer.headers[header::CONTENT_RANGE], "bytes */16", "{row}"),
                _ => {}
            }
        }
        let head = app.send(asking(Method::HEAD, &[("if-none-match", "\"v1\"")])).await;
        assert_eq!(head.status, StatusCode::NOT_MODIFIED);
        // RFC 9110, section 14.2: a range means nothing to HEAD.
        let head = app.send(asking(Method::HEAD, &[("range", "bytes=2-5")])).await;
        assert_eq!((head.status, &head.headers[header::CONTENT_LENGTH]), (StatusCode::OK, &"16".parse().unwrap()));
        app.get("4", "/").await.assert_hit();
    }

    async fn without_an_entry_the_handler_answers_and_nothing_of_it_is_stored(backend: Backend) {
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")),
            Router::new().route("/", get(handler)),
        );
        let part = app.send(asking(Method::GET, &[("range", "bytes=0-1")])).await;
        assert_eq!((part.status, part.text()), (StatusCode::PARTIAL_CONTENT, "01"));
        assert!(part.cache_status().contains("fwd=miss; detail=range"), "{part:?}");
        let failed = app.send(asking(Method::GET, &[("if-match", "\"v2\"")])).await;
        assert_eq!(failed.status, StatusCode::PRECONDITION_FAILED);
        assert!(failed.cache_status().contains("detail=precondition"), "{failed:?}");
        let first = app.get_settled("4", "/").await;
        first.assert_miss();
        assert_eq!(first.text(), BODY);
    }

    async fn an_etag_is_made_of_the_body_where_the_route_asks_for_it(backend: Backend) {
        let builder = cache(backend.store.clone())
            .route(Route::get("/with").etag())
            .route(Route::get("/without"))
            .route(Route::get("/own").etag());
        let router = Router::new()
            .route("/with", get(|| async { "body" }))
            .route("/without", get(|| async { "body" }))
            .route("/own", get(|| async { ([(header::ETAG, "\"own\"")], "body") }));
        let app = App::of(builder, router);
        for target in ["/with", "/without", "/own"] {
            app.warm("4", target).await;
        }
        assert!(!app.get("4", "/without").await.headers.contains_key(header::ETAG));
        assert_eq!(app.get("4", "/own").await.headers[header::ETAG], "\"own\"");
        let tag = app.get("4", "/with").await.headers[header::ETAG].clone();
        let mut conditional = request(Method::GET, "4", "/with");
        conditional.headers_mut().insert(header::IF_NONE_MATCH, tag);
        assert_eq!(app.send(conditional).await.status, StatusCode::NOT_MODIFIED);
    }
}
