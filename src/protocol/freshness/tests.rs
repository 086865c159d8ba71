use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Lifetime::{self, Explicit, Heuristic, Unknown};
use super::{MAX_HEURISTIC, ResponseHead, corrected_initial_age, freshness_lifetime};
use crate::protocol::{CacheControl, MAX_SECONDS};

type Fields = &'static [(&'static str, &'static str)];

fn headers(fields: Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

const CC: &str = "cache-control";
const TIME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AT: u64 = 784_111_777_000;
const MINUTE_LATER: &str = "Sun, 06 Nov 1994 08:50:37 GMT";
const TWO_MINUTES_LATER: &str = "Sun, 06 Nov 1994 08:51:37 GMT";
const DAY_LATER: &str = "Mon, 07 Nov 1994 08:49:37 GMT";
const MONTH_LATER: &str = "Tue, 06 Dec 1994 08:49:37 GMT";

fn found(status: u16, fields: Fields, targeted: bool) -> Lifetime {
    let headers = headers(fields);
    let control = CacheControl::from_headers(&headers);
    let status = StatusCode::from_u16(status).unwrap();
    let head =
        ResponseHead { status, headers: &headers, control: &control, targeted, received_at: AT };
    freshness_lifetime(&head)
}

#[test]
fn lifetimes_rfc9111_4_2() {
    const DATE: (&str, &str) = ("date", TIME);
    const EXPIRES: (&str, &str) = ("expires", MINUTE_LATER);
    let rows: &[(&str, u16, Fields, Lifetime)] = &[
        ("4.2.1 s-maxage", 200, &[(CC, "max-age=5, s-maxage=7")], Explicit(7)),
        ("4.2.1 max-age", 200, &[(CC, "max-age=5"), DATE, EXPIRES], Explicit(5)),
        (
            "5.3 max-age over Expires, though malformed",
            200,
            &[(CC, "max-age"), EXPIRES],
            Explicit(0),
        ),
        ("4.2.1 Expires", 200, &[DATE, EXPIRES], Explicit(60)),
        ("6.6.1 Expires without Date", 200, &[EXPIRES], Explicit(60)),
        ("6.6.1 Expires with no Date", 200, &[EXPIRES, ("date", "x")], Explicit(60)),
        ("5.3 Expires is Date", 200, &[DATE, ("expires", TIME)], Explicit(0)),
        ("5.3 Expires in the past", 200, &[("date", DAY_LATER), ("expires", TIME)], Explicit(0)),
        ("5.3 no date", 200, &[DATE, ("expires", "0")], Explicit(0)),
        (
            "4.2.1 the earliest of two",
            200,
            &[DATE, ("expires", TWO_MINUTES_LATER), EXPIRES],
            Explicit(60),
        ),
        ("4.2.1 one of two is none", 200, &[DATE, EXPIRES, ("expires", "never")], Explicit(0)),
        ("5.3 another status", 500, &[DATE, EXPIRES], Explicit(60)),
        ("4.2.2 a tenth", 200, &[("date", DAY_LATER), ("last-modified", TIME)], Heuristic(8640)),
        (
            "4.2.2 at most a day",
            200,
            &[("date", MONTH_LATER), ("last-modified", TIME)],
            Heuristic(MAX_HEURISTIC),
        ),
        ("4.2.2 of the future", 200, &[DATE, ("last-modified", DAY_LATER)], Heuristic(0)),
        (
            "4.2.2 not with an explicit time",
            200,
            &[("date", DAY_LATER), ("last-modified", TIME), ("expires", "x")],
            Explicit(0),
        ),
        ("4.2.2 nothing to guess from", 200, &[DATE], Unknown),
        ("4.2.2 Last-Modified that is none", 200, &[DATE, ("last-modified", "x")], Unknown),
        ("4.2.2 status", 302, &[("date", DAY_LATER), ("last-modified", TIME)], Unknown),
        (
            "4.2.2 status with public",
            302,
            &[("date", DAY_LATER), ("last-modified", TIME), (CC, "public")],
            Heuristic(8640),
        ),
        (
            "RFC 9110 15.1 a 404",
            404,
            &[("date", DAY_LATER), ("last-modified", TIME)],
            Heuristic(8640),
        ),
    ];
    for (row, status, fields, expected) in rows {
        assert_eq!(found(*status, fields, false), *expected, "{row}");
    }
    let row = "RFC 9213 2.2 Expires counts no more";
    assert_eq!(found(200, &[DATE, EXPIRES], true), Unknown, "{row}");
    assert_eq!(found(200, &[DATE, EXPIRES, ("last-modified", TIME)], true), Heuristic(0), "{row}");
}

#[test]
fn ages_rfc9111_4_2_3() {
    let rows: &[(&str, Fields, u64, u32)] = &[
        ("nothing known", &[], 0, 0),
        ("the Age", &[("age", "7")], 0, 7),
        ("the delay of the answer", &[("age", "7")], 3000, 10),
        ("the apparent age", &[("date", "Sun, 06 Nov 1994 08:49:00 GMT")], 3000, 37),
        ("the apparent age is less", &[("date", TIME), ("age", "7")], 3000, 10),
        ("a Date of the future", &[("date", DAY_LATER), ("age", "7")], 0, 7),
        ("5.1 an Age that is none", &[("age", "x")], 0, 0),
        ("1.2.2 overflow", &[("age", "2147483648")], 3000, MAX_SECONDS),
    ];
    for (row, fields, delay, expected) in rows {
        assert_eq!(corrected_initial_age(&headers(fields), AT - delay, AT), *expected, "{row}");
    }
    assert_eq!(corrected_initial_age(&HeaderMap::new(), AT + 5000, AT), 0, "backwards");
}
