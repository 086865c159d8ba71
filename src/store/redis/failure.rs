//! What went wrong at Redis, in words that name the server, say what to do, and never hold a
//! password.

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
    sign: Sign,
}

/// What a node of a cluster means by its refusal. It has done nothing then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Sign {
    #[default]
    None,
    /// Another node is to be asked.
    Turn(Arc<Turn>),
    /// The slot is moving, and the keys are on both sides.
    Divided,
    /// Nobody serves the slot.
    Down,
}

/// Where to turn to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) host: String,
    pub(super) port: u16,
    /// For this once, and to be said: the slot hasn't moved yet.
    pub(super) asking: bool,
}

impl Failure {
    pub(super) fn new(kind: StoreErrorKind, text: impl Into<Arc<str>>) -> Self {
        Self { kind, text: text.into(), sign: Sign::None }
    }

    pub(super) fn sign(&self) -> &Sign {
        &self.sign
    }

    /// Of a cluster that is changing: it will have settled down soon.
    pub(super) fn passing(mut self) -> Self {
        if self.sign != Sign::None {
            self.kind = StoreErrorKind::Unavailable;
        }
        self
    }

    /// A command to the server at `address` failed.
    pub(super) fn of(address: &str, error: &RedisError) -> Self {
        let text = format!("Redis at {address}: {}", Advised(error, ""));
        Self { sign: sign_of(address, error), ..Self::new(kind_of(error), text) }
    }

    /// There is no connection to the server at `address`.
    pub(super) fn unreachable(address: &str, error: &RedisError) -> Self {
        let kind = kind_of(error);
        let otherwise = match kind {
            StoreErrorKind::Unavailable if error.is_io_error() => {
                "start it or correct the URL, or begin without it with `connect_lazy`; if the port \
                 is for TLS, the URL must begin with `rediss://`"
            }
            StoreErrorKind::Refused => "check the user, the password and the database",
            _ => "",
        };
        let text = format!("can't connect to Redis at {address}: {}", Advised(error, otherwise));
        Self::new(kind, text)
    }

    /// The server at `address` refused `what`, which every connection begins with.
    pub(super) fn handshake(address: &str, what: &str, error: &RedisError, advice: &str) -> Self {
        let text = format!("Redis at {address} refused {what}: {}", Advised(error, advice));
        Self::new(kind_of(error), text)
    }

    /// The server at `address` takes no writes of its own, and what it holds may be old.
    pub(super) fn replica(address: &str) -> Self {
        Self::new(
            StoreErrorKind::Refused,
            format!("Redis at {address} is a replica; the URL must be the primary's"),
        )
    }

    pub(super) fn too_old(address: &str, version: &str) -> Self {
        Self::new(
            StoreErrorKind::Refused,
            format!(
                "Redis at {address} is version {version}; the store needs 7.0 or later: upgrade it"
            ),
        )
    }

    /// A reply that no version of these scripts gives.
    pub(super) fn nonsense(address: &str, step: &str) -> Self {
        Self::new(
            StoreErrorKind::Protocol,
            format!("Redis at {address}: unexpected reply to {step}"),
        )
    }
}

impl Turn {
    /// As the addresses of servers are shown.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
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

/// An error in its own words, and what to do about it: what is known of this error, or else what
/// the place says where it happened.
struct Advised<'a>(&'a RedisError, &'a str);

impl fmt::Display for Advised<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error, otherwise) = self;
        let text = error.to_string();
        // A server that doesn't know a command repeats its arguments: the password after HELLO, and
        // keys after any other.
        let text = text.split(", with args beginning with").next().unwrap_or_default();
        f.write_str(text)?;
        let advice = match advice(error) {
            // The place knows better what it is that is lacking.
            Some(NOT_PERMITTED | NOT_THERE) if !otherwise.is_empty() => otherwise,
            Some(advice) => advice,
            None => otherwise,
        };
        if advice.is_empty() { Ok(()) } else { write!(f, "; {advice}") }
    }
}

