//! How old a response is (RFC 9111 4.2.3).

use http::HeaderMap;
use http::header::AGE;

use super::list;

/// The largest number of seconds that is told apart: 2^31 (RFC 9111 1.2.2).
pub const MAX_SECONDS: u32 = 1 << 31;

/// The age in seconds at `now` of a response that was `initial_age` seconds old at `stored_at`.
///
/// Both moments are milliseconds of one clock. Where that clock went backwards, no time has
/// passed. At most [`MAX_SECONDS`].
#[must_use]
pub fn age(stored_at: u64, initial_age: u32, now: u64) -> u32 {
    let resident = now.saturating_sub(stored_at) / 1000;
    let resident = u32::try_from(resident).unwrap_or(MAX_SECONDS);
    initial_age.saturating_add(resident).min(MAX_SECONDS)
}

/// The age in seconds that a response says it has already, or 0.
///
/// Of several values the first counts, and one that is no number is ignored (RFC 9111 5.1).
#[must_use]
pub fn initial_age(headers: &HeaderMap) -> u32 {
    list::members(headers, &AGE).next().and_then(list::digits).map_or(0, saturate)
}

/// As many seconds, at most [`MAX_SECONDS`] (RFC 9111 1.2.2).
pub(super) fn saturate(seconds: u64) -> u32 {
    u32::try_from(seconds).map_or(MAX_SECONDS, |seconds| seconds.min(MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn ages_rfc9111_4_2_3() {
        let rows = [
            ("at once", (1000, 0, 1000), 0),
            ("not yet a second", (1000, 0, 1999), 0),
            ("one second", (1000, 0, 2000), 1),
            ("beside the age it had", (1000, 30, 61_000), 90),
            ("4.2.3 a clock that went backwards", (5000, 7, 1000), 7),
            ("1.2.2 overflow of the initial age", (0, u32::MAX, 1000), MAX_SECONDS),
            ("1.2.2 overflow of the time passed", (0, 0, u64::MAX), MAX_SECONDS),
        ];
        for (row, (stored_at, initial, now), expected) in rows {
            assert_eq!(age(stored_at, initial, now), expected, "{row}");
        }
    }

    #[test]
    fn initial_ages_rfc9111_5_1() {
        let rows: [(&str, &[&str], u32); 9] = [
            ("no Age", &[], 0),
            ("a number", &["60"], 60),
            ("white space", &[" 60 "], 60),
            ("the first of a list", &["60, 90"], 60),
            ("the first of two lines", &["60", "5"], 60),
            ("negative is ignored", &["-1"], 0),
            ("no number is ignored", &["soon"], 0),
            ("the first alone is looked at", &["soon, 60"], 0),
            ("1.2.2 overflow", &["99999999999999999999999"], MAX_SECONDS),
        ];
        for (row, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(AGE, HeaderValue::from_static(line));
            }
            assert_eq!(initial_age(&headers), expected, "{row}");
        }
    }
}
