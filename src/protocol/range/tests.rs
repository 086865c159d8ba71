use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;

use super::RangeAnswer::{self, Part, Unsatisfiable, Whole};
use super::{apply, content_range, unsatisfied_range};

type Fields = &'static [(&'static str, &'static str)];

fn headers(fields: Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn get(request: &HeaderMap, stored: &HeaderMap, length: u64) -> RangeAnswer {
    apply(&Method::GET, request, StatusCode::OK, stored, length)
}

const TIME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const LATE: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

#[test]
fn ranges_rfc9110_14() {
    const fn part(start: u64, end: u64) -> RangeAnswer {
        Part { start, end }
    }
    let rows: &[(&str, &str, u64, RangeAnswer)] = &[
        ("14.1.2 first to last", "bytes=0-4", 10, part(0, 4)),
        ("14.1.2 one byte", "bytes=9-9", 10, part(9, 9)),
        ("14.1.2 to the end", "bytes=3-", 10, part(3, 9)),
        ("14.1.2 from the beginning", "bytes=0-", 10, part(0, 9)),
        ("14.1.2 over the end", "bytes=3-99", 10, part(3, 9)),
        ("14.1.2 suffix", "bytes=-3", 10, part(7, 9)),
        ("14.1.2 suffix longer than all", "bytes=-99", 10, part(0, 9)),
        ("14.1.2 suffix of nothing", "bytes=-0", 10, Unsatisfiable),
        ("14.1.2 begins at the end", "bytes=10-", 10, Unsatisfiable),
        ("14.1.2 begins after the end", "bytes=11-12", 10, Unsatisfiable),
        ("14.1.2 nothing to begin at", "bytes=0-", 0, Unsatisfiable),
        ("14.1.2 the suffix of nothing is nothing", "bytes=-1", 0, Whole),
        ("14.1.2 last before first is malformed", "bytes=4-3", 10, Whole),
        ("14.1.2 last before first, after the end", "bytes=40-30", 10, Whole),
        ("14.1 case of the unit", "Bytes=0-4", 10, part(0, 4)),
        ("14.1 another unit", "pages=0-4", 10, Whole),
        ("14.1.1 several ranges", "bytes=0-1,3-4", 10, Whole),
        ("14.1.1 several, one not satisfiable", "bytes=0-1,30-40", 10, Whole),
        ("5.6.1 an empty member", "bytes= ,0-4,", 10, part(0, 4)),
        ("14.1.1 no range", "bytes=", 10, Whole),
        ("14.1.1 no unit", "0-4", 10, Whole),
        ("14.1.1 no numbers", "bytes=-", 10, Whole),
        ("14.1.1 signs", "bytes=+0-4", 10, Whole),
        ("14.1.1 two dashes", "bytes=0--4", 10, Whole),
        ("14.1.1 white space", "bytes=0 -4", 10, Whole),
        ("14.1.1 not decimal", "bytes=0x0-4", 10, Whole),
        ("17.5 overflow of the first", "bytes=99999999999999999999999-", 10, Unsatisfiable),
        ("17.5 overflow of the last", "bytes=0-99999999999999999999999", 10, part(0, 9)),
        ("17.5 overflow of the suffix", "bytes=-99999999999999999999999", 10, part(0, 9)),
        ("17.5 the longest body", "bytes=-1", u64::MAX, part(u64::MAX - 1, u64::MAX - 1)),
    ];
    for (row, range, length, expected) in rows {
        let request = headers(&[]);
        assert_eq!(get(&request, &request, *length), Whole, "14.2 no Range");
        let mut request = request;
        request.insert("range", HeaderValue::from_static(range));
        let stored = HeaderMap::new();
        assert_eq!(get(&request, &stored, *length), *expected, "{row}");
        let head = apply(&Method::HEAD, &request, StatusCode::OK, &stored, *length);
        assert_eq!(head, Whole, "14.2 GET alone: {row}");
        let query = Method::from_bytes(b"QUERY").unwrap();
        let query = apply(&query, &request, StatusCode::OK, &stored, *length);
        assert_eq!(query, *expected, "RFC 10008 2.8 as for GET: {row}");
        let other = apply(&Method::GET, &request, StatusCode::NOT_FOUND, &stored, *length);
        assert_eq!(other, Whole, "14.2 a 200 alone: {row}");
        request.append("range", HeaderValue::from_static(range));
        assert_eq!(get(&request, &stored, *length), Whole, "5.3 two lines: {row}");
    }
}

#[test]
fn if_range_rfc9110_13_1_5() {
    const STORED: Fields = &[("etag", "\"a\""), ("last-modified", TIME), ("date", LATE)];
    let rows: &[(&str, Fields, Fields, bool)] = &[
        ("no If-Range", &[], STORED, true),
        ("the strong tag", &[("if-range", "\"a\"")], STORED, true),
        ("another tag", &[("if-range", "\"b\"")], STORED, false),
        ("a weak tag", &[("if-range", "W/\"a\"")], STORED, false),
        ("two weak tags", &[("if-range", "W/\"a\"")], &[("etag", "W/\"a\"")], false),
        ("no stored tag", &[("if-range", "\"a\"")], &[], false),
        ("a list is no validator", &[("if-range", "\"a\", \"b\"")], STORED, false),
        ("star is no validator", &[("if-range", "*")], STORED, false),
        ("twice", &[("if-range", "\"a\""), ("if-range", "\"a\"")], STORED, false),
        ("the date", &[("if-range", TIME)], STORED, true),
        ("a later date does not match", &[("if-range", LATE)], STORED, false),
        (
            "8.8.2.2 a date of the same second is weak",
            &[("if-range", TIME)],
            &[("last-modified", TIME), ("date", TIME)],
            false,
        ),
        ("8.8.2.2 no Date", &[("if-range", TIME)], &[("last-modified", TIME)], false),
        ("no stored Last-Modified", &[("if-range", TIME)], &[("date", LATE)], false),
        ("malformed", &[("if-range", "a")], STORED, false),
    ];
    for (row, condition, stored, expected) in rows {
        let mut request = headers(condition);
        let stored = headers(stored);
        assert_eq!(get(&request, &stored, 10), Whole, "14.2 no Range: {row}");
        request.insert("range", HeaderValue::from_static("bytes=0-1"));
        let part = Part { start: 0, end: 1 };
        let expected = if *expected { part } else { Whole };
        assert_eq!(get(&request, &stored, 10), expected, "{row}");
        request.insert("range", HeaderValue::from_static("bytes=99-"));
        let expected = if expected == part { Unsatisfiable } else { Whole };
        assert_eq!(get(&request, &stored, 10), expected, "not satisfiable: {row}");
    }
}

#[test]
fn content_ranges_rfc9110_14_4() {
    assert_eq!(content_range(0, 4, 10), "bytes 0-4/10");
    assert_eq!(unsatisfied_range(10), "bytes */10");
    assert_eq!(unsatisfied_range(u64::MAX), "bytes */18446744073709551615");
}

proptest! {
    #[test]
    fn a_part_is_in_the_body(text in "(bytes=)?[-0-9, ]{0,24}", length: u64) {
        let mut request = HeaderMap::new();
        request.insert("range", HeaderValue::from_str(&text).unwrap());
        if let Part { start, end } = get(&request, &HeaderMap::new(), length) {
            prop_assert!(start <= end && end < length, "{start}-{end}/{length}");
        }
    }
}
