//! What a client prefers, without how it says so (RFC 9110 12.4, 12.5).

use crate::protocol::list;

/// How many members of a list are weighed. One that is longer counts as it is.
const MOST: usize = 32;

/// The codings that an `Accept-Encoding` accepts, sorted, of those that matter (RFC 9110 12.5.3).
/// Nothing if it is malformed.
pub(super) fn codings(text: &[u8]) -> Option<Vec<u8>> {
    const KNOWN: [&str; 5] = ["br", "deflate", "gzip", "identity", "zstd"];
    let members = weighed(text)?;
    let weight = |coding: &str| {
        let says = |name: &str| {
            let named = |member: &&Weighed<'_>| member.name.eq_ignore_ascii_case(name.as_bytes());
            members.iter().find(named).map(|member| member.weight)
        };
        // RFC 9110 8.4.1.3: the older name of the same.
        let own = says(coding).or_else(|| if coding == "gzip" { says("x-gzip") } else { None });
        own.or_else(|| says("*"))
    };
    let accepted = KNOWN.into_iter().filter(|coding| match weight(coding) {
        Some(weight) => weight > 0,
        // Unless it is refused, a response without coding is always accepted.
        None => *coding == "identity",
    });
    Some(accepted.collect::<Vec<_>>().join(",").into_bytes())
}

/// The primary languages of an `Accept-Language`, in lower case, each once, the most wanted first
/// (RFC 9110 12.5.4). Nothing if it is malformed.
pub(super) fn languages(text: &[u8]) -> Option<Vec<u8>> {
    let mut members = weighed(text)?;
    members.retain(|member| member.weight > 0);
    // Stable: of equal ones the first comes first.
    members.sort_by_key(|member| std::cmp::Reverse(member.weight));
    let mut primary: Vec<Vec<u8>> = Vec::with_capacity(members.len());
    for member in members {
        let tag = member.name.split(|byte| *byte == b'-').next().unwrap_or_default();
        let tag = tag.to_ascii_lowercase();
        if !primary.contains(&tag) {
            primary.push(tag);
        }
    }
    Some(primary.join(&b','))
}

struct Weighed<'a> {
    name: &'a [u8],
    /// In thousandths.
    weight: u16,
}

/// The members of a list of `name` or `name;q=0.5`.
fn weighed(text: &[u8]) -> Option<Vec<Weighed<'_>>> {
    let mut members = Vec::new();
    for member in text.split(|byte| *byte == b',').map(list::trim) {
        if member.is_empty() {
            continue;
        }
        if members.len() == MOST {
            return None;
        }
        let mut parts = member.split(|byte| *byte == b';').map(list::trim);
        let name = parts.next().filter(|name| is_name(name))?;
        let weight = parts.next().map_or(Some(1000), weight)?;
        if parts.next().is_some() {
            return None;
        }
        members.push(Weighed { name, weight });
    }
    Some(members)
}

/// What a coding or a range of languages is made of.
fn is_name(name: &[u8]) -> bool {
    let part_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(byte);
    name == b"*" || !name.is_empty() && name.iter().all(part_of_name)
}

/// RFC 9110 12.4.2: at most three digits after the point, at most 1.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', whole, fraction @ ..] = parameter else { return None };
    let digits = match fraction {
        [] => fraction,
        [b'.', digits @ ..] => digits,
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let padded = digits.iter().chain(b"000").take(3);
    let thousandths = padded.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(1000),
        _ => None,
    }
}
