//! Comma-separated lists over any number of field lines (RFC 9110 5.6.1).

use http::{HeaderMap, HeaderName};

/// The members of all of the field's lines in their order, without the white space round them and
/// without empty ones. Only for fields whose members hold no quoted commas.
pub(super) fn members<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(trim)
        .filter(|member| !member.is_empty())
}

/// All of the field's lines as one, or nothing if it is absent (RFC 9110 5.3).
pub(super) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).into_iter();
    let mut joined = lines.next()?.as_bytes().to_vec();
    for line in lines {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(line.as_bytes());
    }
    Some(joined)
}

/// Without the optional white space round it: spaces and tabs (RFC 9110 5.6.3).
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// A number of digits alone, at most [`u64::MAX`].
pub(super) fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONNECTION;

    use super::*;

    #[test]
    fn lists_rfc9110_5_6_1() {
        let rows: [(&[&str], &[&str]); 6] = [
            (&[], &[]),
            (&[""], &[]),
            (&["a"], &["a"]),
            (&[" a ,\tb\t,, c d ,"], &["a", "b", "c d"]),
            (&["a", "b, c"], &["a", "b", "c"]),
            (&[" , ", ",a"], &["a"]),
        ];
        for (lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(CONNECTION, HeaderValue::from_static(line));
            }
            let found: Vec<_> =
                members(&headers, &CONNECTION).map(|m| str::from_utf8(m).unwrap()).collect();
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn digits_only() {
        let rows: [(&[u8], Option<u64>); 8] = [
            (b"", None),
            (b"0", Some(0)),
            (b"007", Some(7)),
            (b"+1", None),
            (b"-1", None),
            (b"1 ", None),
            (b"1.5", None),
            (b"99999999999999999999999", Some(u64::MAX)),
        ];
        for (bytes, expected) in rows {
            assert_eq!(digits(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
