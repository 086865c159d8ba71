//! The command line, and the beginning and end of the process.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::case::{Attitude, Case, PATIENCE, Stored};
use super::origin::Reply;
use crate::server::binary;

const CASE: Case = Case { attitude: Attitude::Routes, store: Stored::InMemory };

async fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(binary("caching_proxy"));
    command.args(arguments).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("in time").expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn mistakes_say_what_to_do() {
    let rows: [(&[&str], &str); 14] = [
        (&[], "say where the origin is"),
        (&["--upstream"], "without a value"),
        (&["--upstream", "origin"], "expected http://HOST[:PORT]"),
        (&["--upstream", "https://origin"], "only http"),
        (&["--upstream", "http://origin/path"], "paths are passed on"),
        (&["--upstream", "http://user@origin"], "names no host, or a user"),
        (&["--upstream", "http://origin", "--ttl", "0"], "expected a whole number, 1 or more"),
        (&["--upstream", "http://origin", "--ttl", "a"], "expected a whole number"),
        (&["--upstream", "http://origin", "--targeted"], "without a value"),
        (&["--upstream", "http://origin", "--query-method", "q"], "as in --query-method /search"),
        (&["--upstream", "http://origin", "--post"], "without a value"),
        (&["--upstream", "http://origin", "--post", "search"], "as in --post /search"),
        (
            &["--upstream", "http://origin", "--max-request-body", "0"],
            "expected a whole number, 1 or more",
        ),
        (&["--frob"], "--frob"),
    ];
    for (arguments, expected) in rows {
        let (code, out, err) = run(arguments).await;
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(err.contains(expected) && err.contains("--help"), "{arguments:?}: {err}");
    }
    let (code, out, _) = run(&["--help"]).await;
    assert_eq!(code, Some(0));
    for option in
        ["--rfc9111", "--targeted NAME", "--query-method PATH", "--post PATH", "--max-request-body"]
    {
        assert!(out.contains(option), "{option}");
    }
}

#[tokio::test]
async fn failures_to_start_say_why() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let (code, _, err) = run(&["--upstream", "http://o", "--listen", &listen]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("choose another --listen"), "{err}");
    let (code, _, err) = run(&["--upstream", "http://o", "--redis", "redis://127.0.0.1:1"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("127.0.0.1:1"), "{err}");
    let rows: [(&[&str], &str); 3] = [
        (&["--targeted", "CDN Cache"], "CDN Cache"),
        (&["--post", "/{"], "/{"),
        // To HTTP every POST is a write.
        (&["--rfc9111", "--post", "/search"], "/search"),
    ];
    for (arguments, expected) in rows {
        let (code, _, err) = run(&[&["--upstream", "http://o"], arguments].concat()).await;
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn requests_under_way_are_answered_before_the_end() {
    let run = CASE.start().await;
    run.origin.on("/", [Reply::ok("late").after(500)]);
    let mut stream = TcpStream::connect(run.proxy.address()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while run.origin.count("/") == 0 {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(10)).await;
    }
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer));
    let (well, read) = tokio::join!(run.proxy.terminate(), read);
    read.expect("in time").expect("text");
    assert!(well && answer.ends_with("late"), "{answer:?}");
}

/// The origin may close a connection that nobody uses; the next request is to find another one.
#[tokio::test]
async fn idle_connections_are_given_up_in_time() {
    let run = CASE.start().await;
    for round in 1..=5 {
        run.origin.on("/", [Reply::ok("once").close_after(0)]);
        let answer = run.send("POST", "/", &[], "x").await;
        assert_eq!((answer.status(), run.origin.count("/")), (200, round));
        sleep(Duration::from_millis(20)).await;
    }
}
