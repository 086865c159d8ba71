//! The directives of requests (RFC 9111, section 5.2.1): obeyed by the one attitude, and by the
//! other ignored, so that no client can send every request to the origin.

use super::case::Case;
use super::origin::Reply;

by_routes! {
    directives_are_ignored,
}

by_rfc9111! {
    no_cache_asks_the_origin,
    pragma_is_no_cache_where_nothing_else_is_said,
    no_store_is_not_stored,
    max_age_limits_the_age,
    min_fresh_wants_more_time,
    max_stale_takes_what_is_stale,
    only_if_cached_never_asks,
}

async fn directives_are_ignored(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("text", 60)).await;
    for control in ["no-cache", "no-store", "max-age=0", "min-fresh=1000", "only-if-cached"] {
        assert!(run.get("/", &[("Cache-Control", control)]).await.is_hit(), "{control}");
    }
    assert!(run.get("/", &[("Pragma", "no-cache")]).await.is_hit());
    run.origin.on("/other", [Reply::fresh("other", 60)]);
    let answer = run.get("/other", &[("Cache-Control", "only-if-cached, no-store")]).await;
    assert_eq!(answer.text(), "other");
    run.settle("/other", &[("Cache-Control", "no-store")]).await;
    assert_eq!(run.origin.count("/other"), 1);
}

async fn no_cache_asks_the_origin(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("old", 60)).await;
    run.origin.on("/", [Reply::fresh("new", 60)]);
    let answer = run.get("/", &[("Cache-Control", "no-cache")]).await;
    assert_eq!(answer.text(), "new");
    assert_eq!(answer.cache().fwd.as_deref(), Some("request"), "RFC 9211 2.2");
    let later = run.until("/", &[], |answer| answer.text() == "new").await;
    assert!(later.is_hit(), "it takes the old one's place: {later:?}");
}

async fn pragma_is_no_cache_where_nothing_else_is_said(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("old", 60)).await;
    run.origin.on("/", [Reply::fresh("new", 60)]);
    let other = run.get("/", &[("Pragma", "no-cache"), ("Cache-Control", "max-stale=0")]).await;
    assert!(other.is_hit(), "RFC 9111 5.4: {other:?}");
    assert_eq!(run.get("/", &[("Pragma", "no-cache")]).await.text(), "new");
}

async fn no_store_is_not_stored(case: Case) {
    let run = case.start().await;
    run.never_stored("/", Reply::fresh("text", 60), &[("Cache-Control", "no-store")]).await;
}

async fn max_age_limits_the_age(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("old", 60).with("Age", "20")).await;
    assert!(run.get("/", &[("Cache-Control", "max-age=50")]).await.is_hit());
    run.origin.on("/", [Reply::fresh("new", 60)]);
    assert_eq!(run.get("/", &[("Cache-Control", "max-age=10")]).await.text(), "new");
}

async fn min_fresh_wants_more_time(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("old", 60)).await;
    assert!(run.get("/", &[("Cache-Control", "min-fresh=10")]).await.is_hit());
    run.origin.on("/", [Reply::fresh("new", 600)]);
    assert_eq!(run.get("/", &[("Cache-Control", "min-fresh=100")]).await.text(), "new");
}

async fn max_stale_takes_what_is_stale(case: Case) {
    let run = case.start().await;
    // Stale from the beginning, and stored because it can be validated.
    let stale = Reply::fresh("old", 10).with("Age", "20").with("ETag", "\"1\"");
    run.origin.on("/", [stale.clone(), Reply::fresh("new", 60)]);
    assert_eq!(run.get("/", &[]).await.text(), "old");
    let answer = run
        .until("/", &[("Cache-Control", "max-stale=1000, only-if-cached")], |a| a.status() == 200)
        .await;
    assert_eq!(answer.text(), "old");
    assert!(answer.is_hit() && answer.cache().ttl.unwrap() < 0, "{answer:?}");
    assert_eq!(run.get("/", &[("Cache-Control", "max-stale=5")]).await.text(), "new");

    let strict = Reply::ok("old")
        .with("Cache-Control", "max-age=10, must-revalidate")
        .with("Age", "20")
        .with("ETag", "\"1\"");
    run.origin.on("/strict", [strict, Reply::fresh("new", 60)]);
    run.get("/strict", &[]).await;
    let answer = run.get("/strict", &[("Cache-Control", "max-stale")]).await;
    assert_eq!(answer.text(), "new", "RFC 9111 5.2.2.2");
}

async fn only_if_cached_never_asks(case: Case) {
    let run = case.start().await;
    run.origin.on("/", [Reply::fresh("text", 60)]);
    let answer = run.get("/", &[("Cache-Control", "only-if-cached")]).await;
    assert_eq!(answer.status(), 504, "RFC 9111 5.2.1.7");
    assert_eq!(run.origin.count("/"), 0);
    run.settle("/", &[]).await;
    assert!(run.get("/", &[("Cache-Control", "only-if-cached")]).await.is_hit());
}
