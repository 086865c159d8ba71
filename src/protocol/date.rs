//! The dates of HTTP (RFC 9110 5.6.7).

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::list;

/// What a field that holds one date says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dated {
    /// The field is not there.
    Absent,
    /// It is no date, or stands there twice.
    Invalid,
    /// Seconds since 1970.
    At(u64),
}

/// The date in a field that may stand in a message once only (RFC 9110 5.3).
pub(super) fn field(headers: &HeaderMap, name: &HeaderName) -> Dated {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (None, _) => Dated::Absent,
        (Some(line), None) => parse(line.as_bytes()).map_or(Dated::Invalid, Dated::At),
        (Some(_), Some(_)) => Dated::Invalid,
    }
}

/// Seconds since 1970 of a date in any of its three forms. A date before 1970 is none.
pub(super) fn parse(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(list::trim(text)).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The date that is so many seconds after 1970, at most the last of the year 9999.
#[must_use]
pub fn http_date(seconds: u64) -> HeaderValue {
    const LAST: u64 = 253_402_300_799;
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST)));
    // A date is ASCII, which no value refuses.
    HeaderValue::try_from(date).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::DATE;

    use super::*;

    #[test]
    fn dates_rfc9110_5_6_7() {
        use Dated::{Absent, At, Invalid};
        let rows: [(&str, &[&str], Dated); 13] = [
            ("absent", &[], Absent),
            ("IMF-fixdate", &["Sun, 06 Nov 1994 08:49:37 GMT"], At(784_111_777)),
            ("RFC 850", &["Sunday, 06-Nov-94 08:49:37 GMT"], At(784_111_777)),
            ("asctime", &["Sun Nov  6 08:49:37 1994"], At(784_111_777)),
            ("white space", &[" Sun, 06 Nov 1994 08:49:37 GMT\t"], At(784_111_777)),
            ("the beginning", &["Thu, 01 Jan 1970 00:00:00 GMT"], At(0)),
            ("another zone", &["Sun, 06 Nov 1994 08:49:37 CET"], Invalid),
            ("a day that is none", &["Sun, 31 Feb 1994 08:49:37 GMT"], Invalid),
            ("before 1970", &["Sat, 06 Nov 1869 08:49:37 GMT"], Invalid),
            ("a number", &["0"], Invalid),
            ("empty", &[""], Invalid),
            ("5.3 twice", &["Sun, 06 Nov 1994 08:49:37 GMT"; 2], Invalid),
            (
                "5.3 a list",
                &["Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"],
                Invalid,
            ),
        ];
        for (row, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(DATE, HeaderValue::from_static(line));
            }
            assert_eq!(field(&headers, &DATE), expected, "{row}");
        }
    }

    #[test]
    fn a_written_date_is_read_again() {
        for seconds in [0, 784_111_777, 253_402_300_799] {
            assert_eq!(parse(http_date(seconds).as_bytes()), Some(seconds));
        }
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(http_date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
