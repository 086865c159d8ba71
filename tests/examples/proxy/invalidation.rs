//! What a write ends (RFC 9111, section 4.4).

use super::case::{Case, Running};
use super::origin::Reply;

in_each_case! {
    an_unsafe_method_ends_its_target,
    an_unknown_method_is_unsafe,
    location_and_content_location_end_too,
    another_origin_is_left_alone,
    a_safe_method_ends_nothing,
    a_refused_write_ends_nothing,
    a_write_whose_outcome_nobody_knows,
}

async fn store(run: &Running, target: &str) {
    run.origin.on(target, [Reply::fresh("old", 60)]);
    assert_eq!(run.settle(target, &[]).await.text(), "old");
}

/// Has the origin answer `method` on `target` with `reply`, and reads with a new text.
fn script(run: &Running, target: &str, method: &'static str, reply: Reply) {
    run.origin.by(target, move |request| match request.method() {
        known if known == method => reply.clone(),
        _ => Reply::fresh("new", 60),
    });
}

async fn an_unsafe_method_ends_its_target(case: Case) {
    let run = case.start().await;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for (code, status) in [(200, "200 OK"), (204, "204 No Content"), (303, "303 See Other")] {
            let (above, target) = (format!("/{method}/{code}"), format!("/{method}/{code}/b"));
            store(&run, &target).await;
            store(&run, &above).await;
            script(&run, &target, method, Reply::status(status, ""));
            let write = run.send(method, &target, &[], "text").await;
            assert_eq!(write.cache().fwd.as_deref(), Some("method"));
            assert_eq!(run.origin.last(&target).text(), "text");
            let read = run.get(&target, &[]).await;
            assert_eq!(read.text(), "new", "{method} {status}: {read:?}");
            assert!(run.get(&above, &[]).await.is_hit(), "another path");
        }
    }
}

async fn an_unknown_method_is_unsafe(case: Case) {
    let run = case.start().await;
    for method in ["FROB", "PROPPATCH", "get"] {
        let target = format!("/{method}");
        store(&run, &target).await;
        script(&run, &target, method, Reply::status("299 Odd", "done"));
        let write = run.send(method, &target, &[], "").await;
        assert_eq!((write.status(), write.text().as_str()), (299, "done"));
        assert_eq!(run.get(&target, &[]).await.text(), "new", "{method}");
    }
}

async fn location_and_content_location_end_too(case: Case) {
    let run = case.start().await;
    let rows = [
        ("Location", "/0/item"),
        ("Content-Location", "/1/item"),
        ("Location", "item"),
        ("Location", "http://example.test/3/item#part"),
        ("Content-Location", "./x/../item"),
    ];
    for (row, (name, value)) in rows.into_iter().enumerate() {
        let [list, item, other] = ["", "item", "other"].map(|name| format!("/{row}/{name}"));
        store(&run, &item).await;
        store(&run, &other).await;
        run.origin.on(&list, [Reply::status("201 Created", "").with(name, value)]);
        run.send("POST", &list, &[], "").await;
        run.origin.on(&item, [Reply::fresh("new", 60)]);
        assert_eq!(run.get(&item, &[]).await.text(), "new", "{name}: {value}");
        assert!(run.get(&other, &[]).await.is_hit());
    }
}

async fn another_origin_is_left_alone(case: Case) {
    let run = case.start().await;
    store(&run, "/items/1").await;
    for (name, value) in [
        ("Location", "http://elsewhere.test/items/1"),
        ("Content-Location", "//elsewhere.test/items/1"),
        ("Location", "http://example.test:8080/items/1"),
    ] {
        run.origin.on("/items/", [Reply::status("201 Created", "").with(name, value)]);
        run.send("POST", "/items/", &[], "").await;
        assert!(run.get("/items/1", &[]).await.is_hit(), "{name}: {value}");
    }
}

async fn a_safe_method_ends_nothing(case: Case) {
    let run = case.start().await;
    store(&run, "/").await;
    for method in ["OPTIONS", "TRACE", "HEAD"] {
        run.send(method, "/", &[], "").await;
        assert!(run.get("/", &[]).await.is_hit(), "{method}");
    }
}

async fn a_refused_write_ends_nothing(case: Case) {
    let run = case.start().await;
    store(&run, "/").await;
    for status in ["400 Bad", "403 No", "409 Conflict", "412 Failed", "422 No"] {
        script(&run, "/", "PUT", Reply::status(status, ""));
        run.send("PUT", "/", &[], "").await;
        assert!(run.get("/", &[]).await.is_hit(), "{status}");
    }
}

async fn a_write_whose_outcome_nobody_knows(case: Case) {
    let run = case.start_with(&["--timeout", "1"]).await;
    for (target, status) in [("/500", "500 Failed"), ("/502", "502 Gateway"), ("/503", "503 Busy")]
    {
        store(&run, target).await;
        script(&run, target, "PUT", Reply::status(status, ""));
        assert_eq!(run.send("PUT", target, &[], "").await.status().to_string(), target[1..]);
        let read = run.get(target, &[]).await;
        if run.is_rfc9111 {
            // 4.4 asks for it on answers without error, and the origin did answer.
            assert!(read.is_hit() && read.text() == "old", "{target}: {read:?}");
        } else {
            assert_eq!(read.text(), "new", "P10: the write may have happened: {target}: {read:?}");
        }
    }
    // In neither attitude is something kept of which no answer tells.
    for (target, reply, status) in [
        ("/504", Reply::status("504 Too Late", ""), 504),
        ("/408", Reply::status("408 Too Late", ""), 408),
        ("/silent", Reply::status("200 OK", "").after(3000), 504),
        ("/early", Reply::raw(""), 502),
        ("/half", Reply::raw("HTTP/1.1 200 OK\r\nContent-"), 502),
    ] {
        store(&run, target).await;
        script(&run, target, "PUT", reply);
        assert_eq!(run.send("PUT", target, &[], "").await.status(), status, "{target}");
        let read = run.get(target, &[]).await;
        assert_eq!(read.text(), "new", "{target}: {read:?}");
    }
}
