//! Compression outside of the cache: one entry, in no encoding, that is compressed for each client.

use axum::Router;
use axum::http::{Method, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_http::compression::CompressionLayer;
use tower_response_cache::Route;

use super::{App, Runs, app, asking, built, cache, decoded, page, page_text};
use crate::support::Backend;

/// What a client accepts, and what it gets.
const CLIENTS: [(Option<&str>, &str); 7] = [
    (None, ""),
    (Some("gzip"), "gzip"),
    (Some("br"), "br"),
    (Some("identity"), ""),
    (Some("gzip;q=0, br;q=0"), ""),
    (Some("br;q=0.2, gzip;q=0.8"), "gzip"),
    (Some("zstd"), ""),
];

fn of(backend: &Backend, route: Route, router: Router) -> App {
    let cache = built(cache(backend.store.clone()).route(route));
    let router = router.layer(cache.layer()).layer(CompressionLayer::new());
    app(cache, router)
}

fn fields<'a>(
    accept: Option<&'a str>,
    more: &[(&'static str, &'a str)],
) -> Vec<(&'static str, &'a str)> {
    accept
        .map(|accept| ("accept-encoding", accept))
        .into_iter()
        .chain(more.iter().copied())
        .collect()
}

on_each_store! {
    async fn each_client_gets_what_it_can_decode_of_one_entry(backend: Backend) {
        let runs = Runs::default();
        let app = of(&backend, Route::get("/"), page(&runs, Some("W/\"v1\"")));
        for (accept, encoding) in CLIENTS.into_iter().chain(CLIENTS) {
            let answer = app.send(asking(Method::GET, &fields(accept, &[]))).await;
            assert_eq!(answer.field("content-encoding"), encoding, "{accept:?}");
            assert_eq!(decoded(&answer).await, page_text(), "{accept:?}");
            assert_eq!(answer.vary(), ["accept-encoding"], "{accept:?}");
            assert_eq!(answer.field("etag"), "W/\"v1\"", "{accept:?}");
            // Where the length is told, it is that of what is sent.
            let length = if encoding.is_empty() { page_text().len().to_string() } else { String::new() };
            assert_eq!(answer.field("content-length"), length, "{accept:?}");

            app.cache.settled().await;
            let head = app.send(asking(Method::HEAD, &fields(accept, &[]))).await;
            for name in ["content-encoding", "content-length", "etag", "vary"] {
                assert_eq!(head.field(name), answer.field(name), "{accept:?} {name}");
            }
            assert!(head.body.is_empty());
        }
        assert_eq!((runs.so_far(), app.cache.stats().stored), (1, 1));
    }

    async fn a_condition_is_answered_with_304_and_nothing_of_an_encoding(backend: Backend) {
        let app = of(&backend, Route::get("/"), page(&Runs::default(), Some("W/\"v1\"")));
        app.warm("4", "/").await;
        for (accept, _) in CLIENTS {
            let conditional = fields(accept, &[("if-none-match", "W/\"v1\"")]);
            let answer = app.send(asking(Method::GET, &conditional)).await;
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
            assert!(answer.body.is_empty(), "{accept:?}: {answer:?}");
            assert_eq!(answer.field("content-encoding"), "", "{accept:?}");
            assert_eq!(answer.field("etag"), "W/\"v1\"");
        }
    }

    async fn a_304_has_no_content_in_http_2(backend: Backend) {
        let app = of(&backend, Route::get("/"), page(&Runs::default(), Some("W/\"v1\"")));
        let (here, there) = tokio::io::duplex(1 << 16);
        let service = hyper_util::service::TowerToHyperService::new(app.router.clone());
        let server = tokio::spawn(async move {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(there), service)
                .await
        });
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(here))
                .await
                .unwrap();
        tokio::spawn(connection);
        let mut first = asking(Method::GET, &[("accept-encoding", "gzip")]);
        *first.uri_mut() = "http://gym.example/".parse().unwrap();
        let whole = client.send_request(first).await.unwrap();
        http_body_util::BodyExt::collect(whole.into_body()).await.unwrap();
        app.cache.settled().await;
        let mut conditional =
            asking(Method::GET, &[("accept-encoding", "gzip"), ("if-none-match", "W/\"v1\"")]);
        *conditional.uri_mut() = "http://gym.example/".parse().unwrap();
        let response = client.send_request(conditional).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap();
        assert_eq!(body.to_bytes(), "");
        server.abort();
    }

    async fn a_range_is_a_part_of_the_page_as_it_is_without_an_encoding(backend: Backend) {
        let app = of(&backend, Route::get("/"), page(&Runs::default(), Some("W/\"v1\"")));
        app.warm("4", "/").await;
        for (accept, _) in CLIENTS {
            let part = app.send(asking(Method::GET, &fields(accept, &[("range", "bytes=5-44")]))).await;
            assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
            assert_eq!(part.field("content-encoding"), "", "{accept:?}");
            assert_eq!(part.text(), &page_text()[5..45]);
            assert_eq!(part.field("content-range"), format!("bytes 5-44/{}", page_text().len()));
            assert_eq!(part.field("content-length"), "40");
        }
    }

    /// RFC 9110, section 8.8.3.3: what is encoded otherwise has another strong tag. The compression
    /// layer leaves the tag alone, so who has begun with one encoding may go on with another.
    async fn warning_a_strong_tag_made_inside_is_shared_by_all_encodings(backend: Backend) {
        let strong = of(&backend, Route::get("/"), page(&Runs::default(), Some("\"v1\"")));
        strong.warm("4", "/").await;
        let begun = strong.send(asking(Method::GET, &[("accept-encoding", "gzip")])).await;
        assert_eq!((begun.field("content-encoding"), begun.field("etag")), ("gzip", "\"v1\""));
        let resume =
            [("accept-encoding", "gzip"), ("range", "bytes=100-"), ("if-range", begun.field("etag"))];
        let rest = strong.send(asking(Method::GET, &resume)).await;
        assert_eq!((rest.status, rest.field("content-encoding")), (StatusCode::PARTIAL_CONTENT, ""));
    }

    /// With a weak one `If-Range` never holds (RFC 9110, section 13.1.5), and the whole is sent.
    async fn a_weak_tag_keeps_parts_of_two_encodings_from_being_put_together(backend: Backend) {
        let weak = of(&backend, Route::get("/"), page(&Runs::default(), Some("W/\"v1\"")));
        weak.warm("4", "/").await;
        let resume =
            [("accept-encoding", "gzip"), ("range", "bytes=100-"), ("if-range", "W/\"v1\"")];
        let whole = weak.send(asking(Method::GET, &resume)).await;
        assert_eq!((whole.status, whole.field("content-encoding")), (StatusCode::OK, "gzip"));
        assert_eq!(decoded(&whole).await, page_text());
    }
}
