//! The text of a scope, by which a store knows it.

use super::captures::Captures;
use super::error::Unbound;
use super::scope::ScopeTemplate;
use super::scope_match::ScopeSegment;
use crate::key::byte_set::ByteSet;

/// A piece of a scope's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum IdPiece {
    /// What is the same for all values.
    Text(Box<str>),
    /// The value of the parameter with this number, or `{}`.
    Param(usize),
}

impl ScopeTemplate {
    /// Appends the text of the scope with these values to `out`.
    ///
    /// Values are as [`encode`](crate::key::encode()) or
    /// [`normalize_value`](crate::key::normalize_value) writes them.
    ///
    /// # Errors
    /// [`Unbound`] if there is no value, or one that is not encoded and could mean something in a
    /// pattern; `out` is then as it was.
    pub fn bind<'v>(
        &self,
        values: impl Fn(&str) -> Option<&'v str>,
        out: &mut String,
    ) -> Result<(), Unbound> {
        self.write(|_, name| values(name), false, out)
    }

    /// As [`bind`](Self::bind), but a parameter without a value is left open and written as `{}`:
    /// the scope that covers every value of it.
    ///
    /// # Errors
    /// [`Unbound::NotEncoded`]; `out` is then as it was.
    pub fn bind_any<'v>(
        &self,
        values: impl Fn(&str) -> Option<&'v str>,
        out: &mut String,
    ) -> Result<(), Unbound> {
        self.write(|_, name| values(name), true, out)
    }

    /// Appends the text of the scope with the values found in a key. `is_open` says of which
    /// parameters (by number) the scope covers every value.
    ///
    /// # Errors
    /// [`Unbound`] if the captures are too few, thus those of another template; `out` is then as it was.
    pub fn bind_captures(
        &self,
        captures: &Captures<'_>,
        is_open: impl Fn(usize) -> bool,
        out: &mut String,
    ) -> Result<(), Unbound> {
        debug_assert!(captures.values().len() <= self.params.len());
        if let Some(name) = self.params().nth(captures.values().len()) {
            return Err(Unbound::Missing(name.to_owned()));
        }
        self.write(|index, _| captures.value(index).filter(|_| !is_open(index)), true, out)
    }

    fn write<'v>(
        &self,
        value: impl Fn(usize, &str) -> Option<&'v str>,
        may_be_open: bool,
        out: &mut String,
    ) -> Result<(), Unbound> {
        let start = out.len();
        for piece in &self.id {
            let index = match piece {
                IdPiece::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                IdPiece::Param(index) => *index,
            };
            let name = &*self.params[index];
            match value(index, name) {
                Some(value) if value.bytes().all(|byte| ByteSet::VALUE.contains(byte)) => {
                    out.push_str(value);
                }
                Some(_) => {
                    out.truncate(start);
                    return Err(Unbound::NotEncoded(name.to_owned()));
                }
                None if may_be_open => out.push_str("{}"),
                None => {
                    out.truncate(start);
                    return Err(Unbound::Missing(name.to_owned()));
                }
            }
        }
        Ok(())
    }
}

/// The text of a path or subtree scope.
pub(super) fn path_id(prefix: &str, segments: &[ScopeSegment]) -> Vec<IdPiece> {
    let mut id = Vec::new();
    let mut text = String::from(prefix);
    let mut index = 0;
    for segment in segments {
        text.push('/');
        match segment {
            ScopeSegment::Literal(literal) => text.push_str(literal),
            ScopeSegment::Param => {
                id.push(IdPiece::Text(std::mem::take(&mut text).into()));
                id.push(IdPiece::Param(index));
                index += 1;
            }
        }
    }
    if !text.is_empty() {
        id.push(IdPiece::Text(text.into()));
    }
    id
}
