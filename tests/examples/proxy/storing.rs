//! What is stored at all (RFC 9111, section 3), and for whom.

use super::case::Case;
use super::origin::Reply;

in_each_case! {
    what_forbids_storing,
    stored_once_and_served_to_the_byte,
    hosts_do_not_share,
    queries_do_not_share,
    an_answer_to_another_method_is_not_one_to_get,
}

by_routes! {
    the_proxy_decides_what_says_nothing,
    credentials_pass_by,
    credentials_are_stored_on_request,
    only_200_is_stored,
}

by_rfc9111! {
    what_says_nothing_is_not_stored,
    authorization_needs_permission,
    any_final_status_with_explicit_freshness,
    must_understand,
    confined_fields_are_not_stored,
    an_older_one_serves_when_a_newer_one_may_not_be_stored,
}

async fn what_forbids_storing(case: Case) {
    type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

    let run = case.start().await;
    let rows: [Row; 9] = [
        ("/no-store", "5.2.2.5", &[("Cache-Control", "no-store, max-age=60")]),
        (
            "/upper-case",
            "5.2 names are case-insensitive",
            &[("Cache-Control", "max-age=60, No-Store")],
        ),
        (
            "/two-lines",
            "5.2 lines are one list",
            &[("Cache-Control", "max-age=60"), ("Cache-Control", "no-store")],
        ),
        ("/private", "5.2.2.7", &[("Cache-Control", "private, max-age=60")]),
        ("/set-cookie", "7.3", &[("Cache-Control", "max-age=60"), ("Set-Cookie", "a=b")]),
        ("/vary-star", "4.1", &[("Cache-Control", "max-age=60"), ("Vary", "*")]),
        ("/vary-star-too", "4.1", &[("Cache-Control", "max-age=60"), ("Vary", "accept, *")]),
        ("/expired", "4.2 stale from the beginning", &[("Cache-Control", "max-age=0")]),
        (
            "/partial",
            "3.3, in another status",
            &[("Cache-Control", "max-age=60"), ("Content-Range", "bytes 0-3/9")],
        ),
    ];
    for (target, row, fields) in rows {
        let reply = fields.iter().fold(Reply::ok("text"), |reply, (n, v)| reply.with(n, v));
        println!("RFC 9111 {row}");
        run.never_stored(target, reply, &[]).await;
    }
}

async fn stored_once_and_served_to_the_byte(case: Case) {
    let run = case.start().await;
    let body = "0123456789".repeat(20_000);
    let reply = Reply::fresh(&body, 60)
        .with("Content-Type", "text/plain;x=\"a, b\"")
        .with("ETag", "\"a\u{e9}b\"")
        .with("X-Twice", "1")
        .with("X-Twice", "2");
    run.origin.on("/a%2Fb", [reply]);
    let first = run.get("/a%2Fb", &[]).await;
    let hit = run.settle("/a%2Fb", &[]).await;
    assert_eq!(run.origin.count("/a%2Fb"), 1, "the target is passed on as it came");
    for answer in [&first, &hit] {
        assert_eq!(answer.status(), 200);
        assert!(answer.whole && answer.body == body.as_bytes(), "the body to the byte");
        assert_eq!(answer.field("content-type"), Some("text/plain;x=\"a, b\""));
        assert_eq!(answer.field("etag"), first.field("etag"));
        assert_eq!(answer.all("x-twice"), ["1", "2"]);
        assert_eq!(answer.field("date"), first.field("date"), "RFC 9110 6.6.1: when it came");
    }
    assert!(first.field("age").is_none() && hit.field("age").is_some());
}

async fn hosts_do_not_share(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| Reply::fresh(request.field("host").unwrap(), 60));
    for host in ["a.test", "b.test"] {
        assert_eq!(run.settle("/", &[("Host", host)]).await.text(), host);
    }
    // RFC 9112 3.2.2: the target's host counts, whatever Host says.
    let absolute = run.get("http://a.test/", &[("Host", "b.test")]).await;
    assert_eq!(absolute.text(), "a.test");
    assert!(absolute.is_hit());
}

async fn queries_do_not_share(case: Case) {
    let run = case.start().await;
    for target in ["/q", "/q?a=1", "/q?a=2"] {
        run.origin.on(target, [Reply::fresh(target, 60)]);
        assert_eq!(run.settle(target, &[]).await.text(), target);
        assert_eq!(run.origin.count(target), 1);
    }
}

async fn an_answer_to_another_method_is_not_one_to_get(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| Reply::fresh(request.method(), 60));
    for method in ["OPTIONS", "POST", "FROB"] {
        assert_eq!(run.send(method, "/", &[], "").await.text(), method);
        assert_eq!(run.get("/", &[]).await.text(), "GET");
    }
    run.settle("/", &[]).await;
    assert_eq!(run.send("OPTIONS", "/", &[], "").await.text(), "OPTIONS");
    assert!(run.get("/", &[]).await.is_hit(), "OPTIONS is safe (RFC 9110 9.2.1)");
}

