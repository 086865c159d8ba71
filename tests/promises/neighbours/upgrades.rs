//! What is no response to be kept: web sockets, tunnels, streams of events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::http::{Method, Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, Sse};
use axum::routing::{any, get};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};
use tower::{Layer, service_fn};
use tower_http::compression::CompressionLayer;
use tower_http::trace::TraceLayer;
use tower_response_cache::Route;

use super::{App, app, asking, built, cache};
use crate::support::Backend;
use crate::support::app::request;

/// Speaks `WebSocket` with who can, and has a page for who can't.
async fn socket_or_page(
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> axum::response::Response {
    match socket {
        Ok(socket) => socket.on_upgrade(echo),
        Err(_) => "a page".into_response(),
    }
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

fn chat(backend: &Backend, path: &str) -> App {
    let cache = built(cache(backend.store.clone()).route(Route::get("/chat")));
    app(cache.clone(), Router::new().route(path, any(socket_or_page)).layer(cache.layer()))
}

async fn converse<S>(mut socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    // Who hears it closes the stream at once, in HTTP/2 with a reset without an error, which may come
    // before all is flushed here.
    let _ = socket.close(None).await;
}

type Events = mpsc::UnboundedReceiver<&'static str>;

/// A route with events from a channel that the test holds for each listener.
fn events(path: &str) -> (Router, mpsc::UnboundedReceiver<mpsc::UnboundedSender<&'static str>>) {
    let (listeners, seen) = mpsc::unbounded_channel();
    let handler = move || {
        let (sender, mut events): (_, Events) = mpsc::unbounded_channel();
        listeners.send(sender).unwrap();
        let stream = futures_util::stream::poll_fn(move |cx| {
            events
                .poll_recv(cx)
                .map(|event| event.map(|text| Ok::<_, Infallible>(Event::default().data(text))))
        });
        async move { Sse::new(stream) }
    };
    (Router::new().route(path, get(handler)), seen)
}

on_each_store! {
    async fn a_websocket_passes_also_where_a_page_is_cached(backend: Backend) {
        for path in ["/chat", "/elsewhere"] {
            let app = chat(&backend, path);
            app.get("4", path).await;
            let page = app.get_settled("4", path).await;
            assert_eq!((page.text(), page.is_hit()), ("a page", path == "/chat"));
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = app.router.clone();
            let server = tokio::spawn(async move { axum::serve(listener, router).await });
            let mut ask = format!("ws://{address}{path}").into_client_request().unwrap();
            ask.headers_mut().insert("x-gym-id", "4".parse().unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            let (socket, response) = tokio_tungstenite::client_async(ask, stream).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
            converse(socket).await;
            server.abort();
            assert_eq!(app.get("4", path).await.is_hit(), path == "/chat");
        }
    }

    /// RFC 8441: in HTTP/2 a web socket is a CONNECT with a path. It changes nothing there.
    async fn a_websocket_over_http_2_passes_and_invalidates_nothing(backend: Backend) {
        let app = chat(&backend, "/chat");
        app.warm("4", "/chat").await;
        let (here, there) = tokio::io::duplex(1 << 16);
        let service = TowerToHyperService::new(app.router.clone());
        let server = tokio::spawn(async move {
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .enable_connect_protocol()
                .serve_connection(TokioIo::new(there), service)
                .await
        });
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(here)).await.unwrap();
        tokio::spawn(connection);
        let ask = Request::connect("http://gym.example/chat")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("x-gym-id", "4")
            .body(Empty::<Bytes>::new())
            .unwrap();
        client.ready().await.unwrap();
        let response = client.send_request(ask).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("cache-status"), "{response:?}");
        let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        converse(WebSocketStream::from_raw_socket(stream, Role::Client, None).await).await;
        server.abort();
        app.cache.settled().await;
        app.get("4", "/chat").await.assert_hit();
    }

    async fn a_tunnel_passes(backend: Backend) {
        let cache = built(cache(backend.store.clone()).route(Route::get("/")).route(Route::get("/{page}")));
        let proxy = service_fn(async |mut request: Request<hyper::body::Incoming>| {
            assert_eq!(*request.method(), Method::CONNECT);
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut ping = [0; 4];
                stream.read_exact(&mut ping).await.unwrap();
                stream.write_all(b"pong").await.unwrap();
            });
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let (mut client, there) = tokio::io::duplex(1 << 16);
        let service = TowerToHyperService::new(cache.layer().layer(proxy));
        let server = tokio::spawn(async move {
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(there), service)
                .with_upgrades()
                .await
        });
        let ask = b"CONNECT gym.example:443 HTTP/1.1\r\nHost: gym.example:443\r\nx-gym-id: 4\r\n\r\nping";
        client.write_all(ask).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\npong"), "{answer}");
        assert!(!answer.contains("cache-status"), "{answer}");
        server.abort();
    }

    async fn events_arrive_as_they_are_sent(backend: Backend) {
        for path in ["/", "/elsewhere"] {
            let (router, mut listeners) = events(path);
            let cache = built(cache(backend.store.clone()).route(Route::get("/")));
            let router = router
                .layer(TraceLayer::new_for_http())
                .layer(cache.layer())
                .layer(CompressionLayer::new());
            let app = app(cache, router);
            // The second listener is there while the first one listens.
            let mut streams = Vec::new();
            for _ in 0..2 {
                let mut ask = request(Method::GET, "4", path);
                ask.headers_mut().insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
                let response = tokio::time::timeout(Duration::from_secs(20), app.open(ask)).await.unwrap();
                assert_eq!(response.headers()["content-type"], "text/event-stream");
                assert!(!response.headers().contains_key("content-encoding"));
                streams.push((listeners.recv().await.unwrap(), response.into_body()));
            }
            for (sender, body) in &mut streams {
                for text in ["one", "two"] {
                    sender.send(text).unwrap();
                    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
                    assert_eq!(frame, format!("data: {text}\n\n"));
                }
            }
            // The handler learns at once that its listener has left.
            let (sender, body) = streams.pop().unwrap();
            drop(body);
            tokio::time::timeout(Duration::from_secs(10), sender.closed()).await.unwrap();
            assert_eq!(app.cache.stats().stored, 0);
        }
    }

    async fn a_first_listener_who_leaves_early_keeps_nobody_from_listening(backend: Backend) {
        let (router, mut listeners) = events("/");
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let app = app(cache.clone(), router.layer(cache.layer()));
        let first = app.open(asking(Method::GET, &[])).await;
        let sender = listeners.recv().await.unwrap();
        drop(first);
        tokio::time::timeout(Duration::from_secs(10), sender.closed()).await.unwrap();
        let second = app.open(asking(Method::GET, &[])).await;
        listeners.recv().await.unwrap().send("one").unwrap();
        let frame = second.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame, "data: one\n\n");
    }
}
