//! Stale answers (RFC 5861; RFC 9111, section 4.2.4): while a refresh runs, and when the origin
//! fails.

use super::case::{Attitude, Case, Running};
use super::origin::Reply;

in_each_case! {
    stale_while_one_refresh_runs,
    stale_when_the_origin_is_gone,
    stale_when_the_origin_closes_early,
    stale_when_the_origin_is_late,
    stale_when_the_origin_answers_503,
    what_must_be_fresh_is_not_served_stale,
    without_anything_stored_the_error_shows,
}

by_rfc9111! {
    no_window_no_stale_answer,
}

/// With a reply in the store that was fresh for a second and may be served after that.
async fn expired(case: Case, more: &[&str], directive: &str) -> Running {
    let run = case.start_with(more).await;
    let control = match case.attitude {
        Attitude::Routes => "max-age=1".to_owned(),
        Attitude::Rfc9111 => format!("max-age=1, {directive}"),
    };
    // The window is a minute; the rest of the second is waited for by whoever asks.
    run.stored("/", Reply::ok("old").with("Cache-Control", &control).with("ETag", "\"1\"")).await;
    run
}

async fn stale_while_one_refresh_runs(case: Case) {
    let run = expired(case, &["--stale-while-revalidate", "60"], "stale-while-revalidate=60").await;
    run.origin.on("/", [Reply::fresh("new", 60).after(500)]);
    let stale = run
        .until("/", &[], |answer| {
            assert!(answer.is_hit(), "it never waits for the origin: {answer:?}");
            answer.cache().ttl.unwrap() < 0
        })
        .await;
    assert_eq!(stale.text(), "old");
    assert!(stale.number("age") >= 1);
    let fresh = run
        .until("/", &[], |answer| {
            assert!(answer.is_hit(), "{answer:?}");
            answer.text() == "new"
        })
        .await;
    assert!(fresh.cache().ttl.unwrap() > 30);
    assert_eq!(run.origin.count("/"), 2, "one refresh, however many asked");
}

/// What is served once the second is over.
async fn is_served_stale(run: &Running) {
    let stale = run
        .until("/", &[], |answer| {
            assert_eq!((answer.status(), answer.text().as_str()), (200, "old"), "{answer:?}");
            answer.cache().ttl.unwrap_or_default() < 0
        })
        .await;
    assert!(stale.whole && stale.number("age") >= 1, "{stale:?}");
}

async fn stale_when_the_origin_is_gone(case: Case) {
    let run = expired(case, &[], "stale-if-error=60").await;
    run.origin.stop().await;
    is_served_stale(&run).await;
}

async fn stale_when_the_origin_closes_early(case: Case) {
    let run = expired(case, &[], "stale-if-error=60").await;
    run.origin.on("/", [Reply::raw("")]);
    is_served_stale(&run).await;
    run.origin.on("/", [Reply::raw("HTTP/1.1 200 OK\r\nContent-Le")]);
    is_served_stale(&run).await;
}

async fn stale_when_the_origin_is_late(case: Case) {
    let run = expired(case, &["--timeout", "1"], "stale-if-error=60").await;
    run.origin.on("/", [Reply::fresh("late", 60).after(60_000)]);
    is_served_stale(&run).await;
}

async fn stale_when_the_origin_answers_503(case: Case) {
    let run = expired(case, &[], "stale-if-error=60").await;
    run.origin.on("/", [Reply::status("503 Busy", "busy")]);
    is_served_stale(&run).await;
}

async fn what_must_be_fresh_is_not_served_stale(case: Case) {
    let run = case.start_with(&["--stale-while-revalidate", "60"]).await;
    for (target, directive) in [("/m", "must-revalidate"), ("/p", "proxy-revalidate")] {
        let control =
            format!("max-age=1, stale-while-revalidate=60, stale-if-error=60, {directive}");
        run.stored(target, Reply::ok("old").with("Cache-Control", &control)).await;
        run.origin.on(target, [Reply::raw("")]);
        let failed = run
            .until(target, &[], |answer| {
                assert!(answer.cache().ttl.unwrap_or_default() >= 0, "{answer:?}");
                !answer.is_hit()
            })
            .await;
        assert!(matches!(failed.status(), 502 | 504), "RFC 9111 5.2.2.2, 5.2.2.8: {failed:?}");
    }
}

async fn without_anything_stored_the_error_shows(case: Case) {
    let run = case.start_with(&["--timeout", "1"]).await;
    run.origin.on("/early", [Reply::raw("")]);
    run.origin.on("/garbage", [Reply::raw("SMTP ready\r\n\r\n")]);
    run.origin.on("/late", [Reply::ok("late").after(60_000)]);
    for (target, status) in [("/early", 502), ("/garbage", 502), ("/late", 504)] {
        for method in ["GET", "POST"] {
            let answer = run.send(method, target, &[], "").await;
            assert_eq!(answer.status(), status, "{method} {target}: {answer:?}");
            assert_eq!(run.origin.last(target).method(), method);
        }
        assert_eq!(run.origin.count(target), 2, "what reached the origin is not sent again");
    }
    run.origin.stop().await;
    assert_eq!(run.get("/gone", &[]).await.status(), 502);
}

async fn no_window_no_stale_answer(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("old", 1)).await;
    run.origin.on("/", [Reply::status("503 Busy", "busy")]);
    let answer = run.until("/", &[], |answer| !answer.is_hit()).await;
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
}
