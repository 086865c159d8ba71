//! Requests that two readers may take for different ones: several hosts, several lengths.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use tower_response_cache::Route;

use crate::twin::{Asked, Twin};

on_each_store! {
    async fn a_request_with_two_hosts_is_neither_answered_nor_stored(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        let ask = Asked::get;
        let shapes = [
            ask("/users/1").with("host", "gym.example").with("host", "evil.example"),
            ask("/users/1").with("host", "gym.example").with("host", "gym.example"),
            ask("http://gym.example/users/1").with("host", "evil.example"),
            ask("http://gym.example/users/1").with("host", "gym.example:80"),
            ask("http://gym.example/users/1").with("host", "GYM.example"),
            ask("http://gym.example/users/1").with("host", ""),
        ];
        for shape in &shapes {
            twin.ask(shape.clone()).await.assert_bypass("ambiguous");
        }
        let honest = ask("/users/1").with("host", "gym.example");
        twin.ask(honest.clone()).await.assert_miss();
        twin.ask(honest).await.assert_hit();
        for shape in shapes {
            twin.ask(shape).await.assert_bypass("ambiguous");
        }
    }

    async fn content_of_two_lengths_is_in_no_key(backend: Backend) {
        let shapes: [&[(&str, &str)]; 4] = [
            &[("content-length", "0"), ("transfer-encoding", "chunked")],
            &[("content-length", "0"), ("content-length", "5")],
            &[("content-length", "0, 5")],
            &[("content-length", "5"), ("transfer-encoding", "identity")],
        ];
        let twin = Twin::with(backend.store.clone(), |builder| {
            builder.route(Route::post("/private/{id}"))
        });
        for shape in shapes {
            let get = shape.iter().fold(Asked::get("/users/1"), |ask, (n, v)| ask.with(n, v));
            twin.ask(get).await.assert_bypass("content");
            let post = Asked::get("/private/1").method(Method::POST);
            let post = shape.iter().fold(post, |ask, (n, v)| ask.with(n, v));
            twin.ask(post).await.assert_bypass("ambiguous");
        }
        twin.ask(Asked::get("/users/1")).await.assert_miss();
        // Content that no field announces, as HTTP/2 has it.
        let mut request = Asked::get("/users/1").build();
        *request.version_mut() = axum::http::Version::HTTP_2;
        *request.body_mut() = Body::from("content");
        twin.cached.send(request).await.assert_bypass("content");
    }

    async fn over_a_connection_no_shape_gets_anothers_answer(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = twin.cached.router.clone();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let say = async |request: &str| {
            let request = format!("{request}x-gym-id: 4\r\nconnection: close\r\n\r\n");
            tokio::task::spawn_blocking(move || talk(port, &request)).await.unwrap()
        };
        let honest = "GET /users/1 HTTP/1.1\r\nhost: gym.example\r\n";
        let hosts = "GET /users/1 HTTP/1.1\r\nhost: evil.example\r\nhost: gym.example\r\n";
        let absolute = "GET http://evil.example/users/1 HTTP/1.1\r\nhost: gym.example\r\n";
        let framed = format!("{honest}content-length: 0\r\ntransfer-encoding: chunked\r\n");
        // The second request of it must not be taken for one of the next client.
        let smuggled = format!(
            "{honest}content-length: 41\r\n\r\nGET /users/2 HTTP/1.1\r\nhost: evil.example\r\n\r\n{honest}"
        );
        let escaped = "GET /users/1%0d%0aset-cookie:x HTTP/1.1\r\nhost: gym.example\r\n";
        let bare = "GET /users/1 HTTP/1.1\nhost: evil.example\n";
        for attack in [hosts, absolute, &framed, &smuggled, escaped, bare] {
            let answer = say(attack).await;
            assert!(!answer.contains("; hit"), "{attack:?}: {answer}");
        }
        twin.cached.cache.settled().await;
        let answer = say(honest).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("gym.example") && !answer.contains("evil"), "{answer}");
        server.abort();
    }

    async fn a_write_with_two_hosts_still_invalidates(backend: Backend) {
        let twin = Twin::new(backend.store.clone());
        twin.ask(Asked::get("/users/1")).await.assert_miss();
        let write = Asked::get("/users/1").method(Method::PUT);
        let write = write.with("host", "a").with("host", "b").with("content-length", "0");
        twin.ask(write.with("transfer-encoding", "chunked")).await;
        twin.ask(Asked::get("/users/1")).await.assert_miss();
    }
}

#[test]
fn what_a_head_cannot_hold_does_not_come_to_the_layer() {
    for bytes in ["a\r\nb", "a\nb", "a\0b", "a\x7fb"] {
        let line = Request::get("/").header("x-gym-id", bytes).body(());
        assert!(line.is_err(), "{bytes:?}");
        let line = Request::get("/").header(format!("x{bytes}"), "4").body(());
        assert!(line.is_err(), "{bytes:?}");
    }
    assert!(Request::get("/a b").header(header::HOST, "a").body(()).is_err());
}

/// Sends this, and answers all that comes back.
fn talk(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that refuses may reset what it has not read.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
