//! What went wrong at Redis, in words that name the server and never its password.

use std::fmt;
use std::sync::Arc;

use bb8_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::{StoreError, StoreErrorKind};

/// The cause beneath a [`StoreError`] of this store.
///
/// Cheap to clone, since one failed attempt to connect is told to everybody who waited for it.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: StoreErrorKind,
    text: Arc<str>,
}

impl Failure {
    pub(super) fn new(kind: StoreErrorKind, text: impl Into<Arc<str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// A command to the server at `address` failed.
    pub(super) fn of(address: &str, error: &RedisError) -> Self {
        Self::new(kind_of(error), format!("Redis at {address}: {error}"))
    }

    /// A reply that no version of these scripts gives.
    pub(super) fn nonsense(address: &str, step: &str) -> Self {
        Self::new(
            StoreErrorKind::Protocol,
            format!("Redis at {address}: unexpected reply to {step}"),
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.kind, failure)
    }
}

fn kind_of(error: &RedisError) -> StoreErrorKind {
    if error.is_timeout() {
        return StoreErrorKind::Timeout;
    }
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::TryAgain,
        )
        | ErrorKind::Io
        // A reply that the connection has broken off; and after any other the rest makes no sense.
        | ErrorKind::Parse
        | ErrorKind::ClusterConnectionNotFound => StoreErrorKind::Unavailable,
        // A script of somebody else that has run for too long holds everything up.
        ErrorKind::Extension if error.code() == Some("BUSY") => StoreErrorKind::Unavailable,
        ErrorKind::Server(_)
        | ErrorKind::Extension
        | ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::RESP3NotSupported => StoreErrorKind::Refused,
        _ => StoreErrorKind::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use bb8_redis::redis::make_extension_error;

    use super::*;

    #[test]
    fn kinds_say_what_to_do() {
        let kind = |error: RedisError| Failure::of("here:1", &error).kind;
        assert_eq!(kind(io::Error::from(io::ErrorKind::TimedOut).into()), StoreErrorKind::Timeout);
        assert_eq!(
            kind(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            StoreErrorKind::Unavailable
        );
        assert_eq!(
            kind(make_extension_error("OOM".into(), Some("not allowed".into()))),
            StoreErrorKind::Refused
        );
        assert_eq!(kind(make_extension_error("BUSY".into(), None)), StoreErrorKind::Unavailable);
        assert_eq!(kind((ErrorKind::Parse, "what").into()), StoreErrorKind::Unavailable);
        assert_eq!(
            kind((ErrorKind::UnexpectedReturnType, "what").into()),
            StoreErrorKind::Protocol
        );
    }
}