async fn the_proxy_decides_what_says_nothing(case: Case) {
    let run = case.start().await;
    let hit = run.stored("/", Reply::ok("text")).await;
    assert!((50..=60).contains(&hit.cache().ttl.unwrap()), "{hit:?}");
}

async fn credentials_pass_by(case: Case) {
    let run = case.start().await;
    for (target, name, detail) in
        [("/a", "Authorization", "authorization"), ("/c", "Cookie", "cookie")]
    {
        let reply = Reply::fresh("mine", 60).with("Cache-Control", "public");
        run.never_stored(target, reply, &[(name, "secret")]).await;
        let answer = run.get(target, &[(name, "secret")]).await;
        assert_eq!(answer.cache().fwd.as_deref(), Some("bypass"));
        assert_eq!(answer.cache().detail.as_deref(), Some(detail));
    }
}

async fn credentials_are_stored_on_request(case: Case) {
    let run = case.start_with(&["--same-for-all-users"]).await;
    run.origin.on("/", [Reply::ok("all the same")]);
    run.settle("/", &[("Authorization", "a"), ("Cookie", "b")]).await;
    assert_eq!(run.origin.count("/"), 1);
}

async fn only_200_is_stored(case: Case) {
    let run = case.start().await;
    for (target, status) in [("/404", "404 Not Found"), ("/299", "299 Odd"), ("/301", "301 Moved")]
    {
        let reply = Reply::status(status, "").with("Cache-Control", "max-age=60");
        run.never_stored(target, reply, &[]).await;
    }
}

async fn what_says_nothing_is_not_stored(case: Case) {
    let run = case.start().await;
    run.never_stored("/", Reply::ok("text"), &[]).await;
}

async fn authorization_needs_permission(case: Case) {
    let run = case.start().await;
    let user = [("Authorization", "Basic dTpw")];
    run.never_stored("/none", Reply::fresh("mine", 60), &user).await;
    for (target, permission) in [
        ("/public", "public, max-age=60"),
        ("/s-maxage", "s-maxage=60"),
        ("/must-revalidate", "must-revalidate, max-age=60"),
    ] {
        run.origin.on(target, [Reply::ok("ours").with("Cache-Control", permission)]);
        run.settle(target, &user).await;
        assert_eq!(run.origin.count(target), 1, "RFC 9111 3.5: {permission}");
    }
}

async fn any_final_status_with_explicit_freshness(case: Case) {
    let run = case.start().await;
    for status in [
        "200 OK",
        "203 Non",
        "299 Odd",
        "301 Moved",
        "404 None",
        "410 Gone",
        "499 Odd",
        "503 Busy",
        "599 Odd",
    ] {
        let target = format!("/{}", &status[..3]);
        let hit = run
            .stored(&target, Reply::status(status, "body").with("Cache-Control", "max-age=60"))
            .await;
        assert_eq!(
            (hit.status().to_string().as_str(), hit.text().as_str()),
            (&status[..3], "body")
        );
    }
    // Section 3: without a word, only what the status allows by itself.
    let long_ago = ("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT");
    run.never_stored("/302", Reply::status("302 Found", "").with(long_ago.0, long_ago.1), &[])
        .await;
    run.never_stored("/298", Reply::status("298 Odd", "").with(long_ago.0, long_ago.1), &[]).await;
    run.stored("/404-guessed", Reply::status("404 None", "").with(long_ago.0, long_ago.1)).await;
}

async fn must_understand(case: Case) {
    let run = case.start().await;
    let control = "must-understand, no-store, max-age=60";
    run.stored("/known", Reply::ok("text").with("Cache-Control", control)).await;
    let odd = Reply::status("299 Odd", "text").with("Cache-Control", control);
    run.never_stored("/unknown", odd, &[]).await;
}

async fn confined_fields_are_not_stored(case: Case) {
    let run = case.start().await;
    let reply = Reply::ok("text")
        .with("Cache-Control", "max-age=60, private=\"x-mine\", no-cache=\"x-once\"")
        .with("X-Mine", "secret")
        .with("X-Once", "token")
        .with("X-Ours", "all");
    let hit = run.stored("/", reply).await;
    assert_eq!(hit.all("x-mine").len() + hit.all("x-once").len(), 0, "{hit:?}");
    assert_eq!(hit.field("x-ours"), Some("all"));
}

async fn an_older_one_serves_when_a_newer_one_may_not_be_stored(case: Case) {
    let run = case.start().await;
    run.stored("/", Reply::fresh("older", 60)).await;
    run.origin.on("/", [Reply::ok("newer").with("Cache-Control", "no-store")]);
    assert_eq!(run.get("/", &[("Cache-Control", "no-cache")]).await.text(), "newer");
    let hit = run.get("/", &[]).await;
    assert_eq!((hit.is_hit(), hit.text().as_str()), (true, "older"), "RFC 9111 4");
}
