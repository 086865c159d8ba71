//! Moments and spans as people and programs read them.

use std::time::Duration;

use crate::entry::Millis;

/// A moment as RFC 3339 writes it, in UTC.
pub(super) fn rfc3339(at: Millis) -> String {
    let (days, millis) = (at / 86_400_000, at % 86_400_000);
    let (year, month, day) = date(days);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// A span in milliseconds, to the microsecond.
pub(super) fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

/// A span in the largest unit that leaves something before the point.
pub(super) fn words(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match seconds {
        s if s >= 172_800.0 => format!("{:.1} d", s / 86_400.0),
        s if s >= 7200.0 => format!("{:.1} h", s / 3600.0),
        s if s >= 120.0 => format!("{:.1} min", s / 60.0),
        s if s >= 1.0 => format!("{s:.1} s"),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}

/// The date of a day since the Unix epoch. Years begin in March meanwhile, so that the day that some
/// of them lack is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_another_implementation() {
        for days in (0..80_000).step_by(13) {
            let at = days * 86_400_000 + 45_296_789;
            let known = std::time::UNIX_EPOCH + Duration::from_millis(at);
            // `Sun, 06 Nov 1994 08:49:37 GMT`
            let known = httpdate::fmt_http_date(known);
            let parts: Vec<&str> = known.split(' ').collect();
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(parts[2]).unwrap() / 3 + 1;
            let expected = format!("{}-{month:02}-{}T{}.789Z", parts[3], parts[1], parts[4]);
            assert_eq!(rfc3339(at), expected);
        }
    }

    #[test]
    fn spans_are_in_words() {
        for (micros, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1500, "1.5 ms"),
            (2_000_000, "2.0 s"),
            (300_000_000, "5.0 min"),
            (7_200_000_000, "2.0 h"),
            (259_200_000_000, "3.0 d"),
        ] {
            assert_eq!(words(Duration::from_micros(micros)), expected);
        }
    }
}
