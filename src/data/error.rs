//! Why a value could not be had, kept or removed.

use std::error::Error;
use std::fmt;

use crate::store::{Refusal, StoreError};

/// Why a value could not be had, kept or removed.
#[derive(Debug)]
pub struct DataError {
    kind: DataErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What kind of failure a [`DataError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataErrorKind {
    /// The key is empty, too long, lacks the value of a parameter, or has one for a parameter that it
    /// lacks. Nothing was done.
    Key,
    /// The value could not be written as JSON. Nothing was done.
    Encode,
    /// The value is larger than [`CacheBuilder::max_body`](crate::CacheBuilder::max_body). Nothing was
    /// done.
    TooLarge,
    /// What the key is in was invalidated, closed or lost at the same moment, or the store has no
    /// room. The value is not stored.
    Refused,
    /// The store did not answer or refused. Whether it has done what was asked is not known.
    Store,
}

impl DataErrorKind {
    /// A short name for logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Encode => "encode",
            Self::TooLarge => "too-large",
            Self::Refused => "refused",
            Self::Store => "store",
        }
    }
}

impl DataError {
    pub(super) fn new(
        kind: DataErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    pub(super) fn refused(why: Refusal) -> Self {
        Self::new(DataErrorKind::Refused, why.as_str())
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> DataErrorKind {
        self.kind
    }
}

impl From<DataErrorKind> for DataError {
    fn from(kind: DataErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<StoreError> for DataError {
    fn from(error: StoreError) -> Self {
        Self::new(DataErrorKind::Store, error)
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            DataErrorKind::Key => "not a key of a value",
            DataErrorKind::Encode => "the value can't be written as JSON",
            DataErrorKind::TooLarge => "the value is too large to be cached",
            DataErrorKind::Refused => "the value was not stored: something moved meanwhile",
            DataErrorKind::Store => "the cache store failed",
        })
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
