//! Redis globs.

mod token;

use std::fmt;

pub(super) use self::token::{Token, matches, next_token};

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 1024;

/// A pattern over key texts, as Redis understands it in `SCAN … MATCH`.
///
/// | in a pattern | matches |
/// |---|---|
/// | `*` | any bytes, none too |
/// | `?` | one byte |
/// | `[abc]`, `[a-z]`, `[z-a]` | one byte of the class; a range may be written either way round |
/// | `[^abc]` | one byte that is not of the class; `[^]` is any, `[]` is none |
/// | `\x` | the byte `x`, in a class too |
/// | anything else | itself, case-sensitively |
///
/// What Redis would read in a surprising way is an error here: a class without its `]`, a `\` at
/// the end. Within a class only ASCII is allowed, since Redis sees bytes and not characters.
///
/// ```
/// # use tower_response_cache::key::Glob;
/// let glob = Glob::new("/users/*/stats")?;
/// assert!(glob.matches("/users/42/stats"));
/// assert!(!glob.matches("/users/42"));
/// # Ok::<(), tower_response_cache::key::GlobError>(())
/// ```
///
/// # What does not compile
///
/// A pattern that was not checked, in the place of one that was:
///
/// ```compile_fail,E0308
/// use tower_response_cache::{Store, key::Space};
///
/// async fn delete(store: &dyn Store, space: &Space) {
///     let removed = store.delete_pattern(space, "/users*").await;
/// }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Glob {
    text: Box<str>,
    tokens: Box<[Token]>,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`GlobError`] for what is not a pattern or longer than 1024 bytes.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        check(pattern)?;
        let mut rest = pattern.as_bytes();
        let mut tokens = Vec::new();
        while !rest.is_empty() {
            let (token, length) = next_token(rest)?;
            rest = &rest[length..];
            if !(token == Token::Star && tokens.last() == Some(&Token::Star)) {
                tokens.push(token);
            }
        }
        Ok(Self { text: pattern.into(), tokens: tokens.into() })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `text` matches, in O(length of the pattern × length of the text).
    ///
    /// The answer is what Redis gives for pattern and text behind the same prefix, thus `*`
    /// matches the empty text too.
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.tokens, text.as_bytes())
    }

    /// The pattern that matches `text` alone: what has a meaning in a pattern is escaped.
    #[must_use]
    pub fn escape(text: &str) -> String {
        let mut pattern = String::with_capacity(text.len() + 8);
        for letter in text.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern
    }

    /// The text that everything matched begins with, without escapes.
    #[must_use]
    pub fn literal_prefix(&self) -> String {
        let mut prefix: Vec<u8> = Vec::new();
        for token in &self.tokens {
            let Token::Byte(byte) = token else { break };
            prefix.push(*byte);
        }
        // The wildcard after it is ASCII, so only `\` before a character could split one, and
        // that yields all of its bytes.
        String::from_utf8_lossy(&prefix).into_owned()
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Glob").field(&self.text).finish()
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobError {
    /// A `[` without its `]`.
    UnclosedClass,
    /// A `\` with nothing after it.
    TrailingBackslash,
    /// Longer than 1024 bytes.
    TooLong,
    /// A control character.
    ControlCharacter,
    /// A character beyond ASCII within `[…]`.
    NonAsciiClass,
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnclosedClass => f.write_str(
                "a `[` has no `]`: close the class (`[a-]` takes the `]` for the end of a range), \
                 or write `\\[` for the bracket itself",
            ),
            Self::TrailingBackslash => {
                f.write_str("the pattern ends in `\\`: write `\\\\` for the backslash itself")
            }
            Self::TooLong => {
                write!(f, "the pattern is too long: use at most {MAX_BYTES} bytes")
            }
            Self::ControlCharacter => {
                f.write_str("the pattern has a control character: keys hold none, so remove it")
            }
            Self::NonAsciiClass => f.write_str(
                "a `[…]` holds a character beyond ASCII: a class matches one byte, so write the \
                 alternatives as several patterns, or `*`",
            ),
        }
    }
}

impl std::error::Error for GlobError {}

/// What holds for a pattern as a whole.
pub(super) fn check(pattern: &str) -> Result<(), GlobError> {
    if pattern.len() > MAX_BYTES {
        return Err(GlobError::TooLong);
    }
    if pattern.chars().any(char::is_control) {
        return Err(GlobError::ControlCharacter);
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
