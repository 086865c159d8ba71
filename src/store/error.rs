//! Why a store could not carry out a step.

use std::error::Error;
use std::fmt;

/// An error of a store: a kind to act on, and the cause beneath it.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure a [`StoreError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No answer within the time that the caller allowed. The step may have been done.
    Timeout,
    /// The store can't be reached, or the connection broke. The step may have been done.
    Unavailable,
    /// The store answered and refused: out of memory, read-only, not permitted.
    Refused,
    /// The store's answer made no sense.
    Protocol,
}

impl StoreErrorKind {
    /// A short name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
        }
    }
}

impl StoreError {
    /// An error of this kind, caused by `source`.
    pub fn new(kind: StoreErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl From<StoreErrorKind> for StoreError {
    fn from(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Timeout => "the cache store did not answer in time",
            StoreErrorKind::Unavailable => "the cache store can't be reached",
            StoreErrorKind::Refused => "the cache store refused the command",
            StoreErrorKind::Protocol => "the cache store gave an answer that makes no sense",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
