//! Globs with parameters.

use super::captures::{Captures, MAX_PARAMS};
use super::error::TemplateError;
use super::lex::{self, Brace};
use super::scope_bind::IdPiece;
use crate::key::byte_set::ByteSet;
use crate::key::glob::{self, Token};

/// A glob whose parameters can be found in a text in one way only: each ends at the next byte of
/// its delimiter, which no value holds, and none comes after a star.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ScopeGlob {
    /// What comes before the first star.
    pub(super) head: Vec<Part>,
    /// The first star and what follows it.
    pub(super) tail: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    /// One byte of these.
    One(ByteSet),
    /// This byte.
    Byte(u8),
    /// A parameter: what its values hold, and what ends it unless the text does.
    Param { set: ByteSet, delimiter: Option<u8> },
}

impl ScopeGlob {
    /// Reads a pattern: the glob and its parameters. How it was written is appended to `id`.
    pub(super) fn parse(
        template: &str,
        id: &mut Vec<IdPiece>,
    ) -> Result<(Self, Vec<Box<str>>), TemplateError> {
        lex::check(template)?;
        glob::check(template)?;
        let mut glob = Self { head: Vec::new(), tail: Vec::new() };
        let mut params = Vec::new();
        let (mut at, mut text_start) = (0, 0);
        while at < template.len() {
            let (unit, length) = next(template, at)?;
            match unit {
                Unit::Token(Token::Star) if glob.tail.last() == Some(&Token::Star) => {}
                Unit::Token(token) if !glob.tail.is_empty() => glob.tail.push(token),
                Unit::Token(Token::Star) => glob.tail.push(Token::Star),
                Unit::Token(Token::Class(set)) => glob.head.push(Part::One(set)),
                Unit::Token(Token::Byte(byte)) => glob.head.push(Part::Byte(byte)),
                Unit::Param(name) => {
                    if !glob.tail.is_empty() {
                        return Err(TemplateError::Ambiguous(name.to_owned()));
                    }
                    glob.head.push(param(name, template, at + length)?);
                    if text_start < at {
                        id.push(IdPiece::Text(template[text_start..at].into()));
                    }
                    id.push(IdPiece::Param(params.len()));
                    lex::push_param(&mut params, name)?;
                    text_start = at + length;
                }
            }
            at += length;
        }
        if params.len() > MAX_PARAMS {
            return Err(TemplateError::TooManyParams);
        }
        if text_start < at {
            id.push(IdPiece::Text(template[text_start..].into()));
        }
        Ok((glob, params))
    }

    /// The parameters' values in a text that matches.
    pub(super) fn captures<'k>(&self, text: &'k str) -> Option<Captures<'k>> {
        let bytes = text.as_bytes();
        let mut captures = Captures::default();
        let mut at = 0;
        for part in &self.head {
            match part {
                Part::Byte(byte) if bytes.get(at) == Some(byte) => at += 1,
                Part::One(set) if bytes.get(at).is_some_and(|&byte| set.contains(byte)) => at += 1,
                Part::Byte(_) | Part::One(_) => return None,
                Part::Param { set, .. } => {
                    // The set lacks the delimiter, so what ends the run ends the value too, or
                    // the next part refuses it.
                    let length = bytes[at..].iter().take_while(|&&byte| set.contains(byte)).count();
                    captures.push(text.get(at..at + length)?);
                    at += length;
                }
            }
        }
        glob::matches(&self.tail, &bytes[at..]).then_some(captures)
    }
}

enum Unit<'t> {
    Token(Token),
    Param(&'t str),
}

/// The unit of a pattern at a byte that it has, and how many bytes the unit is written in. The
/// byte may be within a character, since each byte of one is a unit of its own.
fn next(pattern: &str, at: usize) -> Result<(Unit<'_>, usize), TemplateError> {
    let rest = &pattern.as_bytes()[at..];
    if matches!(rest, [b'{' | b'}', ..]) {
        return Ok(match lex::brace(&pattern[at..])? {
            Brace::Literal(byte) => (Unit::Token(Token::Byte(byte)), 2),
            Brace::Param(name) => (Unit::Param(name), name.len() + 2),
        });
    }
    let (token, length) = glob::next_token(rest)?;
    let is_class = rest.starts_with(b"[");
    if is_class && rest[..length].iter().any(|byte| matches!(byte, b'{' | b'}')) {
        return Err(TemplateError::ParamInClass);
    }
    Ok((Unit::Token(token), length))
}

/// The parameter before `end`, which must be the template's end or a delimiter's place.
fn param(name: &str, template: &str, end: usize) -> Result<Part, TemplateError> {
    if end == template.len() {
        return Ok(Part::Param { set: ByteSet::VALUE, delimiter: None });
    }
    match next(template, end)? {
        (Unit::Token(Token::Byte(byte)), _) if !ByteSet::ENCODED.contains(byte) => {
            Ok(Part::Param { set: ByteSet::VALUE.without(byte), delimiter: Some(byte) })
        }
        _ => {
            let before = &template[..end];
            let is_path = before.starts_with('/') && !before.contains(['*', '?', '[', '\\']);
            Err(TemplateError::NoDelimiter {
                param: name.to_owned(),
                subtree: is_path.then(|| before.to_owned()),
            })
        }
    }
}
