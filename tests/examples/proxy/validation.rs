//! Conditional requests (RFC 9110, section 13): a client's, and the cache's own (RFC 9111, 4.3).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::case::{Case, Running};
use super::client::Message;
use super::origin::Reply;

const OLD: &str = "Mon, 01 Jan 2024 00:00:00 GMT";
const NEW: &str = "Tue, 02 Jan 2024 00:00:00 GMT";

in_each_case! {
    if_none_match_is_answered_from_the_cache,
    if_modified_since_is_answered_from_the_cache,
    an_etag_keeps_its_bytes,
    a_clients_condition_does_not_decide_what_others_get,
    a_304_has_the_fields_that_it_must_have,
    what_is_stale_is_validated_by_its_own_validators,
    a_304_updates_what_is_stored,
    a_200_takes_the_place_of_what_is_stored,
    a_304_about_something_else_proves_nothing,
    what_a_304_did_not_confirm_is_not_asked_about_again,
    a_client_with_the_same_tag_gets_304_after_validation,
}

async fn if_none_match_is_answered_from_the_cache(case: Case) {
    let run = case.start().await;
    run.stored("/strong", Reply::fresh("text", 60).with("ETag", "\"b\"")).await;
    run.stored("/weak", Reply::fresh("text", 60).with("ETag", "W/\"b\"")).await;
    let rows = [
        ("\"b\"", 304),
        ("W/\"b\"", 304),
        ("*", 304),
        ("\"a\", \"b\"", 304),
        ("\"a\", W/\"b\" , \"c\"", 304),
        ("\"a,b\", \"b\"", 304),
        ("\"a\"", 200),
        ("\"B\"", 200),
        ("b", 200),
    ];
    for target in ["/strong", "/weak"] {
        for (condition, status) in rows {
            let answer = run.get(target, &[("If-None-Match", condition)]).await;
            assert_eq!(answer.status(), status, "RFC 9110 13.1.2, {target} {condition}");
            assert!(answer.is_hit(), "{answer:?}");
            assert_eq!(answer.text(), if status == 304 { "" } else { "text" });
        }
        assert_eq!(run.origin.count(target), 1);
    }
}

async fn if_modified_since_is_answered_from_the_cache(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("text", 60).with("Last-Modified", NEW).with("ETag", "\"1\""))
        .await;
    let rows: [(&[(&str, &str)], u16); 5] = [
        (&[("If-Modified-Since", NEW)], 304),
        (&[("If-Modified-Since", "Wed, 03 Jan 2024 00:00:00 GMT")], 304),
        (&[("If-Modified-Since", OLD)], 200),
        (&[("If-Modified-Since", "yesterday")], 200),
        // RFC 9110 13.1.3: ignored where there is If-None-Match.
        (&[("If-Modified-Since", NEW), ("If-None-Match", "\"2\"")], 200),
    ];
    for (fields, status) in rows {
        let answer = run.get("/", fields).await;
        assert_eq!((answer.status(), answer.is_hit()), (status, true), "{fields:?}");
    }
}

async fn an_etag_keeps_its_bytes(case: Case) {
    let run = case.start().await;
    for (target, tag) in
        [("/1", "\"\""), ("/2", "W/\"a b\\\""), ("/3", "\"!#~{}\""), ("/4", "unquoted")]
    {
        let hit = run.stored(target, Reply::fresh("text", 60).with("ETag", tag)).await;
        assert_eq!(hit.field("etag"), Some(tag));
    }
}

async fn a_clients_condition_does_not_decide_what_others_get(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| match request.field("if-none-match") {
        Some("\"1\"") => Reply::status("304 Not Modified", "").with("ETag", "\"1\""),
        _ => Reply::fresh("text", 60).with("ETag", "\"1\""),
    });
    let own = run.get("/", &[("If-None-Match", "\"1\"")]).await;
    assert!(matches!(own.status(), 200 | 304), "{own:?}");
    let other = run.get("/", &[]).await;
    assert_eq!((other.status(), other.text().as_str()), (200, "text"));
    assert_eq!(run.settle("/", &[]).await.text(), "text");
}

async fn a_304_has_the_fields_that_it_must_have(case: Case) {
    let run = case.start().await;
    let reply = Reply::fresh("text", 60)
        .with("ETag", "\"1\"")
        .with("Content-Location", "/text")
        .with("Content-Type", "text/plain")
        .with("Expires", "Fri, 01 Jan 2100 00:00:00 GMT");
    let stored = run.stored("/", reply).await;
    let answer = run.get("/", &[("If-None-Match", "\"1\"")]).await;
    assert_eq!(answer.status(), 304);
    for name in ["etag", "content-location", "cache-control", "expires", "date"] {
        assert_eq!(answer.field(name), stored.field(name), "RFC 9110 15.4.5: {name}");
    }
    assert_eq!(answer.field("content-type"), None);
    assert!(answer.field("age").is_some());
}

/// What soon is stale, and is kept because it can be validated.
fn stale(run: &Running) -> Reply {
    let reply = if run.is_rfc9111 {
        // From the beginning.
        Reply::fresh("text", 10).with("Age", "20")
    } else {
        Reply::fresh("text", 1)
    };
    reply.with("ETag", "\"1\"").with("Last-Modified", OLD)
}

