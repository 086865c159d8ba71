//! Compression inside of the cache: an entry for each encoding, compressed once.

use axum::http::{Method, StatusCode};
use tower_http::compression::CompressionLayer;
use tower_response_cache::Route;

use super::{App, Runs, app, asking, built, cache, decoded, page, page_text};
use crate::support::Backend;

/// What clients accept, and what they get.
const CLIENTS: [(&str, &str); 4] =
    [("gzip", "gzip"), ("br", "br"), ("identity", ""), ("gzip;q=0.3, br;q=0", "gzip")];

fn of(backend: &Backend, route: Route, runs: &Runs, etag: Option<&'static str>) -> App {
    let cache = built(cache(backend.store.clone()).route(route));
    let router = page(runs, etag).layer(CompressionLayer::new()).layer(cache.layer());
    app(cache, router)
}

/// A route on which what a client accepts is in the key.
fn keyed() -> Route {
    Route::get("/").header("accept-encoding")
}

async fn entries_for_each_encoding(backend: Backend, route: Route) {
    let runs = Runs::default();
    let app = of(&backend, route, &runs, Some("\"v1\""));
    for turn in ["miss", "hit"] {
        for (accept, encoding) in CLIENTS {
            let fields = [("accept-encoding", accept)];
            let answer = app.send(asking(Method::GET, &fields)).await;
            if turn == "hit" {
                answer.assert_hit();
            } else {
                answer.assert_miss();
            }
            assert_eq!(answer.field("content-encoding"), encoding, "{accept} {turn}");
            assert_eq!(decoded(&answer).await, page_text(), "{accept} {turn}");
            assert_eq!(answer.vary(), ["accept-encoding"], "{accept} {turn}");
            assert_eq!(answer.field("etag"), "\"v1\"");
            if turn == "hit" {
                // RFC 9110, section 8.6: of what is sent, not of what was compressed.
                assert_eq!(answer.field("content-length"), answer.body.len().to_string());
                let head = app.send(asking(Method::HEAD, &fields)).await;
                head.assert_hit();
                for name in ["content-encoding", "content-length", "etag", "vary"] {
                    assert_eq!(head.field(name), answer.field(name), "{accept} {name}");
                }
            }
            app.cache.settled().await;
        }
    }
    assert_eq!(runs.so_far(), CLIENTS.len());
}

async fn parts_of_each_encoding(backend: Backend, route: Route) {
    // Made of the bytes that are stored, so that each encoding has its own.
    let app = of(&backend, route.etag(), &Runs::default(), None);
    let mut tags = Vec::new();
    for (accept, encoding) in &CLIENTS[..3] {
        app.send(asking(Method::GET, &[("accept-encoding", accept)])).await;
        app.cache.settled().await;
        let whole = app.send(asking(Method::GET, &[("accept-encoding", accept)])).await;
        whole.assert_hit();
        let tag = whole.field("etag").to_owned();
        assert!(tag.starts_with('"') && !tags.contains(&tag), "{tag} {tags:?}");

        // RFC 9110, section 14.2: a part of the representation that was selected, as it is encoded.
        let ask = [("accept-encoding", *accept), ("range", "bytes=3-9"), ("if-range", &tag)];
        let part = app.send(asking(Method::GET, &ask)).await;
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{accept}");
        assert_eq!(part.field("content-encoding"), *encoding, "{accept}");
        assert_eq!(part.body, whole.body[3..10], "{accept}");
        assert_eq!(part.field("content-range"), format!("bytes 3-9/{}", whole.body.len()));
        assert_eq!(part.vary(), ["accept-encoding"], "{accept}");

        // Who has begun with another encoding gets the whole of this one.
        for other in &tags {
            let ask = [("accept-encoding", *accept), ("range", "bytes=3-9"), ("if-range", other)];
            let restart = app.send(asking(Method::GET, &ask)).await;
            assert_eq!((restart.status, restart.body), (StatusCode::OK, whole.body.clone()));
            let ask = [("accept-encoding", *accept), ("if-none-match", other)];
            assert_eq!(app.send(asking(Method::GET, &ask)).await.status, StatusCode::OK);
        }
        let ask = [("accept-encoding", *accept), ("if-none-match", &tag)];
        let unchanged = app.send(asking(Method::GET, &ask)).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(unchanged.field("etag"), tag);
        assert_eq!(unchanged.vary(), ["accept-encoding"]);
        tags.push(tag);
    }
}

async fn together(backend: Backend, route: Route) {
    let app = of(&backend, route, &Runs::default(), None);
    let clients: Vec<_> = CLIENTS.iter().cycle().take(40).collect();
    let answers = clients.iter().map(|(accept, encoding)| {
        let app = app.clone();
        async move {
            let answer = app.send(asking(Method::GET, &[("accept-encoding", accept)])).await;
            assert_eq!(answer.field("content-encoding"), *encoding, "{accept}: {answer:?}");
            assert_eq!(decoded(&answer).await, page_text(), "{accept}");
        }
    });
    futures_util::future::join_all(answers).await;
}

on_each_store! {
    async fn a_key_with_what_the_client_accepts_has_an_entry_for_each(backend: Backend) {
        entries_for_each_encoding(backend, keyed()).await;
    }

    async fn a_key_with_what_the_client_accepts_has_parts_and_tags_of_each(backend: Backend) {
        parts_of_each_encoding(backend, keyed()).await;
    }

    async fn with_a_key_clients_that_miss_together_get_what_they_can_decode(backend: Backend) {
        together(backend, keyed()).await;
    }

    async fn vary_alone_makes_an_entry_for_each(backend: Backend) {
        entries_for_each_encoding(backend, Route::get("/")).await;
    }

    async fn vary_alone_makes_parts_and_tags_of_each(backend: Backend) {
        parts_of_each_encoding(backend, Route::get("/")).await;
    }

    async fn with_vary_clients_that_miss_together_get_what_they_can_decode(backend: Backend) {
        together(backend, Route::get("/")).await;
    }

    /// RFC 9110, section 15.4.5; and what the client said of its own copy is not for the handler.
    async fn a_condition_of_the_first_client_is_not_answered_for_the_others(backend: Backend) {
        let app = of(&backend, keyed(), &Runs::default(), Some("\"v1\""));
        let ask = [("accept-encoding", "gzip"), ("if-none-match", "\"v0\"")];
        app.send(asking(Method::GET, &ask)).await.assert_miss();
        app.cache.settled().await;
        let whole = app.send(asking(Method::GET, &ask[..1])).await;
        whole.assert_hit();
        assert_eq!(decoded(&whole).await, page_text());
    }
}
