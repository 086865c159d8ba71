use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{confined_fields, storable_rfc9111};
use crate::protocol::freshness::ResponseHead;
use crate::protocol::serve::request_control;
use crate::protocol::{CacheControl, Uncacheable};

type Fields = &'static [(&'static str, &'static str)];

fn headers(fields: Fields) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn found(
    method: &Method,
    request: Fields,
    status: u16,
    response: Fields,
    targeted: bool,
) -> &'static str {
    let (request, headers) = (headers(request), headers(response));
    let control = CacheControl::from_headers(&headers);
    let head = ResponseHead {
        status: StatusCode::from_u16(status).unwrap(),
        headers: &headers,
        control: &control,
        targeted,
        received_at: 0,
    };
    let refusal = storable_rfc9111(method, &request, &request_control(&request), &head, 100);
    refusal.map_or("", Uncacheable::as_str)
}

const CC: &str = "cache-control";

#[test]
fn storing_rfc9111_3() {
    const AUTH: Fields = &[("authorization", "Basic x")];
    let rows: &[(&str, Fields, u16, Fields, &str)] = &[
        ("3 a status cacheable by itself", &[], 200, &[], ""),
        ("RFC 9110 15.1", &[], 404, &[], ""),
        ("3 another status", &[], 500, &[], "unpermitted"),
        ("3 another status, public", &[], 500, &[(CC, "public")], ""),
        ("3 another status, max-age", &[], 302, &[(CC, "max-age=5")], ""),
        ("3 another status, s-maxage", &[], 302, &[(CC, "s-maxage=5")], ""),
        ("3 another status, Expires", &[], 302, &[("expires", "x")], ""),
        ("3 another status, no-cache alone", &[], 302, &[(CC, "no-cache")], "unpermitted"),
        ("3 not final", &[], 103, &[(CC, "public")], "status"),
        ("RFC 9110 15.2.2", &[], 101, &[], "upgrade"),
        ("3.3 a part", &[], 206, &[(CC, "public")], "partial"),
        ("RFC 9110 14.4", &[], 200, &[("content-range", "bytes 0-1/2")], "partial"),
        ("RFC 9110 15.4.5", &[], 304, &[(CC, "max-age=5")], "status"),
        ("RFC 9110 15.5.13", &[], 412, &[(CC, "max-age=5")], "status"),
        ("RFC 9110 15.5.17", &[], 416, &[(CC, "max-age=5")], "status"),
        ("5.2.1.5 no-store of the request", &[(CC, "no-store")], 200, &[], "request-no-store"),
        ("5.2.1.4 no-cache of the request", &[(CC, "no-cache")], 200, &[], ""),
        ("5.2.2.5", &[], 200, &[(CC, "no-store, public")], "no-store"),
        ("5.2.2.3 no-store, but understood", &[], 200, &[(CC, "no-store, must-understand")], ""),
        (
            "5.2.2.3 not understood",
            &[],
            299,
            &[(CC, "max-age=5, must-understand")],
            "not-understood",
        ),
        ("5.2.2.7", &[], 200, &[(CC, "private, max-age=5")], "private"),
        ("5.2.2.7 fields", &[], 200, &[(CC, "private=\"x\"")], ""),
        ("5.2.2.4", &[], 200, &[(CC, "no-cache")], ""),
        ("5.2.2.4 fields", &[], 200, &[(CC, "no-cache=\"x\"")], ""),
        ("3.5 Authorization", AUTH, 200, &[], "authorization"),
        ("3.5 max-age is no permission", AUTH, 200, &[(CC, "max-age=5")], "authorization"),
        ("3.5 public", AUTH, 200, &[(CC, "public")], ""),
        ("3.5 s-maxage", AUTH, 200, &[(CC, "s-maxage=5")], ""),
        ("3.5 must-revalidate", AUTH, 200, &[(CC, "must-revalidate")], ""),
        (
            "3.5 proxy-revalidate is no permission",
            AUTH,
            200,
            &[(CC, "proxy-revalidate")],
            "authorization",
        ),
        ("7.3", &[], 200, &[("set-cookie", "a=b"), (CC, "public")], "set-cookie"),
        (
            "7.3 though confined",
            &[],
            200,
            &[("set-cookie", "a"), (CC, "private=\"set-cookie\"")],
            "set-cookie",
        ),
        ("4.1", &[], 200, &[("vary", "accept, *")], "vary-star"),
        ("4.1 a name", &[], 200, &[("vary", "accept")], ""),
        ("an endless one", &[], 200, &[("content-type", "text/event-stream")], "event-stream"),
        ("RFC 9110 6.6.2", &[], 200, &[("trailer", "x")], "trailers"),
        ("RFC 9110 8.6", &[], 200, &[("content-length", "x")], "length"),
        ("too large", &[], 200, &[("content-length", "101")], "too-large"),
    ];
    for (row, request, status, response, expected) in rows {
        for method in [Method::GET, Method::HEAD, Method::from_bytes(b"QUERY").unwrap()] {
            assert_eq!(found(&method, request, *status, response, false), *expected, "{row}");
        }
        for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
            assert_eq!(found(&method, request, *status, response, false), "method", "{row}");
        }
    }
    let row = "RFC 9213 2.2 Expires counts no more";
    assert_eq!(found(&Method::GET, &[], 302, &[("expires", "x")], true), "unpermitted", "{row}");
}

#[test]
fn confined_rfc9111_5_2_2() {
    let rows = [
        ("none", "max-age=5", ""),
        ("5.2.2.7", "private=\"x-a, X-B\"", "x-a x-b"),
        ("5.2.2.4", "no-cache=\"x-a\"", "x-a"),
        ("both", "no-cache=\"x-a\", private=\"x-b\"", "x-b x-a"),
        ("5.2.2.4 the whole", "no-cache", ""),
    ];
    for (row, control, expected) in rows {
        let mut headers = HeaderMap::new();
        headers.insert(CC, HeaderValue::from_static(control));
        let control = CacheControl::from_headers(&headers);
        let names: Vec<_> = confined_fields(&control).map(HeaderName::as_str).collect();
        assert_eq!(names.join(" "), expected, "{row}");
    }
}
