//! `quickstart`: the second read is a hit, the one after the write is not.

use reqwest::{Method, StatusCode};

use crate::server::{Server, send};

const RED: (&str, &str) = ("x-team", "red");
const BLUE: (&str, &str) = ("x-team", "blue");

#[tokio::test]
async fn second_read_hits_and_a_write_ends_that() {
    let server = Server::start("quickstart", &[]).await;

    let first = server.get(RED, "/notes").await;
    assert!(!first.is_hit(), "{first:?}");
    assert_eq!(first.text, "[]");
    assert_eq!(server.settle(RED, "/notes").await.text, "[]");
    server.settle(BLUE, "/notes").await;

    let write = server.request(Method::POST, "/notes").header(RED.0, RED.1).body("hello");
    assert_eq!(send(write).await.status, StatusCode::CREATED);
    let fresh = server.get(RED, "/notes").await;
    assert!(!fresh.is_hit(), "{fresh:?}");
    assert_eq!(fresh.text, r#"["hello"]"#);
    assert!(server.get(BLUE, "/notes").await.is_hit(), "another team's write is none of blue's");
}
