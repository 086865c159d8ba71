//! `hyper_service`: the same promises without axum.

use reqwest::{Method, StatusCode};

use crate::server::{Server, send};

const A: (&str, &str) = ("x-tenant", "a");
const B: (&str, &str) = ("x-tenant", "b");

#[tokio::test]
async fn reads_hit_until_a_write() {
    let server = Server::start("hyper_service", &[]).await;

    assert_eq!(server.settle(A, "/count").await.text, "0");
    assert_eq!(server.settle(B, "/count").await.text, "0");
    for expected in ["1", "2"] {
        let write = send(server.request(Method::POST, "/count").header(A.0, A.1)).await;
        assert_eq!((write.status, write.text.as_str()), (StatusCode::OK, expected));
        let fresh = server.get(A, "/count").await;
        assert!(!fresh.is_hit(), "{fresh:?}");
        assert_eq!(fresh.text, expected);
        assert_eq!(server.settle(A, "/count").await.text, expected);
    }
    assert!(server.get(B, "/count").await.is_hit());
}

#[tokio::test]
async fn answers_what_it_does_not_serve() {
    let server = Server::start("hyper_service", &[]).await;

    assert_eq!(server.get(A, "/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(send(server.request(Method::GET, "/count")).await.status, StatusCode::BAD_REQUEST);
    let put = send(server.request(Method::PUT, "/count").header(A.0, A.1)).await;
    assert_eq!(put.status, StatusCode::METHOD_NOT_ALLOWED);
}
