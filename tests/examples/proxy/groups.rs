//! Groups that a response names, and writes that end them (RFC 9875).

use super::case::{Case, Running};
use super::origin::Reply;

in_each_case! {
    a_group_ends_what_has_named_it_and_nothing_else,
    every_variant_and_status_of_a_group_ends,
    what_a_site_ends_is_its_own,
    what_names_no_group_ends_nothing,
    what_is_in_no_group_is_not_ended,
    a_304_moves_it_into_other_groups,
}

/// Stores what is in these groups, one a line.
async fn store(run: &Running, target: &str, groups: &[&str]) {
    let reply = groups
        .iter()
        .fold(Reply::fresh("old", 60), |reply, groups| reply.with("Cache-Groups", groups));
    run.origin.on(target, [reply]);
    assert_eq!(run.settle(target, &[]).await.text(), "old");
    run.origin.on(target, [Reply::fresh("new", 60)]);
}

/// A request on a path of its own, whose answer names these groups, one a line.
async fn end(run: &Running, method: &str, status: &str, groups: &[&str]) {
    let reply = groups.iter().fold(Reply::status(status, ""), |reply, groups| {
        reply.with("Cache-Group-Invalidation", groups)
    });
    run.origin.on("/write", [reply]);
    run.send(method, "/write", &[], "").await;
}

async fn a_group_ends_what_has_named_it_and_nothing_else(case: Case) {
    let run = case.start().await;
    store(&run, "/1", &["\"a\", \"all\";x=1"]).await;
    store(&run, "/2", &["\"b\"", "\"all\""]).await;
    store(&run, "/3", &["\"c: *\", \"all\""]).await;
    store(&run, "/none", &[]).await;
    end(&run, "POST", "200 OK", &["\"a\""]).await;
    for (target, text) in [("/1", "new"), ("/2", "old"), ("/3", "old"), ("/none", "old")] {
        assert_eq!(run.get(target, &[]).await.text(), text, "RFC 9875 3: {target}");
    }
    // Several, and in several lines.
    store(&run, "/4", &["\"a\", \"all\""]).await;
    end(&run, "DELETE", "204 No Content", &["\"a\", \"unknown\"", "\"c: *\""]).await;
    for (target, text) in [("/4", "new"), ("/2", "old"), ("/3", "new"), ("/none", "old")] {
        assert_eq!(run.get(target, &[]).await.text(), text, "{target}");
    }
    end(&run, "FROB", "303 See Other", &["\"all\""]).await;
    assert_eq!(run.get("/2", &[]).await.text(), "new", "the last of its groups");
    assert!(run.get("/none", &[]).await.is_hit());
}

async fn every_variant_and_status_of_a_group_ends(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| {
        let theme = request.field("x-theme").unwrap_or("-");
        Reply::fresh(theme, 60).with("Vary", "X-Theme").with("Cache-Groups", "\"g\"")
    });
    let themes = ["dark", "light"];
    for theme in themes {
        run.settle("/", &[("X-Theme", theme)]).await;
    }
    end(&run, "POST", "200 OK", &["\"g\""]).await;
    for theme in themes {
        let answer = run.get("/", &[("X-Theme", theme)]).await;
        assert!(!answer.is_hit() && answer.text() == theme, "{answer:?}");
    }
}

async fn what_a_site_ends_is_its_own(case: Case) {
    let run = case.start().await;
    run.origin.on("/", [Reply::fresh("text", 60).with("Cache-Groups", "\"g\"")]);
    run.origin.on("/write", [Reply::ok("").with("Cache-Group-Invalidation", "\"g\"")]);
    for host in ["a.test", "b.test"] {
        run.settle("/", &[("Host", host)]).await;
    }
    run.send("POST", "/write", &[("Host", "a.test")], "").await;
    assert!(!run.get("/", &[("Host", "a.test")]).await.is_hit());
    assert!(run.get("/", &[("Host", "b.test")]).await.is_hit(), "RFC 9875 2.1: of one origin");
    run.send("POST", "/", &[("Host", "a.test")], "").await;
    assert!(run.get("/", &[("Host", "b.test")]).await.is_hit(), "another target");
}

async fn what_names_no_group_ends_nothing(case: Case) {
    let run = case.start().await;
    store(&run, "/", &["\"a\", \"b\""]).await;
    let rows: [(&str, &str, &[&str]); 9] = [
        ("GET", "200 OK", &["\"a\""]),
        ("OPTIONS", "200 OK", &["\"a\""]),
        ("QUERY", "200 OK", &["\"a\""]),
        ("POST", "403 No", &["\"a\""]),
        ("POST", "200 OK", &["\"A\""]),
        ("POST", "200 OK", &["a"]),
        ("POST", "200 OK", &["\"a\", b"]),
        ("POST", "200 OK", &["\"a\"", "\"b"]),
        ("POST", "200 OK", &["(\"a\" \"b\")"]),
    ];
    for (method, status, groups) in rows {
        end(&run, method, status, groups).await;
        let answer = run.get("/", &[]).await;
        assert!(answer.is_hit() && answer.text() == "old", "{method} {status} {groups:?}");
    }
    end(&run, "POST", "200 OK", &["\"a\""]).await;
    assert_eq!(run.get("/", &[]).await.text(), "new");
}

async fn what_is_in_no_group_is_not_ended(case: Case) {
    let run = case.start().await;
    let rows: [(&str, &[&str]); 3] =
        [("/token", &["a"]), ("/half", &["\"a\", \"b"]), ("/list", &["(\"a\")"])];
    for (target, groups) in rows {
        store(&run, target, groups).await;
    }
    end(&run, "POST", "200 OK", &["\"a\", \"b\""]).await;
    for (target, groups) in rows {
        let answer = run.get(target, &[]).await;
        assert!(answer.is_hit(), "RFC 9651 4.2, ignored whole: {groups:?} {answer:?}");
    }
    // It could not be found again by each of them.
    let many: Vec<_> = (0..65).map(|number| format!("\"{number}\"")).collect();
    let reply = Reply::fresh("text", 60).with("Cache-Groups", &many.join(", "));
    run.never_stored("/many", reply, &[]).await;
    assert_eq!(run.get("/many", &[]).await.cache().detail.as_deref(), Some("too-many-groups"));
}

async fn a_304_moves_it_into_other_groups(case: Case) {
    let run = case.start().await;
    let is_rfc9111 = run.is_rfc9111;
    run.origin.by("/", move |request| {
        let tagged = |reply: Reply| reply.with("ETag", "\"1\"");
        match request.field("if-none-match") {
            // Stale from the beginning, or after a second.
            None if is_rfc9111 => tagged(Reply::fresh("text", 10).with("Age", "20")),
            None => tagged(Reply::fresh("text", 1)).with("Cache-Groups", "\"before\""),
            Some(_) => tagged(Reply::status("304 Not Modified", ""))
                .with("Cache-Control", "max-age=60")
                .with("Cache-Groups", "\"after\""),
        }
    });
    run.get("/", &[]).await;
    run.until("/", &[], |answer| answer.is_hit() && answer.cache().ttl > Some(30)).await;
    end(&run, "POST", "200 OK", &["\"after\""]).await;
    let count = run.origin.count("/");
    assert!(!run.get("/", &[]).await.is_hit(), "RFC 9111 3.2");
    assert_eq!(run.origin.last("/").field("if-none-match"), None, "it is not asked about either");
    assert_eq!(run.origin.count("/"), count + 1);
}
