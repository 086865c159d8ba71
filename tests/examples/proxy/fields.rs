//! Which fields pass, which are stored, and what Cache-Status says (RFC 9110, section 7.6.1; RFC
//! 9211).

use super::case::Case;
use super::origin::Reply;

in_each_case! {
    requests_reach_the_origin_as_they_came,
    hop_by_hop_fields_are_not_replayed,
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
        .with("X-Hop", "for you alone")
        .with("Keep-Alive", "timeout=5")
        .with("Proxy-Authenticate", "Basic")
        .with("Proxy-Authentication-Info", "x")
        .with("Upgrade", "h2c")
        .with("X-Own", "1");
    run.origin.on("/", [reply]);
    let first = run.get("/", &[]).await;
    let hit = run.settle("/", &[]).await;
    for answer in [first, hit] {
        for name in
            ["x-hop", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "upgrade"]
        {
            assert_eq!(answer.field(name), None, "RFC 9111 3.1: {answer:?}");
        }
        assert_eq!(answer.field("x-own"), Some("1"));
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
    run.origin
        .on("/", [Reply::fresh("text", 60).with("Cache-Status", "Inner; fwd=uri-miss; ttl=60")]);
    let miss = run.get("/", &[]).await.statuses();
    let caches: Vec<_> = miss.iter().map(|status| status.cache.as_str()).collect();
    assert_eq!(caches, ["Inner", "caching-proxy"], "RFC 9211 2");
    let hit = run.settle("/", &[]).await.statuses();
    assert_eq!(hit.last().map(|status| status.cache.as_str()), Some("caching-proxy"));
}
