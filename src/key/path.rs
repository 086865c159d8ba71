//! Request paths, each in one spelling.

use std::fmt;

use super::encode::{is_unreserved, normalize_value, normalize_value_lossy};

/// Appends the canonical spelling of a request's path to `out`: each segment as
/// [`normalize_value`] writes it, empty segments and a trailing slash kept.
///
/// `/users/%34%32` becomes `/users/42`; `/a%2Fb` keeps its one segment and stays distinct from
/// `/a/b`.
///
/// # Errors
/// [`PathError`] if some handlers might read the path as another one than the router did: the
/// request is then not cached. `out` is as it was.
pub fn normalize_path(raw: &str, out: &mut String) -> Result<(), PathError> {
    let start = out.len();
    let done = strict(raw, out);
    if done.is_err() {
        out.truncate(start);
    }
    done
}

/// As [`normalize_path`] for writes, whose invalidation must not be skipped: a malformed escape is
/// literal text and dot segments are removed (RFC 3986, section 5.2.4) after decoding.
pub fn normalize_path_lossy(raw: &str, out: &mut String) {
    let start = out.len();
    let mut segments = raw.split('/').enumerate().peekable();
    while let Some((index, segment)) = segments.next() {
        let before = out.len();
        // What stands before the first slash is empty, unless the text is not a path (`*`).
        if index > 0 {
            out.push('/');
        }
        let segment_start = out.len();
        normalize_value_lossy(segment, out);
        let parent = match &out[segment_start..] {
            "." => before,
            ".." => out[start..before].rfind('/').map_or(start, |slash| start + slash),
            _ => continue,
        };
        out.truncate(parent);
        if segments.peek().is_none() {
            out.push('/');
        }
    }
}

/// Why a path has no single meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// A segment is `.` or `..`, as it stands or after decoding.
    DotSegment,
    /// A `%` is not followed by two hexadecimal digits.
    MalformedEscape,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DotSegment => "the path has a `.` or `..` segment: remove it before sending",
            Self::MalformedEscape => {
                "the path has a `%` without two hexadecimal digits: write `%25` for the sign itself"
            }
        })
    }
}

impl std::error::Error for PathError {}

fn strict(raw: &str, out: &mut String) -> Result<(), PathError> {
    let is_plain = raw.bytes().all(|byte| byte == b'/' || is_unreserved(byte));
    if is_plain && !raw.starts_with('.') && !raw.contains("/.") {
        // As most are.
        out.push_str(raw);
        return Ok(());
    }
    for (index, segment) in raw.split('/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        let start = out.len();
        normalize_value(segment, out).map_err(|_| PathError::MalformedEscape)?;
        if is_dot_segment(&out[start..]) {
            return Err(PathError::DotSegment);
        }
    }
    Ok(())
}

/// Whether a normalised segment means the directory itself or its parent.
pub(super) fn is_dot_segment(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(raw: &str) -> Result<String, PathError> {
        let mut out = String::new();
        normalize_path(raw, &mut out).map(|()| out)
    }

    fn lossy(raw: &str) -> String {
        let mut out = String::from("before/");
        normalize_path_lossy(raw, &mut out);
        out["before/".len()..].to_owned()
    }

    #[test]
    fn spellings_of_one_path_are_one() {
        assert_eq!(normal("/users/%34%32").as_deref(), Ok("/users/42"));
        assert_eq!(normal("/users/42").as_deref(), Ok("/users/42"));
        assert_eq!(normal("/a%2Fb").as_deref(), Ok("/a%2Fb"));
        assert_eq!(normal("/").as_deref(), Ok("/"));
        assert_eq!(normal("//a//").as_deref(), Ok("//a//"));
    }

    #[test]
    fn paths_without_a_single_meaning_are_refused() {
        for raw in ["/.", "/..", "/a/../b", "/a/%2e%2E/b", "/.%2e", "/a/."] {
            assert_eq!(normal(raw), Err(PathError::DotSegment), "{raw}");
        }
        for raw in ["/%", "/a%2", "/%g0"] {
            assert_eq!(normal(raw), Err(PathError::MalformedEscape), "{raw}");
        }
        assert_eq!(normal("/...").as_deref(), Ok("/..."));
    }

    #[test]
    fn writes_remove_dot_segments_and_never_fail() {
        for (raw, path) in [
            ("/a/./b", "/a/b"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/%2e%2e/c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../x", "/x"),
            ("/a//../b", "/a/b"),
            ("/%zz", "/%25zz"),
            ("/a%2Fb/", "/a%2Fb/"),
            ("*", "%2A"),
            ("", ""),
        ] {
            assert_eq!(lossy(raw), path, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn normalisation_is_idempotent(raw in "(/|\\.|%2[eEfF]|%|%41|a|\\PC){0,16}") {
            let raw = format!("/{raw}");
            let once = lossy(&raw);
            prop_assert_eq!(&lossy(&once), &once);
            prop_assert_eq!(normal(&once), Ok(once.clone()));
            if let Ok(strict) = normal(&raw) {
                prop_assert_eq!(strict, once);
            }
        }
    }
}
