//! The dates of HTTP (RFC 9110 5.6.7).

use std::time::UNIX_EPOCH;

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
///
/// Every hit on an entry without a date writes one: digits into their places cost a third of what a
/// formatter does.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    reason = "each is two digits, or a place among seven or twelve"
)]
pub fn http_date(seconds: u64) -> HeaderValue {
    const LAST: u64 = 253_402_300_799;
    const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

    let seconds = seconds.min(LAST);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let name = |names: &[u8], at: u64| {
        let at = at as usize * 3;
        [names[at], names[at + 1], names[at + 2]]
    };
    text[..3].copy_from_slice(&name(DAYS, days % 7));
    text[8..11].copy_from_slice(&name(MONTHS, month - 1));
    let pairs = [
        (5, day),
        (12, year / 100),
        (14, year % 100),
        (17, second / 3600),
        (20, second / 60 % 60),
        (23, second % 60),
    ];
    for (at, pair) in pairs {
        text[at] = b'0' + (pair / 10) as u8;
        text[at + 1] = b'0' + (pair % 10) as u8;
    }
    // A date is ASCII, which no value refuses.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Year, month and day of the Gregorian calendar, so many days after the first of 1970.
///
/// The year is taken to begin in March, so that the day that some have is the last: then the months' days
/// before each are a straight line, and 400 years are always as long (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    // From the first of March of the year 0 to the first of January 1970.
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use http::header::DATE;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn every_date_is_written_as_the_library_writes_it(seconds in 0..=253_402_300_799_u64) {
            let library = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            let written = http_date(seconds);
            prop_assert_eq!(written.to_str().unwrap(), library);
        }
    }

    #[test]
    fn every_day_of_four_centuries_is_written_as_the_library_writes_it() {
        for day in 0..=146_097 {
            let library = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(day * 86_400));
            assert_eq!(http_date(day * 86_400), library);
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
