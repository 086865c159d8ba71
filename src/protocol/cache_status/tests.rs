use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};

use super::{CACHE_STATUS, CacheStatus, Forwarded, Fwd, Outcome};

const HIT: Outcome = Outcome::Hit { ttl: None };

fn status<'a>(cache: &'a str, outcome: Outcome, detail: Option<&'a str>) -> CacheStatus<'a> {
    CacheStatus { cache, outcome, detail }
}

#[test]
fn values_rfc9211() {
    let all = Forwarded {
        reason: Fwd::Stale,
        status: Some(304),
        ttl: Some(60),
        stored: true,
        collapsed: true,
    };
    let fwd = |reason| Outcome::Forwarded(Forwarded::new(reason));
    let ttl = |ttl| Outcome::Hit { ttl: Some(ttl) };
    let rows = [
        ("2.1 hit", "gym", HIT, None, "gym; hit"),
        ("2.2 bypass", "gym", fwd(Fwd::Bypass), None, "gym; fwd=bypass"),
        ("2.2 method", "gym", fwd(Fwd::Method), None, "gym; fwd=method"),
        ("2.2 uri-miss", "gym", fwd(Fwd::UriMiss), None, "gym; fwd=uri-miss"),
        ("2.2 vary-miss", "gym", fwd(Fwd::VaryMiss), None, "gym; fwd=vary-miss"),
        ("2.2 miss", "gym", fwd(Fwd::Miss), None, "gym; fwd=miss"),
        ("2.2 request", "gym", fwd(Fwd::Request), None, "gym; fwd=request"),
        ("2.2 stale", "gym", fwd(Fwd::Stale), None, "gym; fwd=stale"),
        ("2.2 partial", "gym", fwd(Fwd::Partial), None, "gym; fwd=partial"),
        (
            "2.3 to 2.6",
            "gym",
            Outcome::Forwarded(all),
            None,
            "gym; fwd=stale; fwd-status=304; ttl=60; stored; collapsed",
        ),
        ("2.4 zero", "gym", ttl(0), None, "gym; hit; ttl=0"),
        ("2.4 stale", "gym", ttl(-412), None, "gym; hit; ttl=-412"),
        ("RFC 9651 3.3.1 most", "gym", ttl(i64::MAX), None, "gym; hit; ttl=999999999999999"),
        ("RFC 9651 3.3.1 least", "gym", ttl(i64::MIN), None, "gym; hit; ttl=-999999999999999"),
        ("2.8 token", "gym", HIT, Some("vary-star"), "gym; hit; detail=vary-star"),
        ("2.8 string", "gym", HIT, Some("a b"), "gym; hit; detail=\"a b\""),
        ("RFC 9651 3.3.3 empty", "", HIT, Some(""), "\"\"; hit; detail=\"\""),
        ("RFC 9651 3.3.3 escapes", "a\"b\\", HIT, None, "\"a\\\"b\\\\\"; hit"),
        ("RFC 9651 3.3.3 not ASCII", "gym", HIT, Some("\r\né"), "gym; hit; detail=\"????\""),
        ("RFC 9651 3.3.4 tokens", "a.b:c/d", HIT, Some("*"), "a.b:c/d; hit; detail=*"),
        ("RFC 9651 3.3.4 begins otherwise", "1a", HIT, Some("-a"), "\"1a\"; hit; detail=\"-a\""),
    ];
    for (row, cache, outcome, detail, expected) in rows {
        assert_eq!(status(cache, outcome, detail).to_value(), expected, "{row}");
    }
}

#[test]
fn the_last_of_the_list_rfc9211_2() {
    let mut headers = HeaderMap::new();
    headers.append(CACHE_STATUS, HeaderValue::from_static("origin; hit, shield; fwd=miss"));
    status("gym", HIT, None).append(&mut headers);
    let lines: Vec<_> = headers.get_all(CACHE_STATUS).iter().map(|l| l.to_str().unwrap()).collect();
    let list: List = Parser::new(&lines.join(", ")).parse().unwrap();
    let names: Vec<_> = list
        .iter()
        .map(|member| match member {
            ListEntry::Item(item) => text(&item.bare_item),
            ListEntry::InnerList(_) => panic!("an inner list"),
        })
        .collect();
    assert_eq!(names, ["origin", "shield", "gym"]);
}

fn text(item: &BareItem) -> String {
    match item {
        BareItem::Token(token) => token.as_str().to_owned(),
        BareItem::String(string) => string.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn an_outcome() -> impl Strategy<Value = Outcome> {
    let reason = proptest::sample::select(vec![Fwd::Bypass, Fwd::UriMiss, Fwd::Miss, Fwd::Stale]);
    let ttl = proptest::option::of(any::<i64>());
    let forwarded = (reason, any::<Option<u16>>(), ttl.clone(), any::<bool>(), any::<bool>());
    prop_oneof![
        ttl.prop_map(|ttl| Outcome::Hit { ttl }),
        Just(Outcome::Neither),
        forwarded.prop_map(|(reason, status, ttl, stored, collapsed)| {
            Outcome::Forwarded(Forwarded { reason, status, ttl, stored, collapsed })
        }),
    ]
}

proptest! {
    #[test]
    fn another_parser_reads_the_same(
        cache: String, outcome in an_outcome(), detail: Option<String>,
    ) {
        let value = status(&cache, outcome, detail.as_deref()).to_value();
        let list: List = Parser::new(value.as_bytes()).parse().unwrap();
        prop_assert_eq!(list.len(), 1);
        let ListEntry::Item(item) = &list[0] else { panic!("an inner list") };
        let printable = |text: &str| -> String {
            let shown = |b: u8| if (b' '..=b'~').contains(&b) { b.into() } else { '?' };
            text.bytes().map(shown).collect()
        };
        prop_assert_eq!(text(&item.bare_item), printable(&cache));

        let found = |key: &str| item.params.get(key);
        let number = |key: &str| match found(key) {
            Some(BareItem::Integer(integer)) => Some(i64::from(*integer)),
            None => None,
            Some(other) => panic!("{other:?}"),
        };
        let flag = |key: &str| found(key) == Some(&BareItem::Boolean(true));
        let in_range = |ttl: Option<i64>| ttl.map(|t| t.clamp(-999_999_999_999_999, 999_999_999_999_999));
        prop_assert_eq!(found("detail").map(text), detail.as_deref().map(printable));
        match outcome {
            Outcome::Hit { ttl } => {
                prop_assert!(flag("hit"));
                prop_assert_eq!(found("fwd"), None);
                prop_assert_eq!(number("ttl"), in_range(ttl));
            }
            Outcome::Forwarded(forwarded) => {
                prop_assert!(!flag("hit"));
                prop_assert_eq!(found("fwd").map(text).unwrap(), forwarded.reason.as_str());
                prop_assert_eq!(number("fwd-status"), forwarded.status.map(i64::from));
                prop_assert_eq!(number("ttl"), in_range(forwarded.ttl));
                prop_assert_eq!(flag("stored"), forwarded.stored);
                prop_assert_eq!(flag("collapsed"), forwarded.collapsed);
            }
            Outcome::Neither => {
                let said = ["hit", "fwd"].map(found);
                prop_assert_eq!(said, [None, None]);
            }
        }
    }
}
