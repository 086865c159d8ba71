//! Reads that say in their content what they ask for: QUERY (RFC 10008), and POST where it changes
//! nothing.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::case::{Attitude, Case, PATIENCE, Running};
use super::client::{Answer, read_answer};
use super::origin::Reply;

in_each_case! {
    the_same_content_hits_and_no_other,
    the_content_arrives_to_the_byte,
    chunks_are_the_same_content,
    content_over_the_limit_passes_unstored,
    content_that_breaks_off_is_no_key,
    who_waits_to_be_told_is_told,
    a_query_elsewhere_passes_and_changes_nothing,
}

by_routes! {
    a_post_elsewhere_is_a_write,
}

const METHODS: [&str; 2] = ["QUERY", "POST"];

impl Case {
    /// The methods that are answered from the cache on `/search`.
    fn methods(self) -> &'static [&'static str] {
        // RFC 9110 9.3.3 has no such POST.
        if self.attitude == Attitude::Rfc9111 { &METHODS[..1] } else { &METHODS }
    }

    /// With an origin that answers with what it was sent, by whatever method.
    async fn start_to_search(self, more: &[&str]) -> Running {
        let mut arguments = vec!["--query-method", "/search"];
        if self.methods().contains(&"POST") {
            arguments.extend(["--post", "/search"]);
        }
        arguments.extend(more);
        let run = self.start_with(&arguments).await;
        run.origin.by("/search", |request| {
            Reply::fresh("", 60).with("X-Method", request.method()).with_body(&request.body)
        });
        run
    }
}

