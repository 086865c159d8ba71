//! Which fields pass, which are stored, and what Cache-Status says (RFC 9110, section 7.6.1; RFC
//! 9211).

use super::case::Case;
use super::client::Answer;
use super::origin::Reply;

in_each_case! {
    requests_reach_the_origin_as_they_came,
    hop_by_hop_fields_are_not_replayed,
    what_tells_of_one_request_is_replayed_by_rfc9111_alone,
    cache_status_tells_what_happened,
    cache_status_comes_after_what_upstream_caches_said,
}

async fn requests_reach_the_origin_as_they_came(case: Case) {
    let run = case.start().await;
    run.origin.on("/a%20b/?x=%31&y", [Reply::ok("text")]);
    let fields = [
        ("Host", "site.test:81"),
        ("X-Own", "1"),
        ("X-Own", "2"),
        ("X-Latin", "caf\u{e9}"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Connection", "X-Hop"),
        ("X-Hop", "for you alone"),
    ];
    for method in ["GET", "POST", "FROB"] {
        run.send(method, "/a%20b/?x=%31&y", &fields, "content").await;
        let asked = run.origin.last("/a%20b/?x=%31&y");
        assert_eq!((asked.method(), asked.text().as_str()), (method, "content"));
        assert_eq!(asked.field("host"), Some("site.test:81"));
        assert_eq!(asked.all("x-own"), ["1", "2"]);
        assert_eq!(asked.field("x-latin"), Some("caf\u{e9}"));
        for name in ["keep-alive", "proxy-connection", "te", "connection", "x-hop"] {
            assert_eq!(asked.field(name), None, "RFC 9110 7.6.1");
        }
    }
}

async fn hop_by_hop_fields_are_not_replayed(case: Case) {
    let run = case.start().await;
    let reply = Reply::fresh("text", 60)
        .with("Connection", "X-Hop, Keep-Alive")
        .with("Connection", "x-second ,, Server-Timing")
        .with("X-Hop", "for you alone")
        .with("X-Second", "for you alone")
        .with("Server-Timing", "hop;dur=1")
        .with("Proxy-Connection", "keep-alive")
        .with("TE", "trailers")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Authenticate", "Basic")
        .with("Proxy-Authentication-Info", "x")
        .with("Upgrade", "h2c")
        .with("X-Own", "1");
    run.origin.on("/", [reply]);
    let first = run.get("/", &[]).await;
    let hit = run.settle("/", &[]).await;
    for answer in [first, hit] {
        for name in [
            "x-hop",
            "x-second",
            "server-timing",
            "keep-alive",
            "proxy-connection",
            "te",
            "proxy-authenticate",
            "proxy-authentication-info",
            "upgrade",
        ] {
            assert_eq!(answer.field(name), None, "RFC 9111 3.1: {answer:?}");
        }
        assert_eq!(answer.field("x-own"), Some("1"));
    }
}

async fn what_tells_of_one_request_is_replayed_by_rfc9111_alone(case: Case) {
    const FIELDS: [(&str, &str); 3] = [
        ("X-Request-Id", "1"),
        ("Server-Timing", "db;dur=5"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let run = case.start().await;
    let reply = FIELDS
        .iter()
        .fold(Reply::fresh("text", 60).with("X-Own", "1"), |reply, (n, v)| reply.with(n, v));
    run.origin.on("/", [reply]);
    let first = run.get("/", &[]).await;
    let hit = run.settle("/", &[]).await;
    assert_eq!((run.origin.count("/"), hit.field("x-own")), (1, Some("1")));
    for (name, value) in FIELDS {
        assert_eq!(first.field(name), Some(value), "whose request it was");
        // RFC 9111 3.1: all fields but those for one hop are stored.
        assert_eq!(hit.field(name), run.is_rfc9111.then_some(value), "{hit:?}");
    }
}

async fn cache_status_tells_what_happened(case: Case) {
    let run = case.start().await;
    run.origin.on("/", [Reply::fresh("text", 50)]);
    let miss = run.get("/", &[]).await.cache();
    assert_eq!(miss.cache, "caching-proxy");
    assert!(matches!(miss.fwd.as_deref(), Some("miss" | "uri-miss")), "{miss:?}");
    assert!(miss.stored && !miss.collapsed, "{miss:?}");
    assert!((40..=50).contains(&miss.ttl.unwrap()), "{miss:?}");
    let hit = run.settle("/", &[]).await.cache();
    assert!(hit.hit && hit.detail.is_none() && (10..=50).contains(&hit.ttl.unwrap()), "{hit:?}");

    run.origin.on("/no", [Reply::ok("text").with("Cache-Control", "no-store")]);
    let refused = run.get("/no", &[]).await.cache();
    assert!(!refused.stored, "{refused:?}");
    assert_eq!(refused.detail.as_deref(), Some("no-store"));
    let write = run.send("POST", "/", &[], "").await.cache();
    assert_eq!(write.fwd.as_deref(), Some("method"));
}

async fn cache_status_comes_after_what_upstream_caches_said(case: Case) {
    let run = case.start().await;
    let reply = Reply::fresh("text", 60)
        .with("Cache-Status", "Inner; fwd=uri-miss; ttl=60; stored, Middle; hit; ttl=-5")
        .with("Cache-Status", "\"outer, one\"; fwd=stale; fwd-status=304; detail=\"a, b; hit\"");
    run.origin.on("/", [reply]);
    let caches = |answer: &Answer| -> Vec<_> {
        answer.statuses().into_iter().map(|status| status.cache).collect()
    };
    let miss = run.get("/", &[]).await;
    assert_eq!(caches(&miss), ["Inner", "Middle", "outer, one", "caching-proxy"], "RFC 9211 2");
    let said = miss.statuses();
    assert_eq!((said[0].ttl, said[0].stored), (Some(60), true));
    assert_eq!((said[1].hit, said[1].ttl), (true, Some(-5)));
    assert_eq!((said[2].fwd_status, said[2].detail.as_deref()), (Some(304), Some("a, b; hit")));
    assert!(said[3].fwd.is_some() && said[3].stored, "{miss:?}");
    // Of a hit those caches know nothing.
    let hit = run.settle("/", &[]).await;
    assert_eq!(caches(&hit), ["caching-proxy"], "{hit:?}");
}
