use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{CACHE_CONTROL, CacheControl, Extent, MAX_SECONDS};

fn parse(lines: &[&[u8]]) -> CacheControl {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(CACHE_CONTROL, HeaderValue::from_bytes(line).unwrap());
    }
    CacheControl::from_headers(&headers)
}

fn fields(names: &[&'static str]) -> Extent {
    Extent::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
}

#[test]
fn an_absent_field_is_the_default() {
    assert_eq!(parse(&[]), CacheControl::default());
    assert_eq!(parse(&[b""]), CacheControl::default());
}

#[test]
fn directives() {
    type Set = fn(&mut CacheControl);
    let whole = || Some(Extent::Whole);
    assert_eq!(parse(&[b"no-cache"]).no_cache, whole(), "RFC 9111 5.2.2.4");
    assert_eq!(parse(&[b"private"]).private, whole(), "RFC 9111 5.2.2.7");
    let rows: [(&str, &str, Set); 38] = [
        ("RFC 9111 5.2.2.5", "no-store", |c| c.no_store = true),
        ("RFC 9111 5.2.2.9", "public", |c| c.public = true),
        ("RFC 9111 5.2.2.1", "max-age=60", |c| c.max_age = Some(60)),
        ("RFC 9111 5.2.2.10", "s-maxage=60", |c| c.s_maxage = Some(60)),
        ("RFC 9111 5.2.2.2", "must-revalidate", |c| c.must_revalidate = true),
        ("RFC 9111 5.2.2.8", "proxy-revalidate", |c| c.proxy_revalidate = true),
        ("RFC 9111 5.2.2.3", "must-understand", |c| c.must_understand = true),
        ("RFC 9111 5.2.2.6", "no-transform", |c| c.no_transform = true),
        ("RFC 5861 3", "stale-while-revalidate=5", |c| c.stale_while_revalidate = Some(5)),
        ("RFC 5861 4", "stale-if-error=5", |c| c.stale_if_error = Some(5)),
        ("RFC 8246 2", "immutable", |c| c.immutable = true),
        ("RFC 9111 5.2.1.2", "max-stale=5", |c| c.max_stale = Some(5)),
        ("RFC 9111 5.2.1.2 any age", "max-stale", |c| c.max_stale = Some(MAX_SECONDS)),
        ("RFC 9111 5.2.1.3", "min-fresh=5", |c| c.min_fresh = Some(5)),
        ("RFC 9111 5.2.1.7", "only-if-cached", |c| c.only_if_cached = true),
        ("RFC 9111 5.2 any case", "No-STORE, Max-Age=1", |c| {
            c.no_store = true;
            c.max_age = Some(1);
        }),
        ("RFC 9111 5.2 a quoted number", "max-age=\"60\"", |c| c.max_age = Some(60)),
        ("RFC 9111 5.2 white space round '=' is malformed", "max-age = 60", |c| {
            c.max_age = Some(0);
        }),
        ("RFC 9111 5.2 white space before '=' is malformed", "max-age =60", |c| {
            c.max_age = Some(0);
        }),
        ("RFC 9111 5.2.3 unknown ones", "x, y=1, z=\"a, no-store\", public", |c| c.public = true),
        ("RFC 9110 5.6.4 an escaped quote is no end", r#"x="a\", no-store, b", public"#, |c| {
            c.public = true;
        }),
        ("RFC 9110 5.6.4 an escaped backslash escapes nothing", r#"x="a\\", public, b="""#, |c| {
            c.public = true;
        }),
        ("RFC 9111 5.2.3 names that only begin alike", "no-stored, xno-store, max-age0=1", |_| {}),
        ("RFC 9111 4.2.1 no number", "max-age=soon", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 negative", "max-age=-1", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 fraction", "max-age=1.5", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 empty", "max-age=", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 missing", "max-age", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 text after the quotes", "max-age=\"6\"0", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 two numbers", "max-age=6 0", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 min-fresh", "min-fresh=x", |c| c.min_fresh = Some(MAX_SECONDS)),
        ("RFC 9111 1.2.2 overflow", "max-age=2147483649", |c| c.max_age = Some(MAX_SECONDS)),
        ("RFC 9111 1.2.2 far overflow", "s-maxage=99999999999999999999999", |c| {
            c.s_maxage = Some(MAX_SECONDS);
        }),
        ("RFC 9111 4.2.1 the smallest of two", "max-age=9, max-age=5, max-age=7", |c| {
            c.max_age = Some(5);
        }),
        ("RFC 9111 4.2.1 invalid beside valid", "max-age=9, max-age=x", |c| c.max_age = Some(0)),
        ("RFC 9111 4.2.1 the largest min-fresh", "min-fresh=9, min-fresh=5", |c| {
            c.min_fresh = Some(9);
        }),
        ("RFC 9111 5.2.2.5 with an argument", "no-store=1", |c| c.no_store = true),
        ("RFC 9111 5.2.2.9 with an argument", "public=1, immutable=\"\"", |_| {}),
    ];
    for (row, line, set) in rows {
        let mut expected = CacheControl::default();
        set(&mut expected);
        assert_eq!(parse(&[line.as_bytes()]), expected, "{row}");
    }
}

