//! The paths of routes.

use std::fmt;

use super::error::TemplateError;
use super::lex::{self, Piece};
use crate::key::encode::normalize_value_lossy;

/// The path of a route, in the syntax of axum 0.8: `{name}` is one segment that is not empty, a
/// final `{*rest}` is all that remains and not empty either, `{{` and `}}` are braces.
///
/// Which requests a route takes is for the router to say; this is what can be worked out from the
/// template alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PathTemplate {
    source: Box<str>,
    segments: Vec<Segment>,
}

/// A segment of a route's path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Segment {
    /// This text, as it was written but for doubled braces. Routers compare it with the request's
    /// raw path.
    Literal(String),
    /// A parameter.
    Param(String),
    /// All that remains of the path.
    Rest(String),
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        lex::check(template)?;
        let below = template.strip_prefix('/').ok_or(TemplateError::NotAbsolute)?;
        let mut segments = Vec::new();
        let mut names = Vec::new();
        for text in below.split('/') {
            if let Some(Segment::Rest(name)) = segments.last() {
                return Err(TemplateError::RestNotLast(name.clone()));
            }
            let segment = segment(text)?;
            match &segment {
                Segment::Literal(_) => {}
                Segment::Param(name) | Segment::Rest(name) => lex::push_param(&mut names, name)?,
            }
            segments.push(segment);
        }
        Ok(Self { source: template.into(), segments })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The segments; of `/` one empty literal, and of a trailing slash an empty one at the end.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The name of the catch-all, if it ends in one.
    pub fn rest(&self) -> Option<&str> {
        match self.segments.last() {
            Some(Segment::Rest(name)) => Some(name),
            _ => None,
        }
    }

    /// The names of the parameters, that of a catch-all included.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }
}

impl fmt::Debug for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PathTemplate").field(&self.source).finish()
    }
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// A literal segment as it stands in a normalised path.
pub(super) fn canonical(literal: &str) -> String {
    let mut text = String::with_capacity(literal.len());
    normalize_value_lossy(literal, &mut text);
    text
}

pub(super) fn segment(text: &str) -> Result<Segment, TemplateError> {
    // axum refuses these too, so that a route of its older versions is not taken for a literal.
    if text.starts_with([':', '*']) {
        return Err(TemplateError::OldSyntax(text.to_owned()));
    }
    let mut pieces = lex::pieces(text)?;
    match (pieces.pop(), pieces.is_empty()) {
        (None, _) => Ok(Segment::Literal(String::new())),
        (Some(Piece::Text(text)), true) => Ok(Segment::Literal(text)),
        (Some(Piece::Param(name)), true) => Ok(match name.strip_prefix('*') {
            Some(name) => Segment::Rest(name.to_owned()),
            None => Segment::Param(name),
        }),
        (Some(_), false) => Err(TemplateError::PartialSegment(text.to_owned())),
    }
}
