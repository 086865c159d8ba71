//! Entity tags (RFC 9110 8.8.3).

use http::header::{ETAG, HeaderMap, HeaderName, HeaderValue};

use super::list;

/// An entity tag, compared byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// The tag that `text` is, if it is one and no more: `"x"` or `W/"x"`, with any `x` that has no
    /// quote, no white space and no control character.
    #[must_use]
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        Self::split(list::trim(text)).filter(|(_, rest)| rest.is_empty()).map(|(tag, _)| tag)
    }

    /// Whether it promises no more than that what it stands for is equivalent (RFC 9110 8.8.1).
    #[must_use]
    pub fn is_weak(self) -> bool {
        self.weak
    }

    /// Whether both stand for the same bytes (strong comparison, RFC 9110 8.8.3.2).
    #[must_use]
    pub fn strong_eq(self, other: EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// Whether both stand for the same in substance (weak comparison, RFC 9110 8.8.3.2).
    #[must_use]
    pub fn weak_eq(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    /// The tag that `text` begins with, and what follows it.
    fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        // RFC 9110 8.8.3: the prefix is case-sensitive.
        let (weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |rest| (true, rest));
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = inner.split_at(end);
        // RFC 9110 8.8.3: visible ASCII and bytes over it. There are no escapes.
        let valid = opaque.iter().all(|byte| matches!(byte, 0x21..=0x7e | 0x80..));
        valid.then(|| (Self { weak, opaque }, &rest[1..]))
    }
}

/// The strong entity tag of these very bytes: of a cryptographic hash, so that no two bodies that
/// anybody can find share one (RFC 9110 8.8.1).
#[must_use]
pub fn generate(body: &[u8]) -> HeaderValue {
    let hash = blake3::hash(body).to_hex();
    // 128 bits tell apart what one URI ever answers. Hexadecimal digits are refused by no value.
    let text = format!("\"{}\"", &hash[..32]);
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// What the `ETag` of a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tagged<'a> {
    /// The field is not there.
    Absent,
    /// It is no entity tag, or stands there twice.
    Invalid,
    /// This one.
    With(EntityTag<'a>),
}

/// The `ETag` of a response.
pub(super) fn field(headers: &HeaderMap) -> Tagged<'_> {
    let mut lines = headers.get_all(ETAG).into_iter();
    match (lines.next(), lines.next()) {
        (None, _) => Tagged::Absent,
        (Some(line), None) => {
            EntityTag::parse(line.as_bytes()).map_or(Tagged::Invalid, Tagged::With)
        }
        (Some(_), Some(_)) => Tagged::Invalid,
    }
}

/// What `If-Match` or `If-None-Match` names (RFC 9110 13.1.1, 13.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named<'a> {
    /// `*`.
    Any,
    /// These. Empty if the field is malformed: it names nothing that can be relied on.
    Tags(Vec<EntityTag<'a>>),
}

impl<'a> Named<'a> {
    /// Whether a representation with this tag is among those named, by `equal`.
    pub(super) fn holds<'b>(
        &self,
        tag: Tagged<'b>,
        equal: fn(EntityTag<'a>, EntityTag<'b>) -> bool,
    ) -> bool {
        match (self, tag) {
            (Self::Any, _) => true,
            (Self::Tags(named), Tagged::With(tag)) => named.iter().any(|one| equal(*one, tag)),
            (Self::Tags(_), Tagged::Absent | Tagged::Invalid) => false,
        }
    }
}

/// All lines of the field as one list, or nothing if there are none. A tag may hold commas, so
/// this is no common list.
pub(super) fn named<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Named<'a>> {
    if !headers.contains_key(name) {
        return None;
    }
    let mut tags = Vec::new();
    let mut stars = 0;
    for line in headers.get_all(name) {
        let mut rest = list::trim(line.as_bytes());
        while !rest.is_empty() {
            // RFC 9110 5.6.1: empty members are skipped.
            if let Some(after) = rest.strip_prefix(b",") {
                rest = list::trim(after);
                continue;
            }
            let after = if let Some(after) = rest.strip_prefix(b"*") {
                stars += 1;
                after
            } else if let Some((tag, after)) = EntityTag::split(rest) {
                tags.push(tag);
                after
            } else {
                return Some(Named::Tags(Vec::new()));
            };
            rest = list::trim(after);
            if !rest.is_empty() && !rest.starts_with(b",") {
                return Some(Named::Tags(Vec::new()));
            }
        }
    }
    match stars {
        0 => Some(Named::Tags(tags)),
        1 if tags.is_empty() => Some(Named::Any),
        // The star stands alone, by the grammar.
        _ => Some(Named::Tags(Vec::new())),
    }
}

