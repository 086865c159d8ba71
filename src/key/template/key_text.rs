//! What a route's keys are called.

use std::fmt;

use super::error::TemplateError;
use super::language::{self, Atom};
use super::lex::{self, Piece};
use crate::key::byte_set::ByteSet;

/// How the text of a route's keys is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyTemplate {
    /// The request's normalised path and, if something of the query is kept, `?` and that.
    #[default]
    Path,
    /// A text with parameters from path and query.
    Text(TextTemplate),
}

impl KeyTemplate {
    /// Reads a text such as `users:{role}:{status}`.
    ///
    /// It must not begin with `/`, since such texts are those of paths. Between two parameters
    /// there must be a character that their values can't hold (none of
    /// `A-Z a-z 0-9 - . _ ~ % + , =`), so that two choices of values never share a text.
    ///
    /// # Errors
    /// [`TemplateError`] says what to change.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let text = TextTemplate::parse(template)?;
        // Every value may be empty, and then the text begins with what comes after it.
        let first = text.pieces.iter().find_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Param(_) => None,
        });
        if first.is_some_and(|text| text.starts_with('/')) {
            return Err(TemplateError::LeadingSlash);
        }
        Ok(Self::Text(text))
    }

    /// Whether two routes with these templates could make the same key text.
    ///
    /// Texts of paths are those of one route each: the router takes one path to one route.
    pub fn may_collide(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => language::intersect(
                &language::steps(&one.atoms()),
                &language::steps(&other.atoms()),
            ),
            _ => false,
        }
    }
}

/// A text with parameters, of which two choices of values never give the same.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TextTemplate {
    source: Box<str>,
    pieces: Vec<Piece>,
}

impl TextTemplate {
    pub(super) fn parse(template: &str) -> Result<Self, TemplateError> {
        lex::check(template)?;
        let pieces = lex::pieces(template)?;
        let mut names = Vec::new();
        let mut open: Option<&str> = None;
        for piece in &pieces {
            match piece {
                Piece::Text(text) => {
                    if text.bytes().any(|byte| !ByteSet::VALUE.contains(byte)) {
                        open = None;
                    }
                }
                Piece::Param(name) => {
                    if let Some(param) = open {
                        return Err(TemplateError::NoDelimiter {
                            param: param.to_owned(),
                            subtree: None,
                        });
                    }
                    lex::push_param(&mut names, name)?;
                    open = Some(name);
                }
            }
        }
        Ok(Self { source: template.into(), pieces })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// The names of the parameters, in the order of the template.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Param(name) => Some(name.as_str()),
        })
    }

    /// Appends the text to `out`; `value` appends the value of each parameter, as
    /// [`normalize_value`](crate::key::normalize_value) or
    /// [`template_value`](crate::key::template_value) writes it.
    ///
    /// # Errors
    /// The first that `value` has; `out` is then as it was.
    pub fn write<E>(
        &self,
        mut value: impl FnMut(&str, &mut String) -> Result<(), E>,
        out: &mut String,
    ) -> Result<(), E> {
        let start = out.len();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Param(name) => {
                    if let Err(error) = value(name, out) {
                        out.truncate(start);
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(super) fn atoms(&self) -> Vec<Atom<'_>> {
        let mut atoms = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => atoms.extend(text.bytes().map(Atom::Byte)),
                Piece::Param(name) => {
                    atoms.push(Atom::Param { name, set: ByteSet::VALUE, may_be_empty: true });
                }
            }
        }
        atoms
    }
}

impl fmt::Debug for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextTemplate").field(&self.source).finish()
    }
}

impl fmt::Display for TextTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}
