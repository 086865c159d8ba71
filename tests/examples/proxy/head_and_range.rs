//! HEAD and ranges from what GET stored (RFC 9110, sections 9.3.2 and 14).

use super::case::Case;
use super::origin::Reply;

const TEXT: &str = "0123456789abcdefghij";

in_each_case! {
    head_is_answered_from_get,
    an_answer_to_head_is_none_to_get,
    a_range_is_cut_from_the_whole,
    if_range_wants_the_same_bytes,
    what_is_no_single_range_is_answered_whole,
    a_part_is_not_stored_as_the_whole,
}

by_rfc9111! {
    head_updates_what_is_stored,
    head_ends_what_has_changed,
}

fn whole() -> Reply {
    Reply::fresh(TEXT, 60)
        .with("ETag", "\"1\"")
        .with("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
}

async fn head_is_answered_from_get(case: Case) {
    let run = case.start().await;
    let stored = run.stored("/", whole()).await;
    let head = run.send("HEAD", "/", &[], "").await;
    assert!(head.is_hit(), "{head:?}");
    assert_eq!(head.status(), 200);
    for name in ["etag", "last-modified", "cache-control", "content-length", "date"] {
        assert_eq!(head.field(name), stored.field(name), "RFC 9110 9.3.2: {name}");
    }
    assert_eq!(head.field("content-length"), Some("20"));
    let head = run.send("HEAD", "/", &[("If-None-Match", "\"1\"")], "").await;
    assert_eq!((head.status(), head.is_hit()), (304, true));
    let head = run.send("HEAD", "/", &[("Range", "bytes=0-4")], "").await;
    assert_eq!((head.status(), head.is_hit()), (200, true), "RFC 9110 14.2: for GET only");
    assert_eq!(run.origin.count("/"), 1);
}

async fn an_answer_to_head_is_none_to_get(case: Case) {
    let run = case.start().await;
    run.origin.on("/", [whole()]);
    let head = run.send("HEAD", "/", &[], "").await;
    assert_eq!((head.field("content-length"), head.is_hit()), (Some("20"), false));
    assert_eq!(run.origin.last("/").method(), "HEAD");
    let get = run.get("/", &[]).await;
    assert!(get.whole && get.text() == TEXT, "{get:?}");
    assert_eq!(run.settle("/", &[]).await.text(), TEXT);
}

async fn a_range_is_cut_from_the_whole(case: Case) {
    let run = case.start().await;
    run.stored("/", whole()).await;
    let rows = [
        ("bytes=0-9", 206, "bytes 0-9/20", "0123456789"),
        ("bytes=10-", 206, "bytes 10-19/20", "abcdefghij"),
        ("bytes=-5", 206, "bytes 15-19/20", "fghij"),
        ("bytes=-500", 206, "bytes 0-19/20", TEXT),
        ("bytes=19-500", 206, "bytes 19-19/20", "j"),
        ("BYTES=0-0", 206, "bytes 0-0/20", "0"),
        ("bytes=20-", 416, "bytes */20", ""),
        ("bytes=-0", 416, "bytes */20", ""),
    ];
    for (range, status, content_range, text) in rows {
        let answer = run.get("/", &[("Range", range)]).await;
        assert_eq!((answer.status(), answer.text().as_str()), (status, text), "{range}");
        assert_eq!(answer.field("content-range"), Some(content_range), "RFC 9110 14.4: {range}");
        assert_eq!(answer.number("content-length"), text.len() as u64);
        if status == 206 {
            assert!(answer.is_hit(), "{answer:?}");
            assert_eq!(answer.field("etag"), Some("\"1\""), "RFC 9110 15.3.7");
        }
    }
    let unchanged = run.get("/", &[("Range", "bytes=0-9"), ("If-None-Match", "\"1\"")]).await;
    assert_eq!(unchanged.status(), 304, "RFC 9110 13.2.2: the condition comes first");
    assert_eq!(run.origin.count("/"), 1);
}

async fn if_range_wants_the_same_bytes(case: Case) {
    let run = case.start().await;
    run.stored("/", whole()).await;
    let rows = [
        ("\"1\"", 206),
        ("\"2\"", 200),
        ("W/\"1\"", 200),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 206),
        ("Tue, 02 Jan 2024 00:00:00 GMT", 200),
    ];
    for (condition, status) in rows {
        let answer = run.get("/", &[("Range", "bytes=0-9"), ("If-Range", condition)]).await;
        assert_eq!(
            (answer.status(), answer.is_hit()),
            (status, true),
            "RFC 9110 13.1.5: {condition}"
        );
        assert_eq!(answer.body.len(), if status == 206 { 10 } else { 20 });
    }
}

async fn what_is_no_single_range_is_answered_whole(case: Case) {
    let run = case.start().await;
    run.stored("/", whole()).await;
    for range in ["bytes=0-1,5-6", "lines=0-1", "bytes=5-1", "bytes=a-b", "bytes"] {
        let answer = run.get("/", &[("Range", range)]).await;
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, TEXT),
            "RFC 9110 14.2: {range}"
        );
    }
}

async fn a_part_is_not_stored_as_the_whole(case: Case) {
    let run = case.start().await;
    let part = Reply::status("206 Partial Content", "01234")
        .with("Cache-Control", "max-age=60")
        .with("Content-Range", "bytes 0-4/20")
        .with("ETag", "\"1\"");
    let unasked = part.clone();
    run.origin.by("/", move |request| match request.field("range") {
        Some("bytes=0-4") => part.clone(),
        Some(other) => panic!("{other}"),
        None => whole(),
    });
    for _ in 0..2 {
        let answer = run.get("/", &[("Range", "bytes=0-4")]).await;
        if answer.is_hit() {
            break;
        }
        assert!(matches!(answer.status(), 206 | 200), "{answer:?}");
        if answer.status() == 206 {
            assert_eq!(answer.text(), "01234");
        }
    }
    let answer = run.get("/", &[]).await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, TEXT), "RFC 9111 3.3");
    assert_eq!(run.settle("/", &[]).await.text(), TEXT);
    let answer = run.get("/", &[("Range", "bytes=0-4")]).await;
    assert_eq!((answer.status(), answer.text().as_str(), answer.is_hit()), (206, "01234", true));

    run.never_stored("/unasked", unasked, &[]).await;
}

/// The `Cache-Control` that makes the cache pass HEAD on although GET is stored.
const ASK: (&str, &str) = ("Cache-Control", "no-cache");

async fn head_updates_what_is_stored(case: Case) {
    let run = case.start().await;
    run.stored("/", whole().with("X-Version", "1")).await;
    run.origin.on("/", [whole().with("X-Version", "2")]);
    run.send("HEAD", "/", &[ASK], "").await;
    let hit = run.until("/", &[], |answer| answer.field("x-version") == Some("2")).await;
    assert_eq!((hit.is_hit(), hit.text().as_str()), (true, TEXT), "RFC 9111 4.3.5: {hit:?}");
    let gets = run.origin.seen("/").iter().filter(|asked| asked.method() == "GET").count();
    assert_eq!(gets, 1);
}

async fn head_ends_what_has_changed(case: Case) {
    let run = case.start().await;
    run.stored("/", whole()).await;
    run.origin.on("/", [Reply::fresh("other", 60).with("ETag", "\"2\"")]);
    let head = run.send("HEAD", "/", &[ASK], "").await;
    assert_eq!(head.field("content-length"), Some("5"));
    let get = run.until("/", &[], |answer| answer.text() == "other").await;
    assert_eq!(get.field("etag"), Some("\"2\""), "RFC 9111 4.3.5");
}