#[cfg(test)]
mod tests {
    use http::header::IF_NONE_MATCH;

    use super::*;

    #[test]
    fn tags_rfc9110_8_8_3() {
        type Row = (&'static [u8], Option<(bool, &'static [u8])>);
        let rows: [Row; 15] = [
            (b"\"a\"", Some((false, b"a"))),
            (b"W/\"a\"", Some((true, b"a"))),
            (b"\"\"", Some((false, b""))),
            (b" \"a\"\t", Some((false, b"a"))),
            (b"\"a,b\"", Some((false, b"a,b"))),
            (b"\"a\\\"", Some((false, b"a\\"))),
            (b"\"\xff\"", Some((false, b"\xff"))),
            (b"w/\"a\"", None),
            (b"W/ \"a\"", None),
            (b"\"a b\"", None),
            (b"\"a\x7f\"", None),
            (b"a", None),
            (b"\"a", None),
            (b"\"a\"b", None),
            (b"\"a\", \"b\"", None),
        ];
        for (text, expected) in rows {
            let found = EntityTag::parse(text).map(|tag| (tag.weak, tag.opaque));
            assert_eq!(found, expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn comparisons_rfc9110_8_8_3_2() {
        let rows = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
            ("\"a\"", "\"A\"", false, false),
        ];
        for (a, b, strong, weak) in rows {
            let [a, b] = [a, b].map(|text| EntityTag::parse(text.as_bytes()).unwrap());
            assert_eq!((a.strong_eq(b), a.weak_eq(b)), (strong, weak), "{a:?} {b:?}");
            assert_eq!((b.strong_eq(a), b.weak_eq(a)), (strong, weak), "{b:?} {a:?}");
        }
    }

    #[test]
    fn lists_rfc9110_13_1() {
        let tags = |texts: &[&'static str]| {
            let parsed = texts.iter().map(|text| EntityTag::parse(text.as_bytes()).unwrap());
            Some(Named::Tags(parsed.collect()))
        };
        let none = || Some(Named::Tags(Vec::new()));
        let rows: [(&str, &[&'static str], Option<Named<'_>>); 14] = [
            ("absent", &[], None),
            ("one", &["\"a\""], tags(&["\"a\""])),
            ("several", &["\"a\", W/\"b\",\"c\""], tags(&["\"a\"", "W/\"b\"", "\"c\""])),
            ("a comma in a tag", &["\"a,b\", \"c\""], tags(&["\"a,b\"", "\"c\""])),
            ("5.6.1 empty members", &[" , \"a\",, ,"], tags(&["\"a\""])),
            ("5.3 lines", &["\"a\"", "\"b\""], tags(&["\"a\"", "\"b\""])),
            ("star", &[" * "], Some(Named::Any)),
            ("star among tags is malformed", &["*, \"a\""], none()),
            ("two stars are malformed", &["*", "*"], none()),
            ("a tag without quotes", &["a"], none()),
            ("a tag without quotes after one", &["\"a\", b"], none()),
            ("no comma", &["\"a\" \"b\""], none()),
            ("no end", &["\"a"], none()),
            ("empty", &[""], none()),
        ];
        for (row, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(IF_NONE_MATCH, HeaderValue::from_static(line));
            }
            assert_eq!(named(&headers, &IF_NONE_MATCH), expected, "{row}");
        }
    }

    #[test]
    fn generated_tags_are_strong_and_of_the_bytes() {
        let [a, again, b] = [b"a", b"a", b"b"].map(|body| generate(body));
        assert_eq!(a, again);
        assert_ne!(a, b);
        assert!(!EntityTag::parse(a.as_bytes()).unwrap().is_weak());
        assert_eq!(a.len(), 34);
        assert!(EntityTag::parse(generate(b"").as_bytes()).is_some());
    }
}
