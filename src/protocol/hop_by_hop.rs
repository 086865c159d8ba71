//! Fields that belong to one connection and are never stored (RFC 9111 3.1, RFC 9110 7.6.1).

use http::HeaderMap;
use http::header::{
    AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY,
};
use http::header::{CONNECTION, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use http::header::{TE, TRAILER, TRANSFER_ENCODING, UPGRADE};

use super::list;

static HOP_BY_HOP: [HeaderName; 10] = [
    // RFC 9110 7.6.1: removed whether or not Connection names them.
    CONNECTION,
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    // RFC 9110 6.6.2: announces the trailers of this message, which are not stored.
    TRAILER,
    // RFC 9111 3.1: between a proxy and its next hop.
    PROXY_AUTHENTICATE,
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHORIZATION,
];

/// What decides who may have a response, and for how long.
static END_TO_END: [HeaderName; 9] =
    [AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, EXPIRES, LAST_MODIFIED, VARY];

/// Removes the hop-by-hop fields, and those that `Connection` names.
///
/// What is meant for whoever has the content is no option of a connection, and stays though it be
/// named: by RFC 9110 7.6.1 nobody sends such an option, and without `Cache-Control` or `Vary` what is
/// stored would be served where it must not. The order of the fields that stay may change, but not among those of one name (RFC
/// 9110 5.3).
pub fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = list::members(headers, &CONNECTION)
        .filter_map(|option| HeaderName::from_bytes(option).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn stripping() {
        type Row<'a> = (&'a str, &'a [(&'static str, &'a str)], &'a [&'a str]);
        let rows: [Row<'_>; 16] = [
            (
                "end-to-end stays",
                &[("content-type", "a/b"), ("etag", "e")],
                &["content-type", "etag"],
            ),
            ("RFC 9110 7.6.1 Connection", &[("connection", "close")], &[]),
            (
                "RFC 9110 7.6.1 named",
                &[("connection", "X-Hop"), ("x-hop", "1"), ("x", "2")],
                &["x"],
            ),
            (
                "RFC 9110 7.6.1 several named on several lines",
                &[("connection", "a, ,b"), ("connection", "c"), ("a", ""), ("b", ""), ("c", "")],
                &[],
            ),
            (
                "RFC 9110 7.6.1 all values of one named",
                &[("connection", "a"), ("a", "1"), ("a", "2")],
                &[],
            ),
            (
                "RFC 9110 7.6.1 never appropriate",
                &[("connection", "cache-control, x"), ("cache-control", "private"), ("x", "")],
                &["cache-control"],
            ),
            ("RFC 9110 7.6.1 no name", &[("connection", "a b, \u{e9}, \""), ("a", "")], &["a"]),
            ("RFC 9110 7.6.1 Keep-Alive", &[("keep-alive", "timeout=5")], &[]),
            ("RFC 9110 7.6.1 Proxy-Connection", &[("proxy-connection", "close")], &[]),
            ("RFC 9110 7.6.1 TE", &[("te", "trailers")], &[]),
            ("RFC 9110 7.6.1 Transfer-Encoding", &[("transfer-encoding", "chunked")], &[]),
            ("RFC 9110 7.6.1 Upgrade", &[("upgrade", "h2c")], &[]),
            ("RFC 9110 6.6.2 Trailer", &[("trailer", "digest")], &[]),
            ("RFC 9111 3.1 Proxy-Authenticate", &[("proxy-authenticate", "Basic")], &[]),
            ("RFC 9111 3.1 Proxy-Authentication-Info", &[("proxy-authentication-info", "a")], &[]),
            ("RFC 9111 3.1 Proxy-Authorization", &[("proxy-authorization", "Basic")], &[]),
        ];
        for (row, fields, expected) in rows {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.append(HeaderName::from_static(name), value);
            }
            strip(&mut headers);
            let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            assert_eq!(left, expected, "{row}");
        }
    }
}
