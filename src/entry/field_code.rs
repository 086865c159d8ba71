//! One byte in place of a common header field's name.

use http::HeaderName;

/// Stands for a name that is spelled out.
pub(super) const SPELLED: u8 = 0;

/// Set beside the code if the value is sensitive ([`http::HeaderValue::is_sensitive`]), so that
/// HTTP/2 keeps it out of its compression tables after a hit too.
pub(super) const SENSITIVE: u8 = 0x80;

macro_rules! codes {
    ($($code:literal => $name:literal,)*) => {
        /// The code of `name`, if it has one.
        pub(super) fn of(name: &HeaderName) -> Option<u8> {
            match name.as_str() {
                $($name => Some($code),)*
                _ => None,
            }
        }

        /// The name that `code` stands for.
        pub(super) fn name(code: u8) -> Option<HeaderName> {
            match code {
                $($code => Some(const { HeaderName::from_static($name) }),)*
                _ => None,
            }
        }
    };
}

// The codes of version 1. A code never changes its meaning, in any version; a new one goes to the
// end and needs a new version of the frame, because readers of the old one do not know it.
codes! {
    1 => "content-type",
    2 => "content-length",
    3 => "etag",
    4 => "last-modified",
    5 => "cache-control",
    6 => "date",
    7 => "vary",
    8 => "expires",
    9 => "age",
    10 => "content-encoding",
    11 => "content-language",
    12 => "content-disposition",
    13 => "content-location",
    14 => "content-range",
    15 => "content-security-policy",
    16 => "content-security-policy-report-only",
    17 => "accept-ranges",
    18 => "access-control-allow-origin",
    19 => "access-control-allow-credentials",
    20 => "access-control-allow-headers",
    21 => "access-control-allow-methods",
    22 => "access-control-expose-headers",
    23 => "access-control-max-age",
    24 => "allow",
    25 => "alt-svc",
    26 => "cache-status",
    27 => "cdn-cache-control",
    28 => "cache-groups",
    29 => "cross-origin-embedder-policy",
    30 => "cross-origin-opener-policy",
    31 => "cross-origin-resource-policy",
    32 => "link",
    33 => "location",
    34 => "permissions-policy",
    35 => "pragma",
    36 => "referrer-policy",
    37 => "retry-after",
    38 => "server",
    39 => "server-timing",
    40 => "strict-transport-security",
    41 => "timing-allow-origin",
    42 => "x-content-type-options",
    43 => "x-frame-options",
    44 => "x-powered-by",
    45 => "x-request-id",
    46 => "x-robots-tag",
    47 => "x-xss-protection",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_match_without_a_gap() {
        assert_eq!(name(SPELLED), None);
        for code in 1..=47 {
            let name = name(code).expect("no gap");
            assert_eq!(of(&name), Some(code), "{name}");
        }
        assert_eq!(name(48), None);
        assert_eq!(of(&HeaderName::from_static("x-unheard-of")), None);
    }
}
