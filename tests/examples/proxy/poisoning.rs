//! What a client says must not become the answer to another.

use super::case::Case;
use super::client::Message;
use super::origin::Reply;

in_each_case! {
    the_key_holds_what_the_origin_sees,
    spellings_that_an_origin_may_tell_apart_are_told_apart,
}

async fn the_key_holds_what_the_origin_sees(case: Case) {
    let run = case.start().await;
    run.origin.by("/", |request: &Message| {
        let field = |name| request.field(name).unwrap_or("-").to_owned();
        let said = format!("{} {}", field("host"), field("accept-language"));
        Reply::fresh(&said, 60).with("Vary", "Accept-Language")
    });
    let poison =
        [("Accept-Language", "de"), ("Host", "victim"), ("Connection", "accept-language, host")];
    assert_eq!(run.settle("/", &poison).await.text(), "victim -");
    let answer = run.get("/", &[("Accept-Language", "de"), ("Host", "victim")]).await;
    assert_eq!(answer.text(), "victim de", "RFC 9110 7.6.1: {answer:?}");
}

async fn spellings_that_an_origin_may_tell_apart_are_told_apart(case: Case) {
    let run = case.start().await;
    let targets = ["/p?a=1&b=2", "/p?b=2&a=1", "/p?a=1&&b=2", "/x;a", "/x%3Ba"];
    for target in targets {
        run.origin.by(target, move |_| Reply::fresh(target, 60));
    }
    for target in targets {
        assert_eq!(run.settle(target, &[]).await.text(), target);
    }
    for target in targets {
        let hit = run.get(target, &[]).await;
        assert!(hit.is_hit(), "RFC 9110 4.2.3: {hit:?}");
        assert_eq!(hit.text(), target);
    }
}
