//! Percent-encoding with one spelling for each text.

/// Appends `bytes` to `out`: unreserved characters (RFC 3986, section 2.3) as they are, every other
/// byte as `%XX` with capital digits.
///
/// The result holds none of the characters that have a meaning in a name, a pattern or a path.
pub fn encode(bytes: &[u8], out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}
