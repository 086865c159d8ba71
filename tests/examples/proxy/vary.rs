//! Variants (RFC 9111, section 4.1).

use super::case::Case;
use super::client::Message;
use super::origin::Reply;

in_each_case! {
    nobody_gets_what_was_made_for_another,
    encodings_are_stored_side_by_side,
    each_named_field_counts,
    an_absent_field_is_a_value,
    fields_that_are_not_named_do_not_count,
    a_write_ends_every_variant,
}

fn echo(request: &Message, names: &[&str]) -> Reply {
    let values: Vec<_> = names.iter().map(|name| request.field(name).unwrap_or("-")).collect();
    Reply::fresh(&values.join("|"), 60).with("Vary", &names.join(", "))
}

async fn nobody_gets_what_was_made_for_another(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| echo(request, &["Accept-Encoding", "X-Theme"]));
    for _ in 0..3 {
        for encoding in ["gzip", "br", "identity"] {
            for theme in ["dark", "light"] {
                let fields = [("Accept-Encoding", encoding), ("X-Theme", theme)];
                let answer = run.get("/", &fields).await;
                assert_eq!(answer.text(), format!("{encoding}|{theme}"));
            }
        }
        assert_eq!(run.get("/", &[]).await.text(), "-|-");
    }
}

async fn encodings_are_stored_side_by_side(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| echo(request, &["Accept-Encoding"]));
    for encoding in ["gzip", "br", "zstd"] {
        run.settle("/", &[("Accept-Encoding", encoding)]).await;
    }
    for encoding in ["gzip", "br", "zstd"] {
        let hit = run.get("/", &[("Accept-Encoding", encoding)]).await;
        assert!(hit.is_hit(), "{hit:?}");
        assert_eq!((hit.text().as_str(), hit.field("vary")), (encoding, Some("Accept-Encoding")));
    }
    assert_eq!(run.origin.count("/"), 3);
}

async fn each_named_field_counts(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| echo(request, &["Accept-Language", "X-Theme"]));
    for (language, theme) in [("de", "dark"), ("de", "light"), ("fr", "dark")] {
        let fields = [("Accept-Language", language), ("X-Theme", theme)];
        assert_eq!(run.settle("/", &fields).await.text(), format!("{language}|{theme}"));
    }
    for (language, theme) in [("de", "dark"), ("de", "light"), ("fr", "dark")] {
        let hit = run.get("/", &[("X-Theme", theme), ("Accept-Language", language)]).await;
        assert!(hit.is_hit(), "{hit:?}");
    }
    assert_eq!(run.origin.count("/"), 3);
}

async fn an_absent_field_is_a_value(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| echo(request, &["X-Theme"]));
    run.settle("/", &[]).await;
    run.settle("/", &[("X-Theme", "-dark")]).await;
    assert_eq!(run.settle("/", &[]).await.text(), "-");
    assert_eq!(run.origin.count("/"), 2);
}

async fn fields_that_are_not_named_do_not_count(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| echo(request, &["X-Theme"]));
    run.settle("/", &[("X-Theme", "dark"), ("User-Agent", "a")]).await;
    let hit = run.get("/", &[("x-theme", "dark"), ("User-Agent", "b"), ("Accept", "x/y")]).await;
    assert!(hit.is_hit(), "{hit:?}");
}

async fn a_write_ends_every_variant(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request| echo(request, &["X-Theme"]));
    for theme in ["dark", "light"] {
        run.settle("/", &[("X-Theme", theme)]).await;
    }
    run.send("POST", "/", &[], "").await;
    for theme in ["dark", "light"] {
        let answer = run.get("/", &[("X-Theme", theme)]).await;
        assert!(!answer.is_hit(), "RFC 9111 4.4: {answer:?}");
    }
}
