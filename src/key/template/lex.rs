//! Braces in templates.

use super::error::TemplateError;

/// The longest template, in bytes.
pub(super) const MAX_BYTES: usize = 1024;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Piece {
    /// Text, with `{{` and `}}` made single. Never empty, and never two in a row.
    Text(String),
    /// A parameter.
    Param(String),
}

/// What holds for each template as a whole.
pub(super) fn check(template: &str) -> Result<(), TemplateError> {
    if template.is_empty() {
        return Err(TemplateError::Empty);
    }
    if template.len() > MAX_BYTES {
        return Err(TemplateError::TooLong);
    }
    if template.chars().any(char::is_control) {
        return Err(TemplateError::ControlCharacter);
    }
    Ok(())
}

/// Cuts a template into pieces.
pub(super) fn pieces(template: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        match brace(rest)? {
            Brace::Literal(byte) => {
                text.push(char::from(byte));
                rest = &rest[2..];
            }
            Brace::Param(name) => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Param(name.to_owned()));
                rest = &rest[name.len() + 2..];
            }
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// What a text that begins with a brace begins with.
pub(super) enum Brace<'t> {
    /// A doubled brace: two bytes.
    Literal(u8),
    /// A parameter: its name and two bytes.
    Param(&'t str),
}

pub(super) fn brace(text: &str) -> Result<Brace<'_>, TemplateError> {
    if text.starts_with("{{") {
        return Ok(Brace::Literal(b'{'));
    }
    if text.starts_with("}}") {
        return Ok(Brace::Literal(b'}'));
    }
    let Some(inside) = text.strip_prefix('{') else { return Err(TemplateError::StrayBrace) };
    let end = inside.find('}').ok_or(TemplateError::UnclosedBrace)?;
    let name = &inside[..end];
    // The star of a catch-all is the caller's to judge.
    let plain = name.strip_prefix('*').unwrap_or(name);
    let is_bad = |letter: char| {
        letter.is_whitespace() || matches!(letter, '{' | '*' | ':' | '/' | '&' | '=')
    };
    if plain.is_empty() || plain.contains(is_bad) {
        return Err(TemplateError::BadName(name.to_owned()));
    }
    Ok(Brace::Param(name))
}

/// Adds a parameter's name, once.
pub(super) fn push_param(params: &mut Vec<Box<str>>, name: &str) -> Result<(), TemplateError> {
    if let Some(name) = name.strip_prefix('*') {
        return Err(TemplateError::RestInScope(name.to_owned()));
    }
    if params.iter().any(|known| **known == *name) {
        return Err(TemplateError::DuplicateParam(name.to_owned()));
    }
    params.push(name.into());
    Ok(())
}
