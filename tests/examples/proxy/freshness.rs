//! For how long (RFC 9111, section 4.2), and how old (section 4.2.3).

use std::time::{Duration, SystemTime};

use super::case::Case;
use super::origin::Reply;

in_each_case! {
    max_age_counts_from_the_origin,
    s_maxage_counts_before_max_age,
    age_is_added_up,
    what_is_stale_is_asked_for_again,
}

by_routes! {
    a_response_shortens_the_time_and_does_not_lengthen_it,
    no_cache_is_not_stored,
}

by_rfc9111! {
    max_age_lengthens_too,
    expires_less_date,
    a_malformed_expires_is_past,
    a_guess_from_last_modified,
    no_cache_is_validated_each_time,
    a_duplicate_counts_once,
}

/// So many seconds from now, as a field.
fn date(seconds: i64) -> String {
    #[allow(
        clippy::disallowed_methods,
        reason = "the proxy's process has no clock but the system's"
    )]
    let now = SystemTime::now();
    let shift = Duration::from_secs(seconds.unsigned_abs());
    httpdate::fmt_http_date(if seconds < 0 { now - shift } else { now + shift })
}

async fn max_age_counts_from_the_origin(case: Case) {
    let run = case.start().await;
    let ttl = run.stored("/", Reply::fresh("text", 40)).await.cache().ttl.unwrap();
    assert!((20..=40).contains(&ttl), "{ttl}");
}

async fn s_maxage_counts_before_max_age(case: Case) {
    let run = case.start().await;
    let reply = Reply::ok("text").with("Cache-Control", "max-age=5, s-maxage=50");
    let ttl = run.stored("/", reply).await.cache().ttl.unwrap();
    assert!((30..=50).contains(&ttl), "RFC 9111 4.2.1: {ttl}");
}

async fn age_is_added_up(case: Case) {
    let run = case.start().await;
    let hit = run.stored("/", Reply::fresh("text", 50).with("Age", "20")).await;
    let (age, ttl) = (hit.number("age"), hit.cache().ttl.unwrap());
    assert!((20..40).contains(&age) && (10..=30).contains(&ttl), "age {age}, ttl {ttl}");
    let later = run.until("/", &[], |answer| answer.number("age") > age).await;
    assert!(later.is_hit());
}

async fn what_is_stale_is_asked_for_again(case: Case) {
    let run = case.start().await;
    run.origin.on("/", [Reply::fresh("old", 1), Reply::fresh("new", 60)]);
    assert_eq!(run.get("/", &[]).await.text(), "old");
    run.until("/", &[], |answer| answer.text() == "new").await;
    assert!(run.settle("/", &[]).await.text() == "new");
    assert_eq!(run.origin.count("/"), 2);
}

async fn a_response_shortens_the_time_and_does_not_lengthen_it(case: Case) {
    let run = case.start_with(&["--ttl", "30"]).await;
    let ttl = run.stored("/longer", Reply::fresh("text", 3000)).await.cache().ttl.unwrap();
    assert!((10..=30).contains(&ttl), "{ttl}");
    let ttl = run.stored("/shorter", Reply::fresh("text", 10)).await.cache().ttl.unwrap();
    assert!(ttl <= 10, "{ttl}");
}

async fn no_cache_is_not_stored(case: Case) {
    let run = case.start().await;
    let reply = Reply::ok("text").with("Cache-Control", "no-cache").with("ETag", "\"1\"");
    run.never_stored("/", reply, &[]).await;
}

async fn max_age_lengthens_too(case: Case) {
    let run = case.start().await;
    let ttl = run.stored("/", Reply::fresh("text", 3000)).await.cache().ttl.unwrap();
    assert!((2900..=3000).contains(&ttl), "{ttl}");
}

async fn expires_less_date(case: Case) {
    let run = case.start().await;
    // The origin's clock is an hour behind: only the difference counts.
    let reply = Reply::ok("text").with("Date", &date(-30)).with("Expires", &date(70));
    let hit = run.stored("/", reply).await;
    let (age, ttl) = (hit.number("age"), hit.cache().ttl.unwrap());
    assert!((29..60).contains(&age), "RFC 9111 4.2.3, the apparent age: {age}");
    assert!((40..=71).contains(&ttl), "RFC 9111 4.2.1: {ttl}");
    // RFC 9111 5.3: max-age counts before Expires.
    let reply = Reply::fresh("text", 60).with("Expires", &date(-100));
    run.stored("/both", reply).await;
}

async fn a_malformed_expires_is_past(case: Case) {
    let run = case.start().await;
    for (target, expires) in
        [("/zero", "0"), ("/word", "soon"), ("/past", "Mon, 01 Jan 2024 00:00:00 GMT")]
    {
        run.never_stored(target, Reply::ok("text").with("Expires", expires), &[]).await;
    }
}

async fn a_guess_from_last_modified(case: Case) {
    let run = case.start().await;
    let reply = Reply::ok("text").with("Last-Modified", &date(-1000));
    let ttl = run.stored("/", reply).await.cache().ttl.unwrap();
    assert!((60..=101).contains(&ttl), "RFC 9111 4.2.2, a tenth: {ttl}");
    let reply = Reply::ok("text").with("Last-Modified", "Mon, 01 Jan 2001 00:00:00 GMT");
    let ttl = run.stored("/old", reply).await.cache().ttl.unwrap();
    assert!((86_000..=86_400).contains(&ttl), "a day at most: {ttl}");
    run.never_stored("/future", Reply::ok("text").with("Last-Modified", &date(100)), &[]).await;
}

async fn no_cache_is_validated_each_time(case: Case) {
    let run = case.start().await;
    let first =
        Reply::ok("text").with("Cache-Control", "no-cache, max-age=60").with("ETag", "\"1\"");
    run.origin.by("/", move |request| match request.field("if-none-match") {
        Some("\"1\"") => Reply::status("304 Not Modified", "").with("ETag", "\"1\""),
        _ => first.clone(),
    });
    run.until("/", &[], |answer| {
        assert_eq!((answer.status(), answer.text().as_str()), (200, "text"), "RFC 9111 5.2.2.4");
        run.origin.last("/").field("if-none-match").is_some()
    })
    .await;
    let before = run.origin.count("/");
    assert_eq!(run.get("/", &[]).await.text(), "text");
    assert_eq!(run.origin.count("/"), before + 1);
}

async fn a_duplicate_counts_once(case: Case) {
    let run = case.start().await;
    // RFC 9111 4.2.1: the first, or stale; never the longer.
    let reply = Reply::ok("text").with("Cache-Control", "max-age=30, max-age=3000");
    run.origin.on("/", [reply]);
    for _ in 0..3 {
        let answer = run.get("/", &[]).await;
        assert!(answer.cache().ttl.unwrap_or_default() <= 30, "{answer:?}");
    }
}