fn advice(error: &RedisError) -> Option<&'static str> {
    let detail = error.detail().unwrap_or_default();
    Some(match error.code().unwrap_or_default() {
        "WRONGPASS" => "check the user and the password, in the URL or in `credentials`",
        "NOAUTH" => "it wants a password: in the URL or with `credentials`",
        "NOPERM" if detail.contains("keys") || detail.contains("key ") => KEYS_NOT_PERMITTED,
        "NOPERM" => NOT_PERMITTED,
        "READONLY" | "MASTERDOWN" => "it is a replica; the URL must be the primary's",
        "LOADING" => "it is reading its data and will be there when it has",
        "OOM" => "raise `maxmemory`, or choose a `maxmemory-policy` that evicts (docs/REDIS.md)",
        "MISCONF" => "it can't save to its disk, and so takes no writes: mend that",
        "TRYAGAIN" => "the slot is moving, and will have arrived soon",
        "CLUSTERDOWN" => {
            "it is a node of a cluster that is not whole; the URL of a cluster begins with \
             `redis+cluster://`"
        }
        "MOVED" | "ASK" | "CROSSSLOT" => {
            "it is a node of a cluster: the URL must begin with `redis+cluster://`"
        }
        "NOREPLICAS" => "it takes no writes without its replicas: bring them back",
        // Up to 7.0 a refusal within a script has no code of its own.
        _ if detail.contains("can't run this command") => NOT_PERMITTED,
        _ if detail.contains("no permissions to run") => NOT_PERMITTED,
        _ if detail.contains("can't access at least one of the keys") => KEYS_NOT_PERMITTED,
        _ if detail.contains("max number of clients") => {
            "raise its `maxclients`, or let fewer connect"
        }
        _ if detail.contains("unknown command 'HELLO'")
            || error.kind() == ErrorKind::RESP3NotSupported =>
        {
            "the store needs Redis 7.0 or later, with the command HELLO"
        }
        _ if detail.contains("unknown command") => NOT_THERE,
        _ => return None,
    })
}

const NOT_PERMITTED: &str = "permit the user the commands that docs/REDIS.md lists";

const KEYS_NOT_PERMITTED: &str =
    "permit the user all keys of the cache's namespace, `~namespace:*` (docs/REDIS.md)";

const NOT_THERE: &str = "the store needs Redis 7.0 or later, with the commands that docs/REDIS.md \
                         lists under their own names";

fn sign_of(address: &str, error: &RedisError) -> Sign {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::TryAgain) => Sign::Divided,
        ErrorKind::Server(ServerErrorKind::ClusterDown) => Sign::Down,
        _ => turn_of(address, error).map_or(Sign::None, |turn| Sign::Turn(Arc::new(turn))),
    }
}

fn turn_of(address: &str, error: &RedisError) -> Option<Turn> {
    let (to, _) = error.redirect_node()?;
    let (host, port) = to.rsplit_once(':')?;
    // A node that doesn't know the other's host means its own.
    let host = if host.is_empty() { address.rsplit_once(':')?.0 } else { host };
    let asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
    Some(Turn { host: host.to_owned(), port: port.parse().ok()?, asking })
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
        ErrorKind::Server(_) if is_full(error) => StoreErrorKind::Unavailable,
        ErrorKind::Server(_)
        | ErrorKind::Extension
        | ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::RESP3NotSupported => StoreErrorKind::Refused,
        _ => StoreErrorKind::Protocol,
    }
}

/// Whether there is no room for one more connection, which passes.
fn is_full(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("max number of clients"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use bb8_redis::redis::{make_extension_error, parse_redis_value};

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

    #[test]
    fn a_node_says_where_to_turn_to() {
        let sign = |code: &str, detail: &str| {
            let error = parse_redis_value(format!("-{code} {detail}\r\n").as_bytes());
            let error = error.unwrap().extract_error().unwrap_err();
            Failure::of("here:1", &error).sign
        };
        let turn = |host: &str, port, asking| {
            Sign::Turn(Arc::new(Turn { host: host.to_owned(), port, asking }))
        };
        assert_eq!(sign("MOVED", "3999 there:6381"), turn("there", 6381, false));
        assert_eq!(sign("ASK", "3999 there:6381"), turn("there", 6381, true));
        assert_eq!(sign("MOVED", "3999 :6381"), turn("here", 6381, false));
        assert_eq!(sign("ASK", "3999 ::1:6381"), turn("::1", 6381, true));
        assert_eq!(sign("TRYAGAIN", "later"), Sign::Divided);
        assert_eq!(sign("CLUSTERDOWN", "no"), Sign::Down);
        for hostile in ["", "3999", "x there:1", "3999 there:x", "3999 there:70000", "3999 there"] {
            assert_eq!(sign("MOVED", hostile), Sign::None, "{hostile}");
        }
    }

    #[test]
    fn arguments_that_a_server_repeats_are_not_shown() {
        let detail = "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'app' 's3cret'";
        let error = make_extension_error("ERR".into(), Some(detail.into()));
        for failure in [Failure::of("here:1", &error), Failure::unreachable("here:1", &error)] {
            let text = failure.to_string();
            assert!(text.contains("HELLO") && text.contains("7.0"), "{text}");
            assert!(!text.contains("s3cret") && !text.contains("app"), "{text}");
        }
    }
}
