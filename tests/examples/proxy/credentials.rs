//! What is one user's, and what others get meanwhile (RFC 9111, sections 3.5 and 7.3).

use std::sync::atomic::{AtomicUsize, Ordering};

use super::case::Case;
use super::origin::Reply;

in_each_case! {
    who_waits_together_shares_nothing_that_is_ones_own,
    nobody_gets_what_credentials_were_answered,
    cookies_pass_by,
}

async fn who_waits_together_shares_nothing_that_is_ones_own(case: Case) {
    let run = case.start().await;
    for (target, name, value) in [
        ("/set-cookie", "Set-Cookie", "id="),
        ("/private", "Cache-Control", "private, max-age=60, x="),
        ("/no-store", "Cache-Control", "no-store, max-age=60, x="),
    ] {
        let asked = AtomicUsize::new(0);
        run.origin.by(target, move |_| {
            let own = asked.fetch_add(1, Ordering::SeqCst).to_string();
            let reply = Reply::ok(&own).with(name, &format!("{value}{own}")).after(200);
            if name == "Set-Cookie" { reply.with("Cache-Control", "max-age=60") } else { reply }
        });
        let (a, b, c) =
            tokio::join!(run.get(target, &[]), run.get(target, &[]), run.get(target, &[]));
        let mut owns: Vec<_> = [a, b, c]
            .iter()
            .map(|answer| {
                assert_eq!(answer.field(name), Some(format!("{value}{}", answer.text()).as_str()));
                answer.text()
            })
            .collect();
        owns.sort_unstable();
        assert_eq!(owns, ["0", "1", "2"], "{target}: to each his own");
    }
}

async fn nobody_gets_what_credentials_were_answered(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| match request.field("authorization") {
        Some(user) => Reply::fresh(user, 60),
        None => Reply::fresh("for all", 60),
    });
    for _ in 0..2 {
        for user in ["Bearer a", "Bearer b"] {
            let answer = run.get("/", &[("Authorization", user)]).await;
            assert_eq!((answer.text().as_str(), answer.is_hit()), (user, false));
        }
    }
    assert_eq!(run.settle("/", &[]).await.text(), "for all");
    let answer = run.get("/", &[("Authorization", "Bearer a")]).await;
    if run.is_rfc9111 {
        // Section 4 selects by target and Vary alone: 3.5 is about storing.
        assert_eq!((answer.text().as_str(), answer.is_hit()), ("for all", true));
    } else {
        assert_eq!(answer.text(), "Bearer a");
        assert_eq!(answer.cache().detail.as_deref(), Some("authorization"));
    }
}

async fn cookies_pass_by(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| {
        Reply::ok(request.field("cookie").unwrap_or("none"))
            .with("Cache-Control", "public, max-age=60")
    });
    assert_eq!(run.settle("/", &[]).await.text(), "none");
    for user in ["id=a", "id=b", "id=a"] {
        let answer = run.get("/", &[("Cookie", user)]).await;
        // P5: HTTP says nothing of cookies, and few origins do.
        assert_eq!((answer.text().as_str(), answer.is_hit()), (user, false));
        assert_eq!(answer.cache().fwd.as_deref(), Some("bypass"));
        assert_eq!(answer.cache().detail.as_deref(), Some("cookie"));
    }
    let hit = run.get("/", &[]).await;
    assert_eq!((hit.text().as_str(), hit.is_hit()), ("none", true));
}
