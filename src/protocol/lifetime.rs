//! For how long a response may be served (RFC 9111 4.2.1).

use std::time::Duration;

use http::HeaderMap;

use super::{CacheControl, initial_age};

/// How long from now on a response stays fresh.
///
/// The route's `configured` time is the rule; `s-maxage`, and without it `max-age`, shortens it
/// (RFC 9111 5.2.2.10), and lengthens it only where `allow_longer` says so. Whatever age the
/// response has already (its `Age`, RFC 9111 4.2.3) is taken off. Zero means: do not store.
///
/// Without such a directive the `configured` time stands, whatever `Expires` says: it is the more
/// specific word of the same application.
#[must_use]
pub fn lifetime(
    configured: Duration,
    cache_control: &CacheControl,
    headers: &HeaderMap,
    allow_longer: bool,
) -> Duration {
    let said = cache_control.shared_max_age().map(|seconds| Duration::from_secs(seconds.into()));
    let total = match said {
        Some(said) if allow_longer || said < configured => said,
        _ => configured,
    };
    total.saturating_sub(Duration::from_secs(initial_age(headers).into()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{AGE, CACHE_CONTROL};

    use super::*;

    #[test]
    fn lifetimes_rfc9111_4_2_1() {
        let rows = [
            ("configured alone", "", "", false, 300),
            ("5.2.2.1 max-age shortens", "max-age=60", "", false, 60),
            ("5.2.2.1 max-age does not lengthen", "max-age=600", "", false, 300),
            ("5.2.2.1 max-age lengthens if allowed", "max-age=600", "", true, 600),
            ("5.2.2.1 max-age shortens if longer is allowed", "max-age=60", "", true, 60),
            ("5.2.2.10 s-maxage before max-age", "max-age=60, s-maxage=120", "", false, 120),
            (
                "5.2.2.10 s-maxage before a longer max-age",
                "max-age=120, s-maxage=60",
                "",
                false,
                60,
            ),
            ("5.2.2.10 s-maxage lengthens if allowed", "max-age=60, s-maxage=900", "", true, 900),
            ("4.2.1 an invalid max-age is stale", "max-age=soon", "", false, 0),
            ("4.2.1 an invalid s-maxage is stale", "max-age=60, s-maxage=x", "", true, 0),
            ("4.2.3 Age is taken off", "", "100", false, 200),
            ("4.2.3 Age is taken off max-age", "max-age=60", "50", false, 10),
            ("4.2.3 Age over the lifetime", "max-age=60", "61", false, 0),
            ("4.2.3 Age is taken off a longer max-age first", "max-age=600", "400", true, 200),
            ("5.1 an invalid Age is ignored", "", "x", false, 300),
            ("1.2.2 overflow", "max-age=99999999999", "", true, 1 << 31),
        ];
        for (row, cache_control, age, allow_longer, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
            if !age.is_empty() {
                headers.insert(AGE, HeaderValue::from_static(age));
            }
            let cache_control = CacheControl::from_headers(&headers);
            let found = lifetime(Duration::from_secs(300), &cache_control, &headers, allow_longer);
            assert_eq!(found, Duration::from_secs(expected), "{row}");
        }
    }
}
