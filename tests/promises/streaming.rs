//! P14, P15, P22: bodies are teed while they stream, and stored only when they are whole.

use std::convert::Infallible;
use std::time::Duration;

use crate::support::app::{App, request};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Response, header};
use axum::routing::get;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

fn cache(store: std::sync::Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .max_body(1000)
        .route(Route::get("/"))
}

/// A body that sends what comes through the channel, and fails on `None`.
fn channel() -> (mpsc::UnboundedSender<Option<&'static [u8]>>, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = futures_util::stream::poll_fn(move |cx| {
        receiver.poll_recv(cx).map(|next: Option<Option<&'static [u8]>>| {
            next.map(|chunk| {
                chunk
                    .map(|chunk| Frame::data(Bytes::from_static(chunk)))
                    .ok_or_else(|| std::io::Error::other("cut"))
            })
        })
    });
    (sender, Body::new(StreamBody::new(stream)))
}

/// An app whose one handler answers with each of these responses in turn.
fn app_of(builder: CacheBuilder, responses: Vec<Response<Body>>) -> App {
    let responses = std::sync::Arc::new(parking_lot::Mutex::new(responses));
    let handler = move || {
        let response = responses.lock().remove(0);
        async move { response }
    };
    App::of(builder, Router::new().route("/", get(handler)))
}

async fn next(body: &mut Body) -> Option<Bytes> {
    body.frame().await.map(|frame| frame.unwrap().into_data().unwrap())
}

on_each_store! {
    async fn p15_the_first_byte_does_not_wait_for_the_last(backend: Backend) {
        let (sender, body) = channel();
        let app = app_of(cache(backend.store.clone()), vec![Response::new(body)]);
        let mut response = app.open(request(Method::GET, "4", "/")).await;
        sender.send(Some(b"first ")).unwrap();
        assert_eq!(next(response.body_mut()).await.unwrap(), "first ");
        sender.send(Some(b"last")).unwrap();
        assert_eq!(next(response.body_mut()).await.unwrap(), "last");
        drop(sender);
        assert!(next(response.body_mut()).await.is_none());
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        assert_eq!(hit.text(), "first last");
    }

    async fn p15_a_body_over_the_limit_streams_on_unstored_and_unchanged(backend: Backend) {
        let large: &'static [u8] = (0..=249_u8).cycle().take(5000).collect::<Vec<_>>().leak();
        let (sender, body) = channel();
        let known = Response::new(Body::from(large));
        let app = app_of(cache(backend.store.clone()), vec![Response::new(body), known]);
        let mut response = app.open(request(Method::GET, "4", "/")).await;
        for chunk in large.chunks(700) {
            sender.send(Some(chunk)).unwrap();
            // Past the limit there is no buffer: the handler's pace is the client's.
            assert_eq!(next(response.body_mut()).await.unwrap(), chunk);
        }
        drop(sender);
        assert!(next(response.body_mut()).await.is_none());
        let second = app.get_settled("4", "/").await;
        assert!(second.cache_status().contains("detail=too-large"), "{second:?}");
        assert_eq!(second.body, large);
        assert_eq!(app.cache.stats().stored, 0);
    }

    async fn p15_what_is_cut_short_is_not_stored_and_fails_as_it_would_have(backend: Backend) {
        let (sender, body) = channel();
        let (short_sender, short) = channel();
        let mut short = Response::new(short);
        short.headers_mut().insert(header::CONTENT_LENGTH, "10".parse().unwrap());
        let app = app_of(
            cache(backend.store.clone()),
            vec![Response::new(body), short, Response::new(Body::from("whole"))],
        );
        let response = app.open(request(Method::GET, "4", "/")).await;
        sender.send(Some(b"half")).unwrap();
        sender.send(None).unwrap();
        assert!(response.into_body().collect().await.is_err());
        app.cache.settled().await;
        short_sender.send(Some(b"short")).unwrap();
        drop(short_sender);
        assert_eq!(app.get("4", "/").await.text(), "short");
        let whole = app.get_settled("4", "/").await;
        whole.assert_miss();
        assert_eq!(whole.text(), "whole");
    }

    async fn p14_a_client_that_leaves_in_the_middle_costs_nobody_the_answer(backend: Backend) {
        let (sender, body) = channel();
        let app = app_of(cache(backend.store.clone()), vec![Response::new(body)]);
        let mut response = app.open(request(Method::GET, "4", "/")).await;
        sender.send(Some(b"one ")).unwrap();
        assert_eq!(next(response.body_mut()).await.unwrap(), "one ");
        drop(response);
        sender.send(Some(b"two")).unwrap();
        drop(sender);
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        assert_eq!(hit.text(), "one two");
    }

    async fn trailers_reach_the_client_and_forbid_storing(backend: Backend) {
        let with_trailers = || {
            let mut trailers = axum::http::HeaderMap::new();
            trailers.insert("x-sum", "1".parse().unwrap());
            let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)];
            let frames = frames.map(Ok::<_, Infallible>);
            Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
        };
        let app = app_of(cache(backend.store.clone()), vec![with_trailers(), with_trailers()]);
        for _ in 0..2 {
            let response = app.open(request(Method::GET, "4", "/")).await;
            let collected = response.into_body().collect().await.unwrap();
            assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
            app.cache.settled().await;
        }
        assert_eq!(app.cache.stats().stored, 0);
    }

    async fn p14_a_panic_in_a_handler_unwinds_where_it_would_have(backend: Backend) {
        async fn broken() -> &'static str {
            panic!("broken on purpose")
        }
        let app = App::of(cache(backend.store.clone()), Router::new().route("/", get(broken)));
        let client = app.clone();
        let panic = tokio::spawn(async move { client.get("4", "/").await }).await.unwrap_err();
        assert_eq!(panic.into_panic().downcast_ref::<&str>(), Some(&"broken on purpose"));
        let client = app.clone();
        let again = tokio::time::timeout(
            Duration::from_secs(5),
            tokio::spawn(async move { client.get("4", "/").await }),
        );
        assert!(again.await.unwrap().is_err());
    }
}
