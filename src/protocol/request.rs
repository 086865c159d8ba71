//! Requests that a cache leaves alone, and those that carry an identity.

use std::sync::LazyLock;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, IF_MATCH, IF_UNMODIFIED_SINCE, RANGE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Uri};

use super::glance::{Glance, Several};
use super::list;

/// Why a request is passed on without a look into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestBypass {
    /// It asks for a tunnel (RFC 9110 9.3.6; in HTTP/2 for a `WebSocket` too, RFC 8441).
    Connect,
    /// It asks for another protocol (RFC 9110 7.8): the answer is a connection, not a response.
    Upgrade,
    /// It asks for a part (RFC 9110 14.2).
    Range,
    /// It is to be done only if the resource is in a certain state (RFC 9110 13.1.1, 13.1.4).
    Precondition,
    /// It has content, which a handler may read and no key holds (RFC 9110 9.3.1).
    Content,
}

impl RequestBypass {
    /// A short name, as used in `Cache-Status` and for the labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Upgrade => "upgrade",
            Self::Range => "range",
            Self::Precondition => "precondition",
            Self::Content => "content",
        }
    }
}

/// Why this request must bypass the cache, if it must.
#[must_use]
pub fn bypass_by_request(method: &Method, headers: &HeaderMap) -> Option<RequestBypass> {
    Glance::of(headers).bypass(method)
}

/// As [`bypass_by_request`], for who has the content in the key (RFC 10008 2.7).
#[must_use]
pub fn bypass_beside_content(method: &Method, headers: &HeaderMap) -> Option<RequestBypass> {
    Glance::of(headers).bypass_beside_content(method)
}

/// Whether two readers of this request could take it for two: it has several Host lines, or another
/// than its target names (RFC 9112 3.2), or it says in two ways where its content ends (6.3).
#[must_use]
pub fn is_ambiguous(target: &Uri, headers: &HeaderMap) -> bool {
    Glance::of(headers).is_ambiguous(target)
}

/// Without these, and for another method than CONNECT, no request is left alone.
static TELLING: LazyLock<Several> = LazyLock::new(|| {
    Several::new([CONTENT_LENGTH, IF_MATCH, IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING, UPGRADE])
});

impl Glance<'_> {
    /// [`bypass_by_request`].
    pub(crate) fn bypass(&self, method: &Method) -> Option<RequestBypass> {
        if method != Method::CONNECT && self.some_of(&TELLING).next().is_none() {
            return None;
        }
        // RFC 9112 6.3: one of these says that there is content.
        let has_content = self.has(&TRANSFER_ENCODING)
            || self.has(&CONTENT_LENGTH)
                && list::members(self.headers, &CONTENT_LENGTH)
                    .any(|length| list::digits(length) != Some(0));
        self.another_protocol(method)
            .or(has_content.then_some(RequestBypass::Content))
            .or_else(|| self.own_copy())
    }

    /// [`bypass_beside_content`].
    pub(crate) fn bypass_beside_content(&self, method: &Method) -> Option<RequestBypass> {
        self.another_protocol(method).or_else(|| self.own_copy())
    }

    /// [`is_ambiguous`].
    pub(crate) fn is_ambiguous(&self, target: &Uri) -> bool {
        self.has_other_host(target) || self.has(&CONTENT_LENGTH) && self.has_two_ends()
    }

    fn has_other_host(&self, target: &Uri) -> bool {
        let (host, has_more) = self.host();
        let other_host = match (target.authority(), host) {
            // RFC 9112 3.2: what is sent in both is the same, but for who asks.
            (Some(authority), Some(host)) => {
                let named = authority.as_str();
                named.rsplit_once('@').map_or(named, |(_, named)| named).as_bytes()
                    != host.as_bytes()
            }
            _ => false,
        };
        other_host || has_more
    }

    fn has_two_ends(&self) -> bool {
        let mut lengths = list::members(self.headers, &CONTENT_LENGTH);
        let length = lengths.next();
        self.has(&TRANSFER_ENCODING) && length.is_some()
            || lengths.any(|other| Some(other) != length)
    }

    fn another_protocol(&self, method: &Method) -> Option<RequestBypass> {
        if method == Method::CONNECT {
            return Some(RequestBypass::Connect);
        }
        // RFC 9110 7.8: an Upgrade that Connection does not name is not meant for this hop.
        let upgrades = self.has(&UPGRADE)
            && list::members(self.headers, &CONNECTION)
                .any(|option| option.eq_ignore_ascii_case(b"upgrade"));
        upgrades.then_some(RequestBypass::Upgrade)
    }

    /// What a request wants that is about its client's own copy.
    fn own_copy(&self) -> Option<RequestBypass> {
        if self.has(&RANGE) {
            return Some(RequestBypass::Range);
        }
        let precondition = self.has(&IF_MATCH) || self.has(&IF_UNMODIFIED_SINCE);
        precondition.then_some(RequestBypass::Precondition)
    }
}

