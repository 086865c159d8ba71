//! Redis globs.

use std::fmt;

/// A pattern over key texts, as Redis understands it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Glob(String);

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobError;

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a pattern")
    }
}

impl std::error::Error for GlobError {}

impl Glob {
    /// x
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        Ok(Self(pattern.into()))
    }

    /// x
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// x
    pub fn matches(&self, text: &str) -> bool {
        text == self.0
    }
}
