//! Groups of responses that are invalidated together (RFC 9875).

use http::{HeaderMap, HeaderName, Method};
use sfv::{BareItem, List, ListEntry, Parser};

use super::invalidation::is_safe;
use super::list;

/// How many groups a response may be in. RFC 9875 2 asks for 32 at least.
pub const MAX_GROUPS: usize = 64;

/// How long the name of a group may be, in characters. RFC 9875 2 asks for 32 at least.
pub const MAX_GROUP: usize = 128;

static CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
static CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// A response is in more than [`MAX_GROUPS`] groups, or in one whose name is longer than
/// [`MAX_GROUP`].
///
/// It is not to be stored: it could not be found again by each of its groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TooManyGroups;

impl std::fmt::Display for TooManyGroups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the response is in too many groups, or in one whose name is too long")
    }
}

impl std::error::Error for TooManyGroups {}

/// The groups that a response says it is in (`Cache-Groups`, RFC 9875 2): sorted, each once.
/// Names are compared byte by byte, and mean something within one origin only.
///
/// A field that is not a list of strings is ignored whole (RFC 9651 4.2); parameters are ignored.
///
/// # Errors
///
/// [`TooManyGroups`] if there are more than [`MAX_GROUPS`], or one is longer than [`MAX_GROUP`].
pub fn cache_groups(response_headers: &HeaderMap) -> Result<Vec<String>, TooManyGroups> {
    let groups = strings(response_headers, &CACHE_GROUPS);
    let fits = groups.len() <= MAX_GROUPS && groups.iter().all(|group| group.len() <= MAX_GROUP);
    if fits { Ok(groups) } else { Err(TooManyGroups) }
}

/// The groups that a response makes invalid (`Cache-Group-Invalidation`, RFC 9875 3): sorted, each
/// once, without those that no stored response can be in. None in the answer to a safe method.
///
/// Their number is bounded by the size of the head alone: to lose one would leave stale responses.
#[must_use]
pub fn invalidated_groups(method: &Method, response_headers: &HeaderMap) -> Vec<String> {
    if is_safe(method) {
        return Vec::new();
    }
    let mut groups = strings(response_headers, &CACHE_GROUP_INVALIDATION);
    groups.retain(|group| group.len() <= MAX_GROUP);
    groups
}

fn strings(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let Some(joined) = list::joined(headers, name) else { return Vec::new() };
    let members = Parser::new(&joined).parse::<List>().unwrap_or_default();
    let string = |member: ListEntry| match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(text) => Some(String::from(text)),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    let strings = members.into_iter().map(string).collect::<Option<Vec<_>>>();
    let mut strings = strings.unwrap_or_default();
    strings.sort_unstable();
    strings.dedup();
    strings
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn groups_rfc9875() {
        let rows: [(&str, &[&str], &[&str]); 13] = [
            ("absent", &[], &[]),
            ("empty", &[""], &[]),
            ("one", &["\"a\""], &["a"]),
            ("several, sorted, each once", &["\"b\", \"a\",\"b\""], &["a", "b"]),
            ("lines", &["\"b\"", "\"a\""], &["a", "b"]),
            ("byte by byte", &["\"a\", \"A\""], &["A", "a"]),
            ("RFC 9651 3.3.3 escapes", &[r#""a\"b\\""#], &["a\"b\\"]),
            ("the empty name", &["\"\""], &[""]),
            ("2 parameters are ignored", &["\"a\";x=1"], &["a"]),
            ("RFC 9651 4.2 a token", &["\"a\", b"], &[]),
            ("RFC 9651 4.2 an inner list", &["\"a\", (\"b\")"], &[]),
            ("RFC 9651 4.2 malformed", &["\"a\", \"b"], &[]),
            ("RFC 9651 4.2 not ASCII", &["\"a\", \"\u{e9}\""], &[]),
        ];
        for (row, lines, expected) in rows {
            let found = cache_groups(&headers(&CACHE_GROUPS, lines)).unwrap();
            assert_eq!(found, expected, "{row}");
            let headers = headers(&CACHE_GROUP_INVALIDATION, lines);
            for (method, expected) in
                [(Method::POST, expected), (Method::GET, &[]), (Method::OPTIONS, &[])]
            {
                assert_eq!(invalidated_groups(&method, &headers), expected, "3 {row} ({method})");
            }
        }
    }

    #[test]
    fn limits_rfc9875_2() {
        let many = |count: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("\"{n:032}\"")).collect();
            names.join(", ")
        };
        let long = |length: usize| format!("\"{}\"", "x".repeat(length));
        let rows = [
            ("2 as many as must be", many(32), Ok(32), 32),
            ("2 as many as may be", many(MAX_GROUPS), Ok(MAX_GROUPS), MAX_GROUPS),
            ("2 too many", many(MAX_GROUPS + 1), Err(TooManyGroups), MAX_GROUPS + 1),
            ("2 as long as may be", long(MAX_GROUP), Ok(1), 1),
            ("2 too long", long(MAX_GROUP + 1), Err(TooManyGroups), 0),
        ];
        for (row, line, stored, invalidated) in rows {
            let found = cache_groups(&headers(&CACHE_GROUPS, &[&line]));
            assert_eq!(found.map(|groups| groups.len()), stored, "{row}");
            let headers = headers(&CACHE_GROUP_INVALIDATION, &[&line]);
            let found = invalidated_groups(&Method::POST, &headers).len();
            assert_eq!(found, invalidated, "{row}");
        }
    }
}
