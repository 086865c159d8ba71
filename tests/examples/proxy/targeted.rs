//! Fields that speak to this cache alone (RFC 9213).

use super::case::Case;
use super::origin::Reply;

const CDN: [&str; 2] = ["--targeted", "CDN-Cache-Control"];

in_each_case! {
    it_counts_in_the_place_of_cache_control,
    a_malformed_one_is_ignored_whole,
    the_first_that_is_there_counts,
    nobody_listens_to_it_unasked,
}

fn reply(fields: &[(&str, &str)]) -> Reply {
    fields.iter().fold(Reply::ok("text"), |reply, (name, value)| reply.with(name, value))
}

async fn it_counts_in_the_place_of_cache_control(case: Case) {
    let run = case.start_with(&CDN).await;
    for (target, targeted) in
        [("/no-store", "no-store"), ("/private", "private, max-age=50"), ("/zero", "max-age=0")]
    {
        let fields = [("Cache-Control", "max-age=60"), ("CDN-Cache-Control", targeted)];
        run.never_stored(target, reply(&fields), &[]).await;
    }
    for (target, other) in [
        ("/shorter", ("Cache-Control", "max-age=5")),
        ("/refused", ("Cache-Control", "no-store, private")),
        ("/expired", ("Expires", "0")),
    ] {
        let fields = [other, ("CDN-Cache-Control", "max-age=50")];
        let hit = run.stored(target, reply(&fields)).await;
        assert!((10..=50).contains(&hit.cache().ttl.unwrap()), "RFC 9213 2.2: {hit:?}");
        // Caches further on have their own to go by.
        assert_eq!(hit.field(other.0), Some(other.1));
    }
    // All lines are one value.
    let fields = [
        ("CDN-Cache-Control", "max-age=50"),
        ("CDN-Cache-Control", "no-store"),
        ("Cache-Control", "max-age=60"),
    ];
    run.never_stored("/lines", reply(&fields), &[]).await;
}

async fn a_malformed_one_is_ignored_whole(case: Case) {
    let run = case.start_with(&CDN).await;
    for (row, targeted) in
        ["no-store, max-age=", "no-store, Max-Age=50", "", "no-store;", "no-store, x=\"caf\u{e9}\""]
            .into_iter()
            .enumerate()
    {
        let malformed = ("CDN-Cache-Control", targeted);
        let hit = run
            .stored(&format!("/a/{row}"), reply(&[malformed, ("Cache-Control", "max-age=40")]))
            .await;
        assert!((5..=40).contains(&hit.cache().ttl.unwrap()), "RFC 9213 2.1: {targeted}: {hit:?}");
    }
    for (row, targeted) in ["max-age=50, public=", "max-age=50, , public"].into_iter().enumerate() {
        let fields = [("CDN-Cache-Control", targeted), ("Cache-Control", "no-store")];
        run.never_stored(&format!("/b/{row}"), reply(&fields), &[]).await;
    }
    // Well-formed, with a value that means nothing: as restrictive as can be.
    let fields = [("CDN-Cache-Control", "max-age=\"50\""), ("Cache-Control", "max-age=60")];
    run.never_stored("/type", reply(&fields), &[]).await;
}

async fn the_first_that_is_there_counts(case: Case) {
    let names = ["--targeted", "Own-Cache-Control", "--targeted", "CDN-Cache-Control"];
    let run = case.start_with(&names).await;
    // The order is the proxy's, not the response's.
    let long = ("CDN-Cache-Control", "max-age=50");
    let refused = ("Cache-Control", "no-store");
    run.never_stored("/own", reply(&[long, ("Own-Cache-Control", "no-store")]), &[]).await;
    run.stored("/malformed", reply(&[("Own-Cache-Control", "no-store;"), refused, long])).await;
    run.stored("/absent", reply(&[refused, long])).await;
    run.stored(
        "/own-allows",
        reply(&[("CDN-Cache-Control", "no-store"), ("Own-Cache-Control", "max-age=50")]),
    )
    .await;
}

async fn nobody_listens_to_it_unasked(case: Case) {
    let run = case.start().await;
    let fields = [("CDN-Cache-Control", "no-store"), ("Cache-Control", "max-age=60")];
    let hit = run.stored("/", reply(&fields)).await;
    assert_eq!(hit.field("cdn-cache-control"), Some("no-store"), "passed on to who listens");
    let fields = [("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-store")];
    run.never_stored("/no", reply(&fields), &[]).await;
}
