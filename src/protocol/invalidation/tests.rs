use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use proptest::prelude::*;

use super::{also_invalid, invalidates};

type Fields<'a> = &'a [(&'static str, &'a str)];

fn headers(fields: Fields<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

fn found(target: &str, host: Option<&str>, response: Fields<'_>) -> String {
    let mut request = HeaderMap::new();
    if let Some(host) = host {
        request.insert("host", HeaderValue::from_str(host).unwrap());
    }
    let target: Uri = target.parse().unwrap();
    let found = also_invalid(&target, &request, &headers(response));
    found.iter().map(PathAndQuery::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn methods_and_statuses_rfc9111_4_4() {
    let rows = [
        ("RFC 9110 9.2.1 GET", "GET", 200, false),
        ("RFC 9110 9.2.1 HEAD", "HEAD", 200, false),
        ("RFC 9110 9.2.1 OPTIONS", "OPTIONS", 200, false),
        ("RFC 9110 9.2.1 TRACE", "TRACE", 200, false),
        ("QUERY is safe", "QUERY", 200, false),
        ("4.4 POST", "POST", 201, true),
        ("4.4 PUT", "PUT", 204, true),
        ("4.4 DELETE", "DELETE", 200, true),
        ("4.4 PATCH", "PATCH", 200, true),
        ("4.4 unknown", "PURGE", 200, true),
        ("methods are case-sensitive", "get", 200, true),
        ("4.4 a redirect", "POST", 303, true),
        ("4.4 the client's error", "POST", 404, false),
        ("4.4 the server's error", "POST", 500, false),
        ("4.4 not final", "POST", 100, false),
    ];
    for (row, method, status, expected) in rows {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(invalidates(&method, status), expected, "{row}");
    }
}

#[test]
fn references_rfc9111_4_4() {
    let rows = [
        ("3986 5.2 a path", "/x/y", "/a", "/a"),
        ("3986 5.2 a path and a query", "/x/y", "/a?b=c", "/a?b=c"),
        ("3986 5.2 relative", "/x/y", "a", "/x/a"),
        ("3986 5.2 relative to a folder", "/x/y/", "a?b", "/x/y/a?b"),
        ("3986 5.2 up", "/x/y/z", "../a", "/x/a"),
        ("3986 5.2 up over the top", "/x", "../../a", "/a"),
        ("3986 5.2.4 dots within", "/x", "/a/./b/../c", "/a/c"),
        ("3986 5.2.4 dots at the end", "/x", "/a/b/..", "/a/"),
        ("3986 5.2.4 a dot at the end", "/x", "/a/.", "/a/"),
        ("3986 5.2 only a query", "/x/y?q", "?a", "/x/y?a"),
        ("3986 5.2 nothing is the target", "/x/y?q", "", ""),
        ("3986 3.5 only a fragment is the target", "/x/y?q", "#a", ""),
        ("3986 3.5 a fragment", "/x", "/a?b#c?d", "/a?b"),
        ("the target itself", "/x?q", "/x?q", ""),
        ("the target without its query", "/x?q", "/x", "/x"),
        ("4.4 the same host", "/x", "http://h/a", "/a"),
        ("4.4 case of the host", "/x", "http://H/a", "/a"),
        ("4.4 unknown own scheme", "/x", "https://h/a", "/a"),
        ("4.4 the default port", "/x", "https://h:443/a", "/a"),
        ("4.4 another port", "/x", "https://h:444/a", ""),
        ("4.4 the default of another scheme", "/x", "https://h:80/a", ""),
        ("4.4 another host", "/x", "http://other/a", ""),
        ("4.4 a subdomain", "/x", "http://a.h/a", ""),
        ("4.4 a user is no host", "/x", "http://h@other/a", ""),
        ("3986 5.2 no scheme", "/x", "//h/a", "/a"),
        ("3986 5.2 no scheme, another host", "/x", "//other/a", ""),
        ("3986 6.2.3 no path", "/x", "http://h", "/"),
        ("3986 6.2.3 no path but a query", "/x", "http://h?a", "/?a"),
        ("4.4 another scheme", "/x", "ftp://h/a", ""),
        ("3986 3.1 no authority", "/x", "mailto:a@h", ""),
        ("3986 3.1 a colon in a path", "/x", "/a:b", "/a:b"),
        ("white space", "/x", " /a ", "/a"),
        ("no URI", "/x", "/a b", ""),
        ("4.4 the own scheme", "http://h/x", "http://h/a", "/a"),
        ("4.4 not the own scheme", "http://h/x", "https://h/a", ""),
        ("4.4 the own default port", "http://h:80/x", "//h/a", "/a"),
        ("4.4 the own authority before Host", "http://other/x", "http://h/a", ""),
    ];
    for (row, target, reference, expected) in rows {
        assert_eq!(found(target, Some("h"), &[("location", reference)]), expected, "{row}");
        assert_eq!(found(target, Some("h"), &[("content-location", reference)]), expected, "{row}");
    }
    let both: Fields<'_> = &[("content-location", "/b"), ("location", "/a"), ("location", "/b")];
    assert_eq!(found("/x", Some("h"), both), "/a /b", "4.4 each once");
    let both: Fields<'_> = &[("location", "http://h/a"), ("content-location", "/b")];
    assert_eq!(found("/x", None, both), "/b", "4.4 without a host no origin is the same");
    assert_eq!(found("/x", Some("h"), &[("location", "/\u{e9}")]), "/\u{e9}", "not ASCII");
    let row = "an own port";
    assert_eq!(found("/x", Some("h:8080"), &[("location", "http://h:8080/a")]), "/a", "{row}");
    assert_eq!(found("/x", Some("h:8080"), &[("location", "http://h/a")]), "", "{row}");
}

proptest! {
    #[test]
    fn what_is_found_is_a_path(reference in "[a-z:/?#.@\\[\\]é ]{0,24}") {
        for one in found("/x/y", Some("h"), &[("location", reference.as_str())]).split_whitespace() {
            prop_assert!(one.starts_with('/'), "{one}");
            let path = one.split('?').next().unwrap();
            prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{one}");
        }
    }
}
