//! Sets of keys that a write can invalidate.

use std::fmt;

use super::captures::MAX_PARAMS;
use super::error::TemplateError;
use super::key_text::TextTemplate;
use super::lex::{self, Piece};
use super::path::{Segment, segment};
use super::scope_bind::{IdPiece, path_id};
use super::scope_glob::ScopeGlob;
use super::scope_match::{Matcher, ScopeSegment};
use crate::key::encode::normalize_value;
use crate::key::path::is_dot_segment;

/// A scope with parameters: a set of keys for each choice of their values.
///
/// | template | with `id` = `42` it has the text | and covers |
/// |---|---|---|
/// | `path("/users/{id}")` | `path:/users/42` | this path with all its queries |
/// | `subtree("/users/{id}")` | `subtree:/users/42` | the path and what lies below it, not `/users/421` |
/// | `pattern("users:{id}:*")` | `glob:users:42:*` | keys whose text the glob matches |
/// | `tag("user:{id}")` | `tag:user:42` | keys of routes that declare the tag |
///
/// A value is data: what it holds is encoded, so that it means itself in a pattern and two choices
/// of values never share a text.
///
/// ```
/// # use tower_response_cache::key::ScopeTemplate;
/// let scope = ScopeTemplate::subtree("/users/{id}")?;
/// let found = scope.bind_from_path("/users/42/stats").expect("below it");
/// assert_eq!(found.values(), ["42"]);
/// assert!(scope.bind_from_path("/users").is_none());
///
/// let mut text = String::new();
/// scope.bind(|name| (name == "id").then_some("42"), &mut text)?;
/// assert_eq!(text, "subtree:/users/42");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ScopeTemplate {
    source: Box<str>,
    pub(super) params: Vec<Box<str>>,
    pub(super) id: Vec<IdPiece>,
    pub(super) matcher: Matcher,
}

/// Which of its constructors made a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScopeKind {
    /// [`ScopeTemplate::path`].
    Path,
    /// [`ScopeTemplate::subtree`].
    Subtree,
    /// [`ScopeTemplate::pattern`].
    Pattern,
    /// [`ScopeTemplate::tag`].
    Tag,
}

impl ScopeTemplate {
    /// One path with all its queries, whatever the texts of its keys.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn path(template: &str) -> Result<Self, TemplateError> {
        let (segments, params) = segments(template)?;
        let id = path_id("path:", &segments);
        Ok(Self { source: template.into(), params, id, matcher: Matcher::Path(segments) })
    }

    /// A path, what lies below it, and all their queries. `subtree("/")` is everything.
    ///
    /// A trailing slash is below: `/users/` is in `subtree("/users")`.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn subtree(template: &str) -> Result<Self, TemplateError> {
        let (mut segments, params) = segments(template)?;
        let id = path_id("subtree:", &segments);
        if template == "/" {
            segments.clear();
        } else if let Some(path) = template.strip_suffix('/') {
            return Err(TemplateError::TrailingSlash(path.to_owned()));
        }
        Ok(Self { source: template.into(), params, id, matcher: Matcher::Subtree(segments) })
    }

    /// The keys whose text a glob matches, written as for [`Glob`](crate::key::Glob) with
    /// `{param}` in it.
    ///
    /// A parameter ends at the end of the pattern or at a literal byte that its values can't hold
    /// (none of `A-Z a-z 0-9 - . _ ~ %`), and comes before any `*`, so that it is found in a text
    /// in one way only. A `?` takes any byte, also that before a query: `/users?*` reaches
    /// `/users/42`. Where paths are meant, [`path`](Self::path) and [`subtree`](Self::subtree)
    /// have no such surprises.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn pattern(template: &str) -> Result<Self, TemplateError> {
        let mut id = vec![IdPiece::Text("glob:".into())];
        let (glob, params) = ScopeGlob::parse(template, &mut id)?;
        Ok(Self { source: template.into(), params, id, matcher: Matcher::Glob(glob) })
    }

    /// The keys that bear a tag. Between two parameters there must be a byte that their values
    /// can't hold.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn tag(template: &str) -> Result<Self, TemplateError> {
        let text = TextTemplate::parse(template)?;
        let params: Vec<Box<str>> = text.params().map(Into::into).collect();
        check_count(&params)?;
        let mut id = vec![IdPiece::Text("tag:".into())];
        let mut index = 0;
        for piece in text.pieces() {
            id.push(match piece {
                // Doubled again, so that `{}` stands for an open parameter alone.
                Piece::Text(text) => {
                    IdPiece::Text(text.replace('{', "{{").replace('}', "}}").into())
                }
                Piece::Param(_) => {
                    index += 1;
                    IdPiece::Param(index - 1)
                }
            });
        }
        Ok(Self { source: template.into(), params, id, matcher: Matcher::Tag })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Which constructor made it.
    pub fn kind(&self) -> ScopeKind {
        match self.matcher {
            Matcher::Path(_) => ScopeKind::Path,
            Matcher::Subtree(_) => ScopeKind::Subtree,
            Matcher::Glob(_) => ScopeKind::Pattern,
            Matcher::Tag => ScopeKind::Tag,
        }
    }

    /// The names of the parameters, in the order of the template.
    pub fn params(&self) -> impl ExactSizeIterator<Item = &str> {
        self.params.iter().map(AsRef::as_ref)
    }
}

impl fmt::Debug for ScopeTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({:?})", self.kind(), self.source)
    }
}

impl fmt::Display for ScopeTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind() {
            ScopeKind::Path => "path",
            ScopeKind::Subtree => "subtree",
            ScopeKind::Pattern => "pattern",
            ScopeKind::Tag => "tag",
        };
        write!(f, "{name}(\"{}\")", self.source)
    }
}

/// The segments of a path template, literals as they stand in normalised paths, and its parameters.
fn segments(template: &str) -> Result<(Vec<ScopeSegment>, Vec<Box<str>>), TemplateError> {
    lex::check(template)?;
    let below = template.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
    let mut params = Vec::new();
    let mut segments = Vec::new();
    for text in below.split('/') {
        if text.contains('?') {
            return Err(TemplateError::QueryInPath);
        }
        if let Some(name) = text.strip_prefix("{*") {
            return Err(TemplateError::RestInScope(name.trim_end_matches('}').to_owned()));
        }
        if text.contains('*') {
            return Err(TemplateError::StarInPath);
        }
        segments.push(match segment(text)? {
            Segment::Literal(raw) => ScopeSegment::Literal(literal(&raw)?),
            Segment::Param(name) | Segment::Rest(name) => {
                lex::push_param(&mut params, &name)?;
                ScopeSegment::Param
            }
        });
    }
    check_count(&params)?;
    Ok((segments, params))
}

fn literal(raw: &str) -> Result<Box<str>, TemplateError> {
    let mut text = String::with_capacity(raw.len());
    normalize_value(raw, &mut text).map_err(|_| TemplateError::MalformedEscape)?;
    if is_dot_segment(&text) {
        return Err(TemplateError::DotSegment);
    }
    Ok(text.into())
}

fn check_count(params: &[Box<str>]) -> Result<(), TemplateError> {
    if params.len() > MAX_PARAMS { Err(TemplateError::TooManyParams) } else { Ok(()) }
}