impl Running {
    /// Repeats the request until it is a hit.
    async fn settle_search(&self, method: &str, fields: &[(&str, &str)], content: &[u8]) -> Answer {
        let search = async {
            loop {
                let answer = self.send(method, "/search", fields, content).await;
                if answer.is_hit() {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, search).await.expect("a hit in time")
    }
}

async fn the_same_content_hits_and_no_other(case: Case) {
    let run = case.start_to_search(&[]).await;
    let json = ("Content-Type", "application/json");
    let contents: [(&[(&str, &str)], &str); 6] = [
        (&[json], "{\"a\": 1}"),
        (&[json], "{\"a\": 2}"),
        (&[json], "{\"a\":1}"),
        (&[("Content-Type", "text/plain")], "{\"a\": 1}"),
        // RFC 10008 2.7: what the content means is said by these two.
        (&[json, ("Content-Encoding", "x")], "{\"a\": 1}"),
        (&[json], ""),
    ];
    for method in case.methods() {
        for (fields, content) in contents {
            let first = run.send(method, "/search", fields, content).await;
            assert!(!first.is_hit(), "{method} {fields:?} {content}: {first:?}");
            let hit = run.settle_search(method, fields, content.as_bytes()).await;
            for answer in [first, hit] {
                assert_eq!((answer.text().as_str(), answer.status()), (content, 200));
                assert_eq!(answer.field("x-method"), Some(*method));
            }
        }
    }
    // GET stores for itself.
    assert_eq!(run.settle("/search", &[]).await.field("x-method"), Some("GET"));
    for method in case.methods() {
        for (fields, content) in contents {
            let hit = run.send(method, "/search", fields, content).await;
            assert!(hit.is_hit() && hit.text() == content, "{hit:?}");
        }
    }
    let mut runs = BTreeMap::new();
    for request in run.origin.seen("/search") {
        *runs.entry(request.method().to_owned()).or_insert(0) += 1;
    }
    for method in case.methods() {
        assert_eq!(runs[*method], contents.len(), "{runs:?}");
    }
}

async fn the_content_arrives_to_the_byte(case: Case) {
    let run = case.start_to_search(&[]).await;
    let content: Vec<u8> = (0..=u8::MAX).cycle().take(60_000).collect();
    for method in case.methods() {
        let fields = [("Content-Type", "x/y"), ("X-Own", "1")];
        let first = run.send(method, "/search", &fields, &content).await;
        assert!(
            first.whole && first.body == content && first.cache().stored,
            "{:?}",
            first.cache()
        );
        let asked = run.origin.last("/search");
        assert!(asked.method() == *method && asked.whole && asked.body == content);
        assert_eq!(asked.field("content-length"), Some("60000"));
        assert_eq!(asked.field("transfer-encoding"), None);
        assert_eq!((asked.field("content-type"), asked.field("x-own")), (Some("x/y"), Some("1")));
        let hit = run.settle_search(method, &fields, &content).await;
        assert!(hit.whole && hit.body == content);
        // One bit of it.
        let mut other = content.clone();
        other[59_999] ^= 1;
        let answer = run.send(method, "/search", &fields, &other).await;
        assert!(!answer.is_hit() && answer.body == other, "{:?}", answer.cache());
    }
}

async fn chunks_are_the_same_content(case: Case) {
    let run = case.start_to_search(&[]).await;
    let chunked = [("Transfer-Encoding", "chunked")];
    for method in case.methods() {
        let chunks = "3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
        let first = run.send(method, "/search", &chunked, chunks).await;
        assert_eq!((first.text().as_str(), first.is_hit()), ("abcdefg", false), "{first:?}");
        let asked = run.origin.last("/search");
        assert!(asked.whole && asked.body == b"abcdefg", "{asked:?}");
        // However it is cut, and whether its length is said before or not.
        for chunks in [chunks, "7\r\nabcdefg\r\n0\r\n\r\n", "1\r\na\r\n6\r\nbcdefg\r\n0\r\n\r\n"] {
            let hit = run.settle_search(method, &chunked, chunks.as_bytes()).await;
            assert_eq!(hit.text(), "abcdefg");
        }
        assert!(run.send(method, "/search", &[], "abcdefg").await.is_hit());
        let other = run.send(method, "/search", &chunked, "6\r\nabcdef\r\n0\r\n\r\n").await;
        assert_eq!((other.text().as_str(), other.is_hit()), ("abcdef", false), "{other:?}");
    }
    assert_eq!(run.origin.count("/search"), 2 * case.methods().len());
}

async fn content_over_the_limit_passes_unstored(case: Case) {
    let run = case.start_to_search(&["--max-request-body", "1000"]).await;
    let chunked = [("Transfer-Encoding", "chunked")];
    for method in case.methods() {
        run.settle_search(method, &[], &[b'x'; 1000]).await;
        for size in [1001, 500_000] {
            let content = vec![b'x'; size];
            let chunks = [format!("{size:x}\r\n").as_bytes(), &content, b"\r\n0\r\n\r\n"].concat();
            for (fields, body) in [(&[][..], &content), (&chunked, &chunks)].repeat(2) {
                let answer = run.send(method, "/search", fields, body).await;
                assert!(answer.whole && answer.body == content, "{:?}", answer.cache());
                assert_eq!(answer.cache().fwd.as_deref(), Some("bypass"));
                assert_eq!(answer.cache().detail.as_deref(), Some("request-too-large"));
                assert!(!answer.is_hit() && !answer.cache().stored);
                let asked = run.origin.last("/search");
                assert!(asked.whole && asked.body == content, "{} bytes", asked.body.len());
            }
        }
    }
    assert_eq!(run.origin.count("/search"), 9 * case.methods().len());
}

async fn content_that_breaks_off_is_no_key(case: Case) {
    let run = case.start_to_search(&[]).await;
    for method in case.methods() {
        for announced in
            ["Content-Length: 6\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
        {
            let mut stream = TcpStream::connect(run.proxy.address()).await.unwrap();
            let request = format!("{method} /search HTTP/1.1\r\nHost: example.test\r\n{announced}");
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            // Whatever it is told, it is not what a whole request would be.
            if let Some(answer) = read_answer(&mut stream, method).await {
                assert!(answer.status() >= 400, "{answer:?}");
            }
        }
        let whole = run.send(method, "/search", &[], "abc").await;
        assert_eq!((whole.text().as_str(), whole.is_hit()), ("abc", false), "{whole:?}");
        assert!(run.origin.last("/search").whole);
    }
}

async fn who_waits_to_be_told_is_told(case: Case) {
    let run = case.start_to_search(&[]).await;
    for method in case.methods() {
        for round in ["a miss", "a hit"] {
            let mut stream = TcpStream::connect(run.proxy.address()).await.unwrap();
            let head = format!(
                "{method} /search HTTP/1.1\r\nHost: example.test\r\nExpect: 100-continue\r\n\
                 Content-Length: 3\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut told = Vec::new();
            timeout(PATIENCE, async {
                while !told.ends_with(b"\r\n\r\n") {
                    told.push(stream.read_u8().await.expect("an answer"));
                }
            })
            .await
            .expect("told in time");
            assert!(told.starts_with(b"HTTP/1.1 100 "), "RFC 9110 10.1.1: {told:?}");
            stream.write_all(b"abc").await.unwrap();
            let answer = read_answer(&mut stream, method).await.expect("an answer");
            assert_eq!(answer.text(), "abc");
            assert_eq!(answer.is_hit(), round == "a hit", "{round}: {answer:?}");
            run.settle_search(method, &[], b"abc").await;
        }
    }
}

async fn a_query_elsewhere_passes_and_changes_nothing(case: Case) {
    let run = case.start_to_search(&[]).await;
    run.origin.by("/other", |request| Reply::fresh(request.method(), 60));
    run.settle("/other", &[]).await;
    for _ in 0..2 {
        let answer = run.send("QUERY", "/other", &[], "abc").await;
        assert_eq!((answer.text().as_str(), answer.is_hit()), ("QUERY", false));
        assert_eq!(run.origin.last("/other").text(), "abc");
    }
    assert!(run.get("/other", &[]).await.is_hit(), "QUERY is safe (RFC 10008 2)");
    // On its own path too.
    run.settle("/search", &[]).await;
    for method in case.methods() {
        run.send(method, "/search", &[], "abc").await;
        assert!(run.get("/search", &[]).await.is_hit(), "{method}");
    }
}

async fn a_post_elsewhere_is_a_write(case: Case) {
    let run = case.start_to_search(&[]).await;
    run.settle_search("QUERY", &[], b"abc").await;
    run.settle_search("POST", &[], b"abc").await;
    run.origin.by("/other", |request| Reply::fresh(request.method(), 60));
    run.settle("/other", &[]).await;
    run.send("POST", "/other", &[], "abc").await;
    assert!(!run.get("/other", &[]).await.is_hit());
    // What was searched for ends as all that is on its path does.
    for method in METHODS {
        assert!(run.send(method, "/search", &[], "abc").await.is_hit(), "{method}");
    }
    run.send("PUT", "/search", &[], "").await;
    for method in METHODS {
        assert!(!run.send(method, "/search", &[], "abc").await.is_hit(), "{method}");
    }
}
