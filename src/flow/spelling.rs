//! How a target was spelled, for a cache before an origin of which nothing is known.
//!
//! Key texts have one spelling for what the app's routes take for the same: escapes are decoded,
//! parameters sorted. An origin may take them for different targets (RFC 9110, section 4.2.3, makes
//! only escapes of unreserved characters equivalent), so where the response has the word, a key
//! holds the request's own spelling too, if it is another than that of the text.

use std::fmt::Write;

use crate::key::{Keep, kept_pairs};

/// A target as it came.
pub(crate) struct Spelling {
    path: String,
    query: Option<String>,
}

impl Spelling {
    /// The spelling of this path and query.
    pub(super) fn new(path: &str, query: Option<&str>) -> Self {
        Self { path: path.to_owned(), query: query.map(str::to_owned) }
    }

    /// Adds a digest of the spelling to a variant, if the key's text, of which the path ends at
    /// `path_end`, is another one. Of the query counts what is to be kept, if that is said, and its
    /// order unless any will do.
    pub(super) fn push(
        &self,
        kept: Option<(Keep<'_>, bool)>,
        path_end: usize,
        text: &str,
        variant: &mut String,
    ) {
        let mut exact = self.path.clone();
        match (kept, &self.query) {
            (None, Some(query)) => {
                exact.push('?');
                exact.push_str(query);
            }
            (Some((_, true)), _) => exact.push_str(&text[path_end..]),
            (Some((keep, false)), Some(query)) => {
                // It was well-formed when the text was made of it.
                let pairs = kept_pairs(query, keep).unwrap_or_default();
                for (index, pair) in pairs.into_iter().enumerate() {
                    exact.push(if index == 0 { '?' } else { '&' });
                    exact.push_str(pair);
                }
            }
            (_, None) => {}
        }
        if exact != text {
            variant.push_str(";@u=");
            let digest = blake3::hash(exact.as_bytes());
            for byte in &digest.as_bytes()[..16] {
                // A `String` takes everything.
                let _ = write!(variant, "{byte:02x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suffix(
        path: &str,
        query: Option<&str>,
        kept: Option<(Keep<'_>, bool)>,
        text: &str,
    ) -> String {
        let end = text.find('?').unwrap_or(text.len());
        let mut variant = String::new();
        Spelling::new(path, query).push(kept, end, text, &mut variant);
        variant
    }

    #[test]
    fn what_is_spelled_as_the_text_needs_no_more() {
        assert_eq!(suffix("/a", None, None, "/a"), "");
        assert_eq!(suffix("/a", Some("b=1&c"), None, "/a?b=1&c"), "");
        let all = |order| Some((Keep::All, order));
        assert_eq!(suffix("/a", Some("c&b=1"), all(true), "/a?b=1&c"), "");
        let ignored = ["c".to_owned()];
        let but = |order| Some((Keep::Except(&ignored), order));
        assert_eq!(suffix("/a", Some("c&b=1"), but(false), "/a?b=1"), "");
        assert_eq!(suffix("/a", Some("c"), but(false), "/a"), "");
    }

    #[test]
    fn other_spellings_are_told_apart() {
        let all = Some((Keep::All, false));
        let spellings = [
            suffix("/a", Some("c&b=1"), None, "/a?b=1&c"),
            suffix("/a", Some("b=1&&c"), None, "/a?b=1&c"),
            suffix("/%61", Some("b=1&c"), None, "/a?b=1&c"),
            suffix("/a", Some("%62=1&c"), None, "/a?b=1&c"),
            suffix("/a", Some("%63&b=1"), all, "/a?b=1&c"),
            suffix("/%2561", Some("c&b=1"), Some((Keep::All, true)), "/a?b=1&c"),
        ];
        for (index, one) in spellings.iter().enumerate() {
            assert_eq!(one.len(), ";@u=".len() + 32, "{index}");
            assert!(!spellings[..index].contains(one), "{index}");
        }
    }
}
