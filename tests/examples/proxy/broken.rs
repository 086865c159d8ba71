//! Answers that end too soon, too late or not at all: nothing of them is stored, and the client
//! sees what it would have seen without the layer.

use super::case::{Case, Running};
use super::client::ask;
use super::origin::Reply;

in_each_case! {
    a_body_cut_short_is_not_stored,
    a_body_cut_short_at_once_is_not_stored,
    a_body_longer_than_announced_is_cut_there,
    a_silent_body_is_cut,
    a_connection_closed_before_the_head,
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// Bodies that break off, by what frames them.
fn broken() -> [(&'static str, String); 3] {
    [
        ("/length", format!("{HEAD}Content-Length: 10\r\n\r\n01234")),
        ("/chunk", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n")),
        ("/in-a-chunk", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\nA\r\n01234")),
    ]
}

async fn a_body_cut_short_is_not_stored(case: Case) {
    let run = case.start().await;
    for (target, raw) in broken() {
        run.origin.on(target, [Reply::raw(&raw).close_after(300)]);
        let direct = ask(&run.origin.address(), "GET", target, &[], b"").await;
        assert!(!direct.whole && direct.text() == "01234", "{direct:?}");
        for round in 2..=3 {
            let answer = run.get(target, &[]).await;
            assert_eq!((answer.status(), answer.text().as_str()), (200, "01234"), "{target}");
            assert!(!answer.whole, "{target}: the client can tell: {answer:?}");
            assert!(!answer.is_hit(), "{target}: {answer:?}");
            assert_eq!(run.origin.count(target), round, "{target}");
        }
        is_mended(&run, target).await;
    }
}

async fn a_body_cut_short_at_once_is_not_stored(case: Case) {
    let run = case.start().await;
    for (target, raw) in broken() {
        run.origin.on(target, [Reply::raw(&raw)]);
        for round in 1..=2 {
            // The server may close before it has sent the head; it never ends the body.
            let answer = run.get(target, &[]).await;
            let begun = !answer.start.is_empty();
            assert!(!begun || !answer.whole && !answer.is_hit(), "{target}: {answer:?}");
            assert_eq!(run.origin.count(target), round, "{target}");
        }
        is_mended(&run, target).await;
    }
}

/// Once the origin sends all of it, all of it is what everybody gets.
async fn is_mended(run: &Running, target: &str) {
    run.origin.on(target, [Reply::fresh("0123456789", 60)]);
    let answer = run.get(target, &[]).await;
    assert!(answer.whole && answer.text() == "0123456789", "{answer:?}");
    assert_eq!(run.settle(target, &[]).await.text(), "0123456789");
}

async fn a_body_longer_than_announced_is_cut_there(case: Case) {
    let run = case.start().await;
    let raw = format!("{HEAD}Content-Length: 5\r\n\r\n0123456789HTTP/1.1 200 OK\r\n\r\n");
    run.origin.on("/", [Reply::raw(&raw)]);
    run.origin.on("/next", [Reply::ok("next")]);
    let direct = ask(&run.origin.address(), "GET", "/", &[], b"").await;
    for _ in 0..3 {
        let answer = run.get("/", &[]).await;
        // RFC 9112 6.3: the announced length is where the message ends.
        assert_eq!((answer.status(), answer.text()), (200, direct.text()));
        assert!(answer.whole, "{answer:?}");
        // What came after it is nobody's answer.
        assert_eq!(run.get("/next", &[]).await.text(), "next");
    }
}

async fn a_silent_body_is_cut(case: Case) {
    let run = case.start_with(&["--timeout", "1"]).await;
    let raw = format!("{HEAD}Content-Length: 10\r\n\r\n01234");
    run.origin.on("/", [Reply::raw(&raw).close_after(60_000)]);
    let answer = run.get("/", &[]).await;
    assert_eq!((answer.whole, answer.text().as_str()), (false, "01234"), "{answer:?}");
    is_mended(&run, "/").await;
}

async fn a_connection_closed_before_the_head(case: Case) {
    let run = case.start().await;
    let rows =
        ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"];
    for (at, raw) in rows.into_iter().enumerate() {
        let target = format!("/{at}");
        run.origin.on(&target, [Reply::raw(raw)]);
        for round in 1..=2 {
            let answer = run.get(&target, &[]).await;
            assert_eq!(answer.status(), 502, "{raw:?}: {answer:?}");
            assert_eq!(run.origin.count(&target), round, "asked once a request");
        }
        is_mended(&run, &target).await;
    }
}