/// What in a request tells who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Credentials {
    /// An `Authorization` field (RFC 9110 11.6.2), perhaps cookies too.
    Authorization,
    /// Cookies alone (RFC 6265 5.4).
    Cookie,
}

impl Credentials {
    /// A short name, as used in `Cache-Status` and for the labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
        }
    }
}

/// Which credentials a request carries, if any. An empty field counts.
#[must_use]
pub fn has_credentials(headers: &HeaderMap) -> Option<Credentials> {
    if headers.contains_key(AUTHORIZATION) {
        return Some(Credentials::Authorization);
    }
    headers.contains_key(COOKIE).then_some(Credentials::Cookie)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    type Fields = &'static [(&'static str, &'static str)];

    fn headers(fields: Fields) -> HeaderMap {
        fields
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn bypasses() {
        let rows: [(&str, Method, Fields, Option<&str>); 14] = [
            ("RFC 9110 13.1.1", Method::GET, &[("if-match", "\"1\"")], Some("precondition")),
            ("RFC 9110 13.1.2", Method::GET, &[("if-none-match", "\"1\"")], None),
            ("plain", Method::GET, &[("accept", "*/*")], None),
            ("RFC 9110 9.3.6 CONNECT", Method::CONNECT, &[], Some("connect")),
            (
                "RFC 9110 7.8 upgrade",
                Method::GET,
                &[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")],
                Some("upgrade"),
            ),
            ("RFC 9110 7.8 not for this hop", Method::GET, &[("upgrade", "h2c")], None),
            ("RFC 9110 7.8 without a protocol", Method::GET, &[("connection", "upgrade")], None),
            (
                "RFC 9110 7.8 another option",
                Method::GET,
                &[("upgrade", "h2c"), ("connection", "no-upgrade")],
                None,
            ),
            ("RFC 9110 14.2 range", Method::GET, &[("range", "bytes=0-1")], Some("range")),
            ("RFC 9110 9.3.1 content", Method::GET, &[("content-length", "5")], Some("content")),
            ("RFC 9110 9.3.1 no content", Method::GET, &[("content-length", "0")], None),
            (
                "RFC 9112 6.3 content of unknown length",
                Method::GET,
                &[("transfer-encoding", "chunked")],
                Some("content"),
            ),
            ("RFC 9110 8.6 no length", Method::GET, &[("content-length", "0, 5")], Some("content")),
            ("RFC 9110 14.2 unknown unit", Method::HEAD, &[("range", "x")], Some("range")),
        ];
        for (row, method, fields, expected) in rows {
            let found = bypass_by_request(&method, &headers(fields));
            assert_eq!(found.map(RequestBypass::as_str), expected, "{row}");
        }
    }

    #[test]
    fn ambiguities() {
        let rows: [(&str, &str, Fields, bool); 13] = [
            ("plain", "/", &[("host", "a")], false),
            ("no host", "/", &[], false),
            ("RFC 9112 3.2 two hosts", "/", &[("host", "a"), ("host", "b")], true),
            ("RFC 9112 3.2 one host twice", "/", &[("host", "a"), ("host", "a")], true),
            ("RFC 9112 3.2.2 the same", "http://a:8/", &[("host", "a:8")], false),
            ("RFC 9113 8.3.1 without Host", "http://a/", &[], false),
            ("RFC 9112 3.2 a user", "http://u:p@a/", &[("host", "a")], false),
            ("RFC 9112 3.2 another host", "http://a/", &[("host", "b")], true),
            ("RFC 9112 3.2 another port", "http://a/", &[("host", "a:81")], true),
            ("RFC 9112 6.3 one length", "/", &[("content-length", "0, 0")], false),
            ("RFC 9112 6.3 two lengths", "/", &[("content-length", "0, 5")], true),
            (
                "RFC 9112 6.3 two lines",
                "/",
                &[("content-length", "5"), ("content-length", "0")],
                true,
            ),
            (
                "RFC 9112 6.1 two framings",
                "/",
                &[("content-length", "0"), ("transfer-encoding", "chunked")],
                true,
            ),
        ];
        for (row, target, fields, expected) in rows {
            assert_eq!(is_ambiguous(&target.parse().unwrap(), &headers(fields)), expected, "{row}");
        }
    }

    #[test]
    fn credentials() {
        let rows: [(&str, Fields, Option<&str>); 5] = [
            ("none", &[("accept", "*/*")], None),
            ("RFC 9110 11.6.2", &[("authorization", "Bearer a")], Some("authorization")),
            ("RFC 6265 5.4", &[("cookie", "a=b")], Some("cookie")),
            ("both", &[("cookie", "a=b"), ("authorization", "x")], Some("authorization")),
            ("empty", &[("cookie", "")], Some("cookie")),
        ];
        for (row, fields, expected) in rows {
            let found = has_credentials(&headers(fields));
            assert_eq!(found.map(Credentials::as_str), expected, "{row}");
        }
    }
}
