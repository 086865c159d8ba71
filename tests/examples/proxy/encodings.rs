//! An origin that compresses for those who can decode it (RFC 9110, sections 8.4 and 12.5.3).

use super::case::{Case, Running};
use super::client::Answer;
use super::origin::Reply;

/// 200 bytes of text, as gzip has them.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x33\x30\x34\x32\x36\x31\x35\x33\xb7\
    \xb0\x34\x18\xd2\x2c\x00\x40\xa3\x29\x41\xc8\x00\x00\x00";

/// What clients say they accept, and whether that is gzip.
const CLIENTS: [(&[(&str, &str)], bool); 6] = [
    (&[("Accept-Encoding", "gzip")], true),
    (&[], false),
    (&[("Accept-Encoding", "br, gzip;q=0.5")], true),
    (&[("Accept-Encoding", "identity")], false),
    (&[("Accept-Encoding", "gzip;q=0")], false),
    (&[("Accept-Encoding", "")], false),
];

in_each_case! {
    each_gets_what_it_can_decode,
    a_validator_is_of_one_encoding,
    ranges_are_of_what_is_sent,
}

fn text() -> String {
    "0123456789".repeat(20)
}

/// `/` is sent with a length, `/chunks` in chunks.
fn script(run: &Running) {
    for (target, chunked) in [("/", false), ("/chunks", true)] {
        run.origin.by(target, move |request| {
            let accepted = request.field("accept-encoding").unwrap_or_default();
            let gzip = accepted.contains("gzip")
                && !accepted.contains("gzip;q=0,")
                && !accepted.ends_with("q=0");
            let reply = Reply::fresh(&text(), 60)
                .with("Vary", "Accept-Encoding")
                .with("ETag", if gzip { "\"v1-gzip\"" } else { "\"v1\"" });
            let (reply, body) = if gzip {
                (reply.with("Content-Encoding", "gzip"), GZIP.to_vec())
            } else {
                (reply, text().into_bytes())
            };
            if !chunked {
                return reply.with_body(&body);
            }
            let (first, second) = body.split_at(20);
            let mut chunks = Vec::new();
            for chunk in [first, second, b""] {
                chunks.extend(format!("{:x}\r\n", chunk.len()).bytes());
                chunks.extend(chunk.iter().chain(b"\r\n"));
            }
            reply.with("Transfer-Encoding", "chunked").with_body(&chunks)
        });
    }
}

fn check(answer: &Answer, gzip: bool) {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.field("content-encoding"), gzip.then_some("gzip"), "{answer:?}");
    let (tag, body) = if gzip { ("\"v1-gzip\"", GZIP) } else { ("\"v1\"", &*text().into_bytes()) };
    assert_eq!(answer.field("etag"), Some(tag));
    assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
    assert!(answer.whole && answer.body == body, "{answer:?}");
    if answer.is_hit() {
        assert_eq!(answer.number("content-length"), body.len() as u64);
        assert_eq!(answer.field("transfer-encoding"), None);
    }
}

async fn each_gets_what_it_can_decode(case: Case) {
    let run = case.start().await;
    script(&run);
    for target in ["/", "/chunks"] {
        for (fields, gzip) in CLIENTS {
            check(&run.get(target, fields).await, gzip);
            check(&run.settle(target, fields).await, gzip);
        }
        let asked = run.origin.count(target);
        // Now that all of them are stored.
        for (fields, gzip) in CLIENTS {
            let hit = run.get(target, fields).await;
            assert!(hit.is_hit(), "{fields:?}: {hit:?}");
            check(&hit, gzip);
            let head = run.send("HEAD", target, fields, "").await;
            assert_eq!(head.fields.len(), hit.fields.len(), "{head:?}");
            for name in ["content-encoding", "etag", "content-length", "vary"] {
                assert_eq!(head.field(name), hit.field(name), "RFC 9110 9.3.2: {name}");
            }
        }
        assert_eq!(run.origin.count(target), asked);
    }
}

async fn a_validator_is_of_one_encoding(case: Case) {
    let run = case.start().await;
    script(&run);
    for (fields, gzip) in CLIENTS {
        run.settle("/", fields).await;
        for (tag, is_gzips) in [("\"v1\"", false), ("\"v1-gzip\"", true)] {
            let fields = [fields, &[("If-None-Match", tag)]].concat();
            let answer = run.get("/", &fields).await;
            assert!(answer.is_hit());
            if gzip == is_gzips {
                assert_eq!((answer.status(), answer.field("etag")), (304, Some(tag)));
            } else {
                check(&answer, gzip);
            }
        }
    }
}

async fn ranges_are_of_what_is_sent(case: Case) {
    let run = case.start().await;
    script(&run);
    for (fields, gzip) in CLIENTS {
        let whole = run.settle("/", fields).await;
        let part = run.get("/", &[fields, &[("Range", "bytes=5-14")]].concat()).await;
        assert_eq!((part.status(), part.is_hit()), (206, true), "{part:?}");
        assert_eq!(part.body, whole.body[5..15], "RFC 9110 14: of the encoded bytes");
        let length = whole.body.len();
        assert_eq!(part.field("content-range"), Some(format!("bytes 5-14/{length}").as_str()));
        assert_eq!(part.field("content-encoding"), gzip.then_some("gzip"));
    }
}