#[test]
fn field_names() {
    let rows: [(&str, &str, Option<Extent>); 13] = [
        (
            "RFC 9111 5.2.2.4 quoted",
            "no-cache=\"Set-Cookie, x-a\"",
            Some(fields(&["set-cookie", "x-a"])),
        ),
        ("RFC 9111 5.2.2.4 token", "no-cache=X-A", Some(fields(&["x-a"]))),
        ("RFC 9111 5.2.2.4 twice", "no-cache=a, no-cache=\"b\"", Some(fields(&["a", "b"]))),
        ("RFC 9111 5.2.2.4 whole after fields", "no-cache=a, no-cache", Some(Extent::Whole)),
        ("RFC 9111 5.2.2.4 fields after whole", "no-cache, no-cache=a", Some(Extent::Whole)),
        ("RFC 9111 5.2.2.4 empty", "no-cache=\"\"", Some(Extent::Whole)),
        ("RFC 9111 5.2.2.4 commas", "no-cache=\" , \"", Some(Extent::Whole)),
        ("RFC 9111 5.2.2.4 no name", "no-cache=\"a, b c\"", Some(Extent::Whole)),
        ("RFC 9110 5.6.4 escapes", "no-cache=\"a\\\", b\"", Some(Extent::Whole)),
        ("RFC 9110 5.6.4 no end", "no-cache=\"a", Some(Extent::Whole)),
        ("RFC 9111 5.2 after '='", "no-cache=", Some(Extent::Whole)),
        ("RFC 9111 5.2 white space before '='", "no-cache =a", Some(Extent::Whole)),
        ("RFC 9111 5.2.3 another directive", "cache=a", None),
    ];
    for (row, line, expected) in rows {
        assert_eq!(parse(&[line.as_bytes()]).no_cache, expected, "{row}");
        let line = line.replace("no-cache", "private");
        assert_eq!(parse(&[line.as_bytes()]).private, expected, "{row}");
    }
}

#[test]
fn an_open_quote_hides_nothing() {
    let found = parse(&[b"x=\"a, no-store, max-age=5"]);
    assert!(found.no_store);
    assert_eq!(found.max_age, Some(5));
    let found = parse(&[b"x=\"a", b"no-store, y=\""]);
    assert!(found.no_store, "RFC 9110 5.3: nor across lines");
}

#[test]
fn lines_are_one_list_rfc9110_5_3() {
    let joined = parse(&[b"public, max-age=5,, no-cache=\"a, b\", no-transform"]);
    assert_eq!(parse(&[b"public", b"max-age=5,", b" no-cache=\"a, b\" ,\tno-transform"]), joined);
}

/// Lines made of the pieces that matter, much more often than random bytes would be.
fn a_line() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(vec![
        "max-age",
        "s-maxage",
        "no-store",
        "no-cache",
        "private",
        "=",
        "=",
        ",",
        ",",
        "\"",
        "\"",
        "\\",
        " ",
        "\t",
        "5",
        "60",
        "99999999999",
        "x",
        "é",
    ]);
    prop_oneof![
        vec(piece, 0..30).prop_map(|pieces| pieces.concat().into_bytes()),
        vec(prop_oneof![Just(b'\t'), 32_u8..127, 128_u8..], 0..100),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_and_lines_stay_apart(lines in vec(a_line(), 0..4)) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let all = parse(&lines);
        // Nothing in one line takes back what another one forbids.
        for line in &lines {
            let one = parse(&[line]);
            prop_assert!(all.no_store || !one.no_store);
            prop_assert!(all.no_cache.is_some() || one.no_cache.is_none());
            prop_assert!(all.private.is_some() || one.private.is_none());
            prop_assert!(one.max_age.is_none_or(|age| all.max_age.unwrap() <= age));
        }
        let mut reversed = lines.clone();
        reversed.reverse();
        prop_assert_eq!(parse(&reversed).shared_max_age(), all.shared_max_age());
    }
}