async fn what_is_stale_is_validated_by_its_own_validators(case: Case) {
    let run = case.start().await;
    let stale = stale(&run);
    run.origin.by("/", move |request| match request.field("if-none-match") {
        None => stale.clone(),
        Some(_) => Reply::status("304 Not Modified", "")
            .with("ETag", "\"1\"")
            .with("Cache-Control", "max-age=60"),
    });
    run.get("/", &[]).await;
    // The client's own condition is for the answer, not for the question.
    let answer = run
        .until("/", &[("If-None-Match", "\"other\"")], |_| {
            run.origin.last("/").field("if-none-match").is_some()
        })
        .await;
    assert_eq!((answer.status(), answer.text().as_str()), (200, "text"), "{answer:?}");
    let asked = run.origin.last("/");
    assert_eq!(asked.field("if-none-match"), Some("\"1\""), "RFC 9111 4.3.1");
    assert_eq!(asked.field("if-modified-since"), Some(OLD));
    assert_eq!(answer.cache().fwd.as_deref(), Some("stale"));
    assert_eq!(answer.cache().fwd_status, Some(304), "RFC 9211 2.3");
    let count = run.origin.count("/");
    assert!(run.settle("/", &[]).await.cache().ttl.unwrap() > 30);
    assert_eq!(run.origin.count("/"), count, "fresh again");
}

async fn a_304_updates_what_is_stored(case: Case) {
    let run = case.start().await;
    let stale = stale(&run);
    run.origin.by("/", move |request| match request.field("if-none-match") {
        None => {
            stale.clone().with("X-Version", "1").with("X-Kept", "1").with("Content-Type", "text/a")
        }
        Some(_) => Reply::status("304 Not Modified", "")
            .with("ETag", "\"1\"")
            .with("Cache-Control", "max-age=60")
            .with("X-Version", "2")
            .with("X-New", "2")
            .with("Content-Type", "text/b")
            .with("Content-Length", "99"),
    });
    run.get("/", &[]).await;
    let after = run
        .until("/", &[], |answer| answer.is_hit() && answer.field("x-version") == Some("2"))
        .await;
    assert_eq!(after.text(), "text");
    assert_eq!(after.field("x-version"), Some("2"), "RFC 9111 3.2");
    assert_eq!(after.field("x-new"), Some("2"));
    assert_eq!(after.field("x-kept"), Some("1"));
    assert_eq!(after.field("cache-control"), Some("max-age=60"));
    assert_eq!(after.field("content-length"), Some("4"), "RFC 9111 3.2: not this one");
    assert!(after.number("age") < 20, "the validation is the new beginning: {after:?}");
}

async fn a_200_takes_the_place_of_what_is_stored(case: Case) {
    let run = case.start().await;
    let stale = stale(&run);
    run.origin.by("/", move |request| match request.field("if-none-match") {
        None => stale.clone(),
        Some(_) => Reply::fresh("new text", 60).with("ETag", "\"2\""),
    });
    run.get("/", &[]).await;
    let after = run.until("/", &[], |answer| answer.is_hit() && answer.text() == "new text").await;
    assert_eq!((after.text().as_str(), after.field("etag")), ("new text", Some("\"2\"")));
    assert_eq!(run.get("/", &[("If-None-Match", "\"2\"")]).await.status(), 304);
    assert_eq!(run.get("/", &[("If-None-Match", "\"1\"")]).await.status(), 200);
}

async fn a_304_about_something_else_proves_nothing(case: Case) {
    let run = case.start().await;
    let stale = stale(&run);
    run.origin.by("/", move |request| match request.field("if-none-match") {
        None => stale.clone(),
        Some(_) => Reply::status("304 Not Modified", "")
            .with("ETag", "\"other\"")
            .with("Cache-Control", "max-age=60"),
    });
    let asked = |run: &Running| {
        run.origin.seen("/").iter().any(|request| request.field("if-none-match").is_some())
    };
    let answer = run
        .until("/", &[], |answer| {
            // A client that asked for nothing of the kind gets no 304, and nothing outdated.
            assert!([200, 502].contains(&answer.status()), "{answer:?}");
            asked(&run)
        })
        .await;
    assert!(!answer.is_hit(), "RFC 9111 4.3.4: {answer:?}");
}

/// Some servers tag what they compress, and forget it in their 304.
async fn what_a_304_did_not_confirm_is_not_asked_about_again(case: Case) {
    let run = case.start().await;
    let stale = stale(&run).with("Content-Encoding", "x");
    let asked = AtomicBool::new(false);
    run.origin.by("/", move |request| match request.field("if-none-match") {
        None if asked.load(Relaxed) => Reply::fresh("new", 60),
        None => stale.clone(),
        Some(_) => {
            asked.store(true, Relaxed);
            Reply::status("304 Not Modified", "").with("ETag", "\"other\"")
        }
    });
    run.get("/", &[]).await;
    run.until("/", &[], |answer| answer.is_hit() && answer.text() == "new").await;
    let conditions = |request: &&Message| request.field("if-none-match").is_some();
    assert_eq!(run.origin.seen("/").iter().filter(conditions).count(), 1);
}

async fn a_client_with_the_same_tag_gets_304_after_validation(case: Case) {
    let run = case.start().await;
    let stale = stale(&run);
    run.origin.by("/", move |request| match request.field("if-none-match") {
        None => stale.clone(),
        Some(_) => Reply::status("304 Not Modified", "").with("ETag", "\"1\""),
    });
    run.get("/", &[]).await;
    let answer = run
        .until("/", &[("If-None-Match", "\"1\"")], |_| {
            run.origin.last("/").field("if-modified-since").is_some()
        })
        .await;
    assert_eq!((answer.status(), answer.text().as_str()), (304, ""));
}
