use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::without_conditions;
use super::{Precondition, evaluate, freshen, not_modified_headers, validators};

type Fields = &'static [(&'static str, &'static str)];

fn headers(fields: Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn text(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut all: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    all.sort_unstable();
    all
}

const INM: &str = "if-none-match";
const IMS: &str = "if-modified-since";
const IM: &str = "if-match";
const IUS: &str = "if-unmodified-since";
const EARLY: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const TIME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

#[test]
fn conditions_rfc9110_13() {
    use Precondition::{Failed, NotModified, Pass};
    const BOTH: Fields = &[("etag", "\"a\""), ("last-modified", TIME)];
    const STRONG: Fields = &[("etag", "\"a\"")];
    const WEAK: Fields = &[("etag", "W/\"a\"")];
    const DATED: Fields = &[("date", TIME)];
    let rows: &[(&str, Fields, Fields, Precondition)] = &[
        ("no condition", &[], BOTH, Pass),
        ("13.1.2 the tag", &[(INM, "\"a\"")], STRONG, NotModified),
        ("13.1.2 another tag", &[(INM, "\"b\"")], STRONG, Pass),
        ("13.1.2 in a list", &[(INM, "\"b\", \"a\"")], STRONG, NotModified),
        ("13.1.2 on the second line", &[(INM, "\"b\""), (INM, "\"a\"")], STRONG, NotModified),
        ("13.1.2 weak comparison", &[(INM, "W/\"a\"")], STRONG, NotModified),
        ("13.1.2 weak comparison of a weak one", &[(INM, "\"a\"")], WEAK, NotModified),
        ("13.1.2 byte-exact", &[(INM, "\"A\"")], STRONG, Pass),
        ("13.1.2 star", &[(INM, "*")], STRONG, NotModified),
        ("13.1.2 star without a tag", &[(INM, "*")], &[], NotModified),
        ("13.1.2 no stored tag", &[(INM, "\"a\"")], &[], Pass),
        ("8.8.3 a stored tag without quotes", &[(INM, "a")], &[("etag", "a")], Pass),
        ("5.3 two stored tags", &[(INM, "\"a\"")], &[("etag", "\"a\""), ("etag", "\"b\"")], Pass),
        ("13.1.2 malformed names none", &[(INM, "a")], STRONG, Pass),
        ("13.1.2 malformed in part names none", &[(INM, "\"a\", b")], STRONG, Pass),
        ("13.1.3 the same moment", &[(IMS, TIME)], BOTH, NotModified),
        ("13.1.3 changed before", &[(IMS, LATE)], BOTH, NotModified),
        ("13.1.3 changed since", &[(IMS, EARLY)], BOTH, Pass),
        ("13.1.3 another form of date", &[(IMS, "Sun Nov  6 08:49:37 1994")], BOTH, NotModified),
        ("13.1.3 no date", &[(IMS, "1994")], BOTH, Pass),
        ("13.1.3 two dates", &[(IMS, TIME), (IMS, TIME)], BOTH, Pass),
        ("13.1.3 ignored beside tags", &[(INM, "\"b\""), (IMS, TIME)], BOTH, Pass),
        ("13.1.3 ignored beside malformed tags", &[(INM, "b"), (IMS, TIME)], BOTH, Pass),
        (
            "13.1.3 ignored beside a tag that matches",
            &[(INM, "\"a\""), (IMS, EARLY)],
            BOTH,
            NotModified,
        ),
        ("RFC 9111 4.3.2 Date for Last-Modified", &[(IMS, TIME)], DATED, NotModified),
        ("RFC 9111 4.3.2 a later Date", &[(IMS, EARLY)], DATED, Pass),
        ("RFC 9111 4.3.2 neither", &[(IMS, TIME)], &[], Pass),
        (
            "RFC 9111 4.3.2 Date is for no Last-Modified, not for a broken one",
            &[(IMS, TIME)],
            &[("last-modified", "yesterday"), ("date", TIME)],
            Pass,
        ),
        ("13.1.1 the tag", &[(IM, "\"b\", \"a\"")], STRONG, Pass),
        ("13.1.1 another tag", &[(IM, "\"b\"")], STRONG, Failed),
        ("13.1.1 strong comparison", &[(IM, "W/\"a\"")], WEAK, Failed),
        ("13.1.1 strong comparison of a strong one", &[(IM, "W/\"a\"")], STRONG, Failed),
        ("13.1.1 star", &[(IM, "*")], &[], Pass),
        ("13.1.1 no stored tag", &[(IM, "\"a\"")], &[], Failed),
        ("13.1.1 malformed names none", &[(IM, "a")], STRONG, Failed),
        ("13.1.4 the same moment", &[(IUS, TIME)], BOTH, Pass),
        ("13.1.4 changed since", &[(IUS, EARLY)], BOTH, Failed),
        ("13.1.4 no date", &[(IUS, "1994")], BOTH, Pass),
        ("13.1.4 no stored Last-Modified", &[(IUS, EARLY)], DATED, Pass),
        ("13.1.4 ignored beside If-Match", &[(IM, "\"a\""), (IUS, EARLY)], BOTH, Pass),
        ("13.2.2 If-Match first", &[(IM, "\"b\""), (INM, "\"a\"")], BOTH, Failed),
        ("13.2.2 If-None-Match after it", &[(IM, "\"a\""), (INM, "\"a\"")], BOTH, NotModified),
        ("13.2.2 If-Unmodified-Since first", &[(IUS, EARLY), (INM, "\"a\"")], BOTH, Failed),
        ("13.2.2 If-Modified-Since after it", &[(IUS, TIME), (IMS, TIME)], BOTH, NotModified),
    ];
    for (row, request, stored, expected) in rows {
        let (request, stored) = (headers(request), headers(stored));
        for method in [Method::GET, Method::HEAD, Method::from_bytes(b"QUERY").unwrap()] {
            let found = evaluate(&method, &request, StatusCode::OK, &stored);
            assert_eq!(found, *expected, "{row} ({method})");
        }
        for method in [Method::POST, Method::PUT, Method::OPTIONS] {
            let found = evaluate(&method, &request, StatusCode::OK, &stored);
            assert_eq!(found, Pass, "13.2.1 {row} ({method})");
        }
        for status in [StatusCode::NOT_FOUND, StatusCode::MOVED_PERMANENTLY] {
            let found = evaluate(&Method::GET, &request, status, &stored);
            assert_eq!(found, Pass, "13.2.1 {row} ({status})");
        }
    }
}

#[test]
fn a_304_carries_rfc9110_15_4_5() {
    let stored = headers(&[
        ("content-location", "/a"),
        ("date", TIME),
        ("etag", "\"a\""),
        ("vary", "accept"),
        ("vary", "origin"),
        ("cache-control", "max-age=5"),
        ("expires", LATE),
        ("age", "3"),
        ("access-control-allow-origin", "*"),
        ("last-modified", EARLY),
        ("content-type", "a/b"),
        ("content-length", "5"),
        ("content-encoding", "gzip"),
        ("content-language", "de"),
        ("content-range", "bytes 0-1/2"),
        ("repr-digest", "x"),
        ("transfer-encoding", "chunked"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
    ]);
    let expected = [
        ("access-control-allow-origin", "*"),
        ("age", "3"),
        ("cache-control", "max-age=5"),
        ("content-location", "/a"),
        ("date", TIME),
        ("etag", "\"a\""),
        ("expires", LATE),
        ("vary", "accept"),
        ("vary", "origin"),
    ];
    assert_eq!(text(&not_modified_headers(&stored)), expected);
    let untagged = headers(&[("last-modified", EARLY), ("content-type", "a/b")]);
    assert_eq!(text(&not_modified_headers(&untagged)), [("last-modified", EARLY)], "no ETag");
}

#[test]
fn validators_rfc9111_4_3_1() {
    let rows: &[(&str, Fields, Fields)] = &[
        ("none", &[("date", TIME)], &[]),
        ("tag", &[("etag", "W/\"a\"")], &[(INM, "W/\"a\"")]),
        ("Last-Modified", &[("last-modified", TIME)], &[(IMS, TIME)]),
        ("both", &[("etag", "\"a\""), ("last-modified", TIME)], &[(IMS, TIME), (INM, "\"a\"")]),
        ("malformed ones", &[("etag", "a"), ("last-modified", "1994")], &[]),
        ("two tags", &[("etag", "\"a\""), ("etag", "\"a\"")], &[]),
        (
            "byte for byte",
            &[("last-modified", "Sun Nov  6 08:49:37 1994")],
            &[(IMS, "Sun Nov  6 08:49:37 1994")],
        ),
    ];
    for (row, stored, expected) in rows {
        assert_eq!(text(&validators(&headers(stored))), *expected, "{row}");
    }
    let mut request = headers(&[
        (INM, "\"x\""),
        (IMS, TIME),
        (IM, "\"x\""),
        (IUS, TIME),
        ("if-range", TIME),
        ("range", "bytes=0-1"),
        ("accept", "a/b"),
    ]);
    without_conditions(&mut request);
    assert_eq!(text(&request), [("accept", "a/b")]);
}

#[test]
fn freshening_rfc9111_3_2_4_3_4() {
    type Row = (&'static str, Fields, Fields, Option<Fields>);
    const A: (&str, &str) = ("etag", "\"a\"");
    const WEAK: (&str, &str) = ("etag", "W/\"a\"");
    const MODIFIED: (&str, &str) = ("last-modified", TIME);
    let rows: &[Row] = &[
        ("3.2 a new field", &[A], &[A, ("x", "1")], Some(&[A, ("x", "1")])),
        (
            "3.2 a field is replaced with all its lines",
            &[A, ("x", "1"), ("x", "2")],
            &[A, ("x", "3"), ("x", "4")],
            Some(&[A, ("x", "3"), ("x", "4")]),
        ),
        ("3.2 an absent field stays", &[A, ("x", "1")], &[A], Some(&[A, ("x", "1")])),
        (
            "3.2 fields of the content stay",
            &[A, ("content-length", "5"), ("content-type", "a/b")],
            &[
                A,
                ("content-length", "0"),
                ("content-type", "c/d"),
                ("content-encoding", "gzip"),
                ("content-range", "bytes */1"),
            ],
            Some(&[("content-length", "5"), ("content-type", "a/b"), A]),
        ),
        (
            "3.1 hop-by-hop fields",
            &[A, ("x", "1")],
            &[A, ("connection", "x"), ("x", "2"), ("keep-alive", "1")],
            Some(&[A, ("x", "1")]),
        ),
        (
            "about the 304 itself",
            &[A],
            &[A, ("age", "5"), ("cache-status", "x; hit"), ("set-cookie", "a=b")],
            Some(&[A]),
        ),
        ("4.3.4 another strong tag", &[A], &[("etag", "\"b\""), ("x", "1")], None),
        ("4.3.4 another weak tag", &[A], &[("etag", "W/\"b\""), ("x", "1")], None),
        (
            "4.3.4 a weak form of the tag leaves it",
            &[A],
            &[WEAK, ("x", "1")],
            Some(&[A, ("x", "1")]),
        ),
        ("4.3.4 the strong form of a weak tag", &[WEAK], &[A], Some(&[WEAK])),
        ("4.3.4 a tag where there was none", &[MODIFIED], &[A, MODIFIED], None),
        ("4.3.4 a malformed tag", &[A], &[("etag", "a")], None),
        ("4.3.4 Last-Modified alone", &[A, MODIFIED], &[MODIFIED], Some(&[A, MODIFIED])),
        ("4.3.4 another Last-Modified", &[A, MODIFIED], &[("last-modified", LATE)], None),
        ("4.3.4 no stored Last-Modified", &[A], &[MODIFIED], None),
        (
            "4.3.4 another Last-Modified under the same tag",
            &[A, MODIFIED],
            &[A, ("last-modified", LATE)],
            Some(&[A, ("last-modified", LATE)]),
        ),
        ("4.3.4 no validator", &[A, MODIFIED], &[("x", "1")], Some(&[A, MODIFIED, ("x", "1")])),
    ];
    for (row, stored, from_304, expected) in rows {
        let before = headers(stored);
        let mut after = before.clone();
        let found = freshen(&mut after, &headers(from_304));
        assert_eq!(found, expected.is_some(), "{row}");
        let expected = expected.map_or(before, headers);
        assert_eq!(text(&after), text(&expected), "{row}");
    }
}
