//! Whether a scope covers a key.

use super::captures::Captures;
use super::scope::ScopeTemplate;
use super::scope_glob::ScopeGlob;

/// What a scope looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Matcher {
    Path(Vec<ScopeSegment>),
    /// No segments: everything.
    Subtree(Vec<ScopeSegment>),
    Glob(ScopeGlob),
    Tag,
}

/// A segment of a path or subtree scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ScopeSegment {
    /// As it stands in a normalised path.
    Literal(Box<str>),
    Param,
}

impl ScopeTemplate {
    /// The parameters' values if this is a path or subtree scope that covers a normalised path
    /// (without its query).
    pub fn bind_from_path<'k>(&self, normalized_path: &'k str) -> Option<Captures<'k>> {
        let (scope, is_subtree) = match &self.matcher {
            Matcher::Path(segments) => (segments, false),
            Matcher::Subtree(segments) => (segments, true),
            Matcher::Glob(_) | Matcher::Tag => return None,
        };
        let mut path = normalized_path.strip_prefix('/')?.split('/');
        let mut captures = Captures::default();
        for segment in scope {
            let value = path.next()?;
            match segment {
                ScopeSegment::Literal(text) if **text == *value => {}
                ScopeSegment::Literal(_) => return None,
                ScopeSegment::Param => captures.push(value),
            }
        }
        (is_subtree || path.next().is_none()).then_some(captures)
    }

    /// The parameters' values if this is a pattern that matches a key's text.
    ///
    /// For these values, and no others, the glob that has them in the parameters' places matches.
    pub fn bind_from_text<'k>(&self, key_text: &'k str) -> Option<Captures<'k>> {
        match &self.matcher {
            Matcher::Glob(glob) => glob.captures(key_text),
            Matcher::Path(_) | Matcher::Subtree(_) | Matcher::Tag => None,
        }
    }
}
