//! Percent-encoding with one spelling for each text.

use std::borrow::Cow;
use std::fmt;

/// Appends `bytes` to `out`: unreserved characters (RFC 3986, section 2.3) as they are, every other
/// byte as `%XX` with capital digits.
///
/// The result holds none of the characters that have a meaning in a name, a pattern or a path.
pub fn encode(bytes: &[u8], out: &mut String) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let run = rest.iter().take_while(|&&byte| is_unreserved(byte)).count();
        let (plain, other) = rest.split_at(run);
        // What is unreserved is ASCII.
        out.push_str(str::from_utf8(plain).unwrap_or_default());
        rest = other;
        if let Some((&byte, more)) = other.split_first() {
            push_encoded(byte, out);
            rest = more;
        }
    }
}

/// Appends the canonical spelling of `raw` to `out`: escapes are decoded, then the bytes are
/// written as [`encode`] writes them, so `%34%32` and `42` come out alike (RFC 3986, section 6.2.2).
///
/// `raw` is the text of one path segment or parameter as it stood in the request. An escape that
/// decodes to `/` stays an escape, so one segment never becomes two.
///
/// # Errors
/// [`Malformed`] if a `%` is not followed by two hexadecimal digits; `out` is then as it was.
pub fn normalize_value(raw: &str, out: &mut String) -> Result<(), Malformed> {
    let start = out.len();
    let done = normalize(raw, Plus::Encode, BadEscape::Refuse, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

/// As [`normalize_value`], for the writes, whose invalidation must not be skipped: a `%` that
/// begins no escape is taken for a percent sign and written as `%25`.
pub fn normalize_value_lossy(raw: &str, out: &mut String) {
    let done = normalize(raw, Plus::Encode, BadEscape::Literal, out);
    debug_assert!(done.is_ok());
}

/// What [`normalize_value`] makes of `raw`, which most values are already.
pub(crate) fn normal_value(raw: &str) -> Result<Cow<'_, str>, Malformed> {
    if raw.bytes().all(is_unreserved) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    normalize_value(raw, &mut value)?;
    Ok(Cow::Owned(value))
}

/// The same of [`normalize_value_lossy`].
pub(crate) fn normal_value_lossy(raw: &str) -> Cow<'_, str> {
    if raw.bytes().all(is_unreserved) {
        return Cow::Borrowed(raw);
    }
    let mut value = String::with_capacity(raw.len());
    normalize_value_lossy(raw, &mut value);
    Cow::Owned(value)
}

/// As [`normalize_value`] for one side of a query's `name=value`, where a bare `+` stays one.
pub(super) fn normalize_query_part(raw: &str, out: &mut String) -> Result<(), Malformed> {
    normalize(raw, Plus::Keep, BadEscape::Refuse, out)
}

/// A `%` that is not followed by two hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a `%` must be followed by two hexadecimal digits: write `%25` for the sign itself",
        )
    }
}

impl std::error::Error for Malformed {}

/// Whether [`encode`] leaves this byte alone. Looked up, since it is asked of most bytes of most keys.
pub(super) const fn is_unreserved(byte: u8) -> bool {
    UNRESERVED[byte as usize]
}

const UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[derive(Clone, Copy, PartialEq)]
enum Plus {
    Keep,
    Encode,
}

#[derive(Clone, Copy, PartialEq)]
enum BadEscape {
    Refuse,
    Literal,
}

fn normalize(raw: &str, plus: Plus, bad: BadEscape, out: &mut String) -> Result<(), Malformed> {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let run = bytes[at..].iter().take_while(|&&b| is_unreserved(b)).count();
        if run > 0 {
            // Ends at an ASCII byte or at the first byte of a character, thus on a boundary.
            out.push_str(&raw[at..at + run]);
            at += run;
            continue;
        }
        match bytes[at] {
            b'%' => match escape(&bytes[at + 1..]) {
                Some(byte) => {
                    push_encoded(byte, out);
                    at += 3;
                }
                None if bad == BadEscape::Refuse => return Err(Malformed),
                None => {
                    out.push_str("%25");
                    at += 1;
                }
            },
            b'+' if plus == Plus::Keep => {
                out.push('+');
                at += 1;
            }
            byte => {
                push_encoded(byte, out);
                at += 1;
            }
        }
    }
    Ok(())
}

fn escape(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = *digits else { return None };
    Some(hex(high)? << 4 | hex(low)?)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_encoded(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if is_unreserved(byte) {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(bytes: &[u8]) -> String {
        let mut out = String::new();
        encode(bytes, &mut out);
        out
    }

    fn normal(raw: &str) -> Result<String, Malformed> {
        let mut out = String::new();
        normalize_value(raw, &mut out).map(|()| out)
    }

    fn lossy(raw: &str) -> String {
        let mut out = String::new();
        normalize_value_lossy(raw, &mut out);
        out
    }

    #[test]
    fn one_spelling_for_each_text() {
        assert_eq!(normal("%34%32").as_deref(), Ok("42"));
        assert_eq!(normal("caf\u{e9}").as_deref(), Ok("caf%C3%A9"));
        assert_eq!(normal("caf%c3%a9").as_deref(), Ok("caf%C3%A9"));
        assert_eq!(normal("a%2fb").as_deref(), Ok("a%2Fb"));
        assert_eq!(normal("a+b").as_deref(), Ok("a%2Bb"));
        assert_eq!(normal("%ff").as_deref(), Ok("%FF"));
    }

    #[test]
    fn a_stray_percent_sign_is_refused_or_literal() {
        for (raw, literal) in [("%", "%25"), ("a%4", "a%254"), ("%zz", "%25zz"), ("%%41", "%25A")] {
            assert_eq!(normal(raw), Err(Malformed), "{raw}");
            assert_eq!(lossy(raw), literal);
        }
        let mut out = String::from("kept");
        assert_eq!(normalize_value("abc%", &mut out), Err(Malformed));
        assert_eq!(out, "kept");
    }

    proptest! {
        #[test]
        fn encoding_is_injective_over_arbitrary_bytes(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(encoded(&a) == encoded(&b), a == b);
            let text = encoded(&a);
            prop_assert!(text.bytes().all(|b| is_unreserved(b) || b == b'%'));
            // What is encoded can be read back, which is injectivity for all pairs at once.
            let mut back = Vec::new();
            let mut bytes = text.bytes();
            while let Some(byte) = bytes.next() {
                if byte == b'%' {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    back.push(escape(&digits).unwrap());
                } else {
                    back.push(byte);
                }
            }
            prop_assert_eq!(back, a);
        }

        #[test]
        fn value_normalisation_is_idempotent(raw in "(\\PC|%|%[0-9a-fA-F]{2}){0,20}") {
            let once = lossy(&raw);
            prop_assert_eq!(normal(&once), Ok(once.clone()));
            if let Ok(strict) = normal(&raw) {
                prop_assert_eq!(strict, once);
            }
        }
    }
}
