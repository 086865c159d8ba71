//! What can be wrong with a template, and with binding one.

use std::fmt;

use super::captures::MAX_PARAMS;
use super::lex::MAX_BYTES;
use crate::key::glob::GlobError;

/// Why a text is not a template of its kind. Found when the cache is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no text.
    Empty,
    /// Longer than 1024 bytes.
    TooLong,
    /// A control character.
    ControlCharacter,
    /// A path, or the template of one, that does not begin with `/`.
    NotAbsolute,
    /// A key template that begins with `/`, or does so when its first parameter is empty.
    LeadingSlash,
    /// A `{` without its `}`.
    UnclosedBrace,
    /// A `}` without its `{`.
    StrayBrace,
    /// The text between braces is not a name.
    BadName(String),
    /// A parameter that occurs twice.
    DuplicateParam(String),
    /// More parameters than a scope can have.
    TooManyParams,
    /// A parameter that is only a part of a path's segment.
    PartialSegment(String),
    /// `:name` or `*name`, as axum wrote parameters before 0.8.
    OldSyntax(String),
    /// A catch-all that is not the last segment.
    RestNotLast(String),
    /// A catch-all in something else than a route's path.
    RestInScope(String),
    /// A `.` or `..` segment, which no cached path has.
    DotSegment,
    /// A `%` without two hexadecimal digits.
    MalformedEscape,
    /// A `?` in a template that matches paths.
    QueryInPath,
    /// A `*` in a template that matches paths.
    StarInPath,
    /// A subtree that ends in `/` and would not cover what is meant.
    TrailingSlash(String),
    /// The pattern is not one.
    Glob(GlobError),
    /// A parameter whose end can't be found, with the safe form to use where there is one.
    NoDelimiter {
        /// The parameter.
        param: String,
        /// The template of a subtree that covers what was probably meant.
        subtree: Option<String>,
    },
    /// A parameter after a `*`, which could be found at several places.
    Ambiguous(String),
    /// A brace within `[…]`.
    ParamInClass,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the template is empty: write at least one character"),
            Self::TooLong => write!(f, "the template is too long: use at most {MAX_BYTES} bytes"),
            Self::ControlCharacter => {
                f.write_str("the template has a control character: remove it")
            }
            Self::NotAbsolute => f.write_str("the path does not begin with `/`: add it"),
            Self::LeadingSlash => f.write_str(
                "a key template may not begin with `/`, nor with a parameter and then `/`, since \
                 such texts are those of paths: begin with a word, as in `users:{role}`",
            ),
            Self::UnclosedBrace => {
                f.write_str("a `{` has no `}`: close it, or write `{{` for the brace itself")
            }
            Self::StrayBrace => {
                f.write_str("a `}` has no `{`: open it, or write `}}` for the brace itself")
            }
            Self::BadName(name) => write!(
                f,
                "`{{{name}}}` is not a parameter: name it without `{{`, `*`, `:`, `/` and spaces"
            ),
            Self::DuplicateParam(name) => {
                write!(f, "the parameter `{{{name}}}` occurs twice: rename one")
            }
            Self::TooManyParams => {
                write!(f, "there are too many parameters: use at most {MAX_PARAMS}")
            }
            Self::PartialSegment(segment) => write!(
                f,
                "in `{segment}` a parameter is a part of a segment: make it the whole segment"
            ),
            Self::OldSyntax(segment) => write!(
                f,
                "`{segment}` is a parameter in axum's old syntax: write `{{name}}` or `{{*name}}`"
            ),
            Self::RestNotLast(name) => {
                write!(f, "the catch-all `{{*{name}}}` is not last: move it to the end")
            }
            Self::RestInScope(name) => write!(
                f,
                "the catch-all `{{*{name}}}` is for routes alone: for a scope use `subtree(…)` with \
                 the path before it, for a key name other parameters"
            ),
            Self::DotSegment => f.write_str(
                "the path has a `.` or `..` segment, which no cached path has: remove it",
            ),
            Self::MalformedEscape => f.write_str(
                "the path has a `%` without two hexadecimal digits: write `%25` for the sign",
            ),
            Self::QueryInPath => f.write_str(
                "the path has a `?`: leave the query away, since all queries of the path are \
                 covered, or write `%3F` for the mark itself",
            ),
            Self::StarInPath => f.write_str(
                "the path has a `*`: use `subtree(…)` for what lies below a path, `pattern(…)` for \
                 a glob, or write `%2A` for the star itself",
            ),
            Self::TrailingSlash(path) => {
                write!(f, "the subtree ends in `/`: write `subtree(\"{path}\")`")
            }
            Self::Glob(error) => error.fmt(f),
            Self::NoDelimiter { param, subtree: Some(path) } => write!(
                f,
                "nothing shows where `{{{param}}}` ends: write `subtree(\"{path}\")`, or put a \
                 delimiter such as `/` after the parameter"
            ),
            Self::NoDelimiter { param, subtree: None } => write!(
                f,
                "nothing shows where `{{{param}}}` ends: put a delimiter such as `:` after the \
                 parameter, which its values cannot contain"
            ),
            Self::Ambiguous(name) => write!(
                f,
                "`{{{name}}}` comes after a `*` and could begin anywhere: put it before the `*`"
            ),
            Self::ParamInClass => f.write_str(
                "a `[…]` holds a brace: put the parameter outside, or write a brace as `{{`",
            ),
        }
    }
}

impl std::error::Error for TemplateError {}

impl From<GlobError> for TemplateError {
    fn from(error: GlobError) -> Self {
        Self::Glob(error)
    }
}

/// A scope's parameter that has no usable value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unbound {
    /// There is no value for this parameter.
    Missing(String),
    /// The value of this parameter is not in the alphabet of encoded values.
    NotEncoded(String),
}

impl fmt::Display for Unbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => {
                write!(f, "the scope's parameter `{{{name}}}` has no value: supply one")
            }
            Self::NotEncoded(name) => {
                write!(f, "the value of `{{{name}}}` is not encoded: pass it through `encode`")
            }
        }
    }
}

impl std::error::Error for Unbound {}
