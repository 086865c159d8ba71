//! What a tenant may be called.

use std::fmt;

/// The most bytes and characters that a tenant's text has.
const MAX_BYTES: usize = 256;
const MAX_CHARS: usize = 128;

/// The text that identifies a tenant: any Unicode text of 1 to 128 characters and at most 256
/// bytes, without control characters.
///
/// Two ids are one tenant only if their bytes are equal; nothing is trimmed, folded or normalised.
///
/// # What does not compile
///
/// One that was not checked:
///
/// ```compile_fail,E0423
/// let tenant = tower_response_cache::key::TenantId("4".into());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Box<str>);

impl TenantId {
    /// Takes `text` for a tenant's id.
    ///
    /// # Errors
    /// [`TenantError`] says what is wrong with the text; a request with such a tenant has none.
    pub fn new(text: impl AsRef<str>) -> Result<Self, TenantError> {
        let text = text.as_ref();
        Self::check(text)?;
        Ok(Self(text.into()))
    }

    /// Whether `text` is a tenant's id.
    pub(crate) fn check(text: &str) -> Result<(), TenantError> {
        if text.is_empty() {
            return Err(TenantError::Empty);
        }
        let is_long = text.len() > MAX_CHARS;
        // As most are: no character of it is looked at by itself.
        if !is_long && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Ok(());
        }
        if text.len() > MAX_BYTES || is_long && text.chars().count() > MAX_CHARS {
            return Err(TenantError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(TenantError::ControlCharacter);
        }
        Ok(())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TenantId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no tenant's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TenantError {
    /// There is no text.
    Empty,
    /// More than 256 bytes or 128 characters.
    TooLong,
    /// A control character, C1 and DEL included.
    ControlCharacter,
}

impl fmt::Display for TenantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the tenant is empty: give it at least one character"),
            Self::TooLong => write!(
                f,
                "the tenant is too long: use at most {MAX_CHARS} characters and {MAX_BYTES} bytes"
            ),
            Self::ControlCharacter => {
                f.write_str("the tenant has a control character: use printable text")
            }
        }
    }
}

impl std::error::Error for TenantError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_printable_text_is_a_tenant() {
        for text in ["4", "gym one", "{a}:*", "\u{65e5}\u{672c}", &"x".repeat(128)] {
            assert_eq!(TenantId::new(text).map(|id| id.as_str() == text), Ok(true));
        }
        assert_eq!(TenantId::new("\u{e9}".repeat(128)).map(|_| ()), Ok(()));
    }

    #[test]
    fn other_text_is_none() {
        assert_eq!(TenantId::new(""), Err(TenantError::Empty));
        assert_eq!(TenantId::new("x".repeat(129)), Err(TenantError::TooLong));
        assert_eq!(TenantId::new("\u{65e5}".repeat(86)), Err(TenantError::TooLong));
        for text in ["a\nb", "\0", "\u{7f}", "\u{85}"] {
            assert_eq!(TenantId::new(text), Err(TenantError::ControlCharacter), "{text:?}");
        }
    }
}
