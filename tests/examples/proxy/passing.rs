//! What goes through untouched: other protocols, streams, odd methods and statuses.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::case::{Case, PATIENCE};
use super::origin::Reply;

in_each_case! {
    another_protocol_passes,
    connect_is_refused,
    events_come_as_they_happen,
    odd_statuses_and_methods_pass,
    chunks_pass_and_are_stored,
    a_body_over_the_limit_passes,
}

async fn another_protocol_passes(case: Case) {
    let run = case.start().await;
    let switch = Reply::status("101 Switching Protocols", "")
        .with("Connection", "upgrade")
        .with("Upgrade", "echo")
        .then_echo();
    run.origin.on("/", [switch]);
    for text in ["one", "two"] {
        let mut stream = TcpStream::connect(run.proxy.address()).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut head = Vec::new();
        timeout(PATIENCE, async {
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut back = vec![0; text.len()];
            stream.read_exact(&mut back).await.unwrap();
            assert_eq!(back, text.as_bytes());
        })
        .await
        .expect("in time");
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: echo"), "{head}");
    }
    assert_eq!(run.origin.last("/").field("upgrade"), Some("echo"));
    assert_eq!(run.origin.count("/"), 2);
}

async fn connect_is_refused(case: Case) {
    let run = case.start().await;
    let answer = run.send("CONNECT", "elsewhere.test:443", &[], "").await;
    assert_eq!(answer.status(), 501, "{answer:?}");
}

async fn events_come_as_they_happen(case: Case) {
    let run = case.start().await;
    for media_type in ["text/event-stream", "text/plain"] {
        // The body never ends by itself; the client has its first part all the same.
        let raw = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nCache-Control: max-age=60\r\n\
             Transfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
        );
        run.origin.on("/", [Reply::raw(&raw).close_after(60_000)]);
        let mut stream = TcpStream::connect(run.proxy.address()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut seen = Vec::new();
        timeout(PATIENCE, async {
            while !String::from_utf8_lossy(&seen).contains("data: 1") {
                assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "the end came too soon");
            }
        })
        .await
        .expect("the first event comes before the last");
    }
}

async fn odd_statuses_and_methods_pass(case: Case) {
    let run = case.start().await;
    let rows = [
        ("GET", "299 Odd"),
        ("PROPFIND", "207 Multi"),
        ("M-SEARCH", "418 Teapot"),
        ("GET", "999 Odd"),
        ("DELETE", "202 Later"),
        ("PUT", "508 Loop"),
        ("get", "200 OK"),
        ("GET", "451 Law"),
    ];
    for (method, status) in rows {
        let reply = Reply::status(status, "body").with("X-Own", "1");
        run.origin.on("/", [reply]);
        let answer = run.send(method, "/", &[], "").await;
        assert_eq!(answer.status().to_string(), status[..3], "{method}");
        assert_eq!((answer.text().as_str(), answer.field("x-own")), ("body", Some("1")));
        assert_eq!(run.origin.last("/").method(), method);
    }
    run.origin.on("*", [Reply::status("204 None", "")]);
    assert_eq!(run.send("OPTIONS", "*", &[], "").await.status(), 204);
}

async fn chunks_pass_and_are_stored(case: Case) {
    let run = case.start().await;
    let raw = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n\
               3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
    let hit = run.stored("/", Reply::raw(raw)).await;
    assert_eq!((hit.text().as_str(), hit.field("transfer-encoding")), ("abcdefg", None));
    assert_eq!(hit.field("content-length"), Some("7"));
    // RFC 9112 6.3: without either, the end of the connection is the end of the body.
    let raw = "HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nto the end";
    let hit = run.stored("/old", Reply::raw(raw)).await;
    assert_eq!(hit.text(), "to the end");
    assert!(hit.start.starts_with("HTTP/1.1 "), "RFC 9110 2.5: {hit:?}");
}

async fn a_body_over_the_limit_passes(case: Case) {
    let run = case.start().await;
    let body = "x".repeat((8 << 20) + 1);
    run.origin.on("/", [Reply::fresh(&body, 60)]);
    for _ in 0..2 {
        let answer = run.get("/", &[]).await;
        assert!(answer.whole && !answer.is_hit() && answer.body.len() == body.len());
        assert_eq!(answer.cache().detail.as_deref(), Some("too-large"));
    }
}
