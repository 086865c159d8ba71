use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{StorableRules, Uncacheable, body_refusal, response_refusal};
use crate::protocol::CacheControl;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

#[test]
fn heads() {
    const CC: &str = "cache-control";
    type Row = (&'static str, u16, &'static [(&'static str, &'static str)], &'static str);
    let rows: &[Row] = &[
        ("a plain one", 200, &[("content-type", "text/html"), ("content-length", "5")], ""),
        ("without permission: the route gave it", 200, &[], ""),
        ("RFC 9110 15.2.2", 101, &[("upgrade", "websocket")], "upgrade"),
        ("RFC 9110 15.3.7", 206, &[], "partial"),
        ("RFC 9110 14.4", 200, &[("content-range", "bytes 0-1/5")], "partial"),
        ("status", 500, &[], "status"),
        ("status configured", 404, &[], ""),
        ("RFC 9111 5.2.2.5", 200, &[(CC, "no-store")], "no-store"),
        ("RFC 9111 5.2.2.3", 200, &[(CC, "no-store, must-understand")], "no-store"),
        ("RFC 9111 5.2.2.5 on a second line", 200, &[(CC, "public"), (CC, "no-store")], "no-store"),
        ("RFC 9111 5.2.2.7", 200, &[(CC, "private")], "private"),
        ("RFC 9111 5.2.2.7 fields", 200, &[(CC, "private=\"x-a\"")], "private"),
        ("RFC 9111 5.2.2.4", 200, &[(CC, "no-cache")], "no-cache"),
        ("RFC 9111 5.2.2.4 fields", 200, &[(CC, "no-cache=\"x-a\"")], "no-cache"),
        ("RFC 9111 7.3", 200, &[("set-cookie", "a=b")], "set-cookie"),
        ("RFC 9111 7.3 though public", 200, &[("set-cookie", "a"), (CC, "public")], "set-cookie"),
        ("RFC 9111 4.1 star", 200, &[("vary", "*")], "vary-star"),
        ("RFC 9110 12.5.5 star among names", 200, &[("vary", "x-odd, *")], "vary-star"),
        (
            "RFC 9110 12.5.5 star on a second line",
            200,
            &[("vary", "x"), ("vary", "*")],
            "vary-star",
        ),
        ("RFC 9111 4.1 fields", 200, &[("vary", "Accept, accept-LANGUAGE"), ("vary", "x")], ""),
        ("RFC 9110 12.5.5 no name", 200, &[("vary", "accept language")], "vary-star"),
        ("RFC 9111 4.1 empty", 200, &[("vary", " , ")], ""),
        ("event stream", 200, &[("content-type", "Text/Event-Stream ; charset=x")], "event-stream"),
        ("another stream", 200, &[("content-type", "text/event-streams")], ""),
        ("RFC 9110 6.6.2", 200, &[("trailer", "digest")], "trailers"),
        ("RFC 9111 5.2.2.1", 200, &[(CC, "max-age=0")], "expired"),
        ("RFC 9111 4.2.1 invalid", 200, &[(CC, "max-age=x")], "expired"),
        ("RFC 9111 5.2.2.10", 200, &[(CC, "s-maxage=0, max-age=60")], "expired"),
        ("RFC 9111 5.2.2.10 overrides", 200, &[(CC, "s-maxage=60, max-age=0")], ""),
        ("RFC 9110 8.6 not a number", 200, &[("content-length", "x")], "length"),
        ("RFC 9110 8.6 empty", 200, &[("content-length", "")], "length"),
        ("RFC 9110 8.6 twice the same", 200, &[("content-length", "5, 5")], ""),
        ("RFC 9110 8.6 two", 200, &[("content-length", "5"), ("content-length", "6")], "length"),
        ("at the limit", 200, &[("content-length", "100")], ""),
        ("over the limit", 200, &[("content-length", "101")], "too-large"),
        ("far over the limit", 200, &[("content-length", "99999999999999999999")], "too-large"),
    ];
    let statuses = [200, 206, 101, 404].map(|status| StatusCode::from_u16(status).unwrap());
    let rules =
        StorableRules { statuses: &statuses, max_body: 100, private: false, set_cookie: false };
    for (row, status, fields, expected) in rows {
        let headers = headers(fields);
        let cache_control = CacheControl::from_headers(&headers);
        let status = StatusCode::from_u16(*status).unwrap();
        let found = response_refusal(status, &headers, &cache_control, &rules);
        assert_eq!(found.map_or("", Uncacheable::as_str), *expected, "{row}");
    }
}

#[test]
fn bodies() {
    type Row = (&'static str, &'static [(&'static str, &'static str)], u64, bool, &'static str);
    let rows: &[Row] = &[
        ("unannounced", &[], 5, false, ""),
        ("RFC 9111 3.3 complete", &[("content-length", "5")], 5, false, ""),
        ("RFC 9111 3.3 cut short", &[("content-length", "5")], 4, false, "length"),
        ("RFC 9112 6.3 too long", &[("content-length", "5")], 6, false, "length"),
        ("RFC 9110 8.6 invalid", &[("content-length", "5, 6")], 5, false, "length"),
        ("RFC 9110 6.5 trailers", &[], 5, true, "trailers"),
        ("at the limit", &[], 100, false, ""),
        ("over the limit", &[], 101, false, "too-large"),
    ];
    for (row, fields, length, trailers, expected) in rows {
        let found = body_refusal(&headers(fields), *length, *trailers, 100);
        assert_eq!(found.map_or("", Uncacheable::as_str), *expected, "{row}");
    }
}
