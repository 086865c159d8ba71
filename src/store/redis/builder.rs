//! How a store is told where its server is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bb8_redis::redis::io::tcp::TcpSettings;
use bb8_redis::redis::io::tcp::socket2::TcpKeepalive;
use bb8_redis::redis::{Client, IntoConnectionInfo, ProtocolVersion};

use super::RedisStore;
use super::failure::Failure;
use super::pool::Links;
use super::server::Server;
use crate::clock::{Clock, SystemClock};
use crate::store::{StoreError, StoreErrorKind};

/// Settings of a [`RedisStore`], begun by [`RedisStore::builder`].
#[derive(Clone)]
#[must_use]
pub struct RedisStoreBuilder {
    /// May hold a password: never shown.
    url: String,
    connections: u32,
    connect_timeout: Duration,
    trust_restarts: bool,
    clock: Arc<dyn Clock>,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            connections: 1,
            connect_timeout: Duration::from_secs(1),
            trust_restarts: false,
            clock: Arc::new(SystemClock),
        }
    }

    /// How many connections to keep, 1 unless set; values outside 1 to 64 are brought within.
    ///
    /// All commands of all requests share them. One is enough until a core is busy with it, or
    /// until large entries make small ones wait.
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.clamp(1, 64);
        self
    }

    /// The longest that connecting may take, 1 second unless set; at least 1 millisecond.
    ///
    /// It bounds [`connect`](Self::connect), and every later step that finds no connection.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Whether what was stored before a restart of the server is believed after it; `false` unless
    /// set.
    ///
    /// Set it only for a server that loses no acknowledged write in a restart or a fail-over: with
    /// snapshots, or a log that is synced once a second, an invalidation can be lost, and then
    /// entries come back that it had removed.
    pub fn trust_restarts(mut self, trust: bool) -> Self {
        self.trust_restarts = trust;
        self
    }

    /// The clock that is read until the server has told its own: the operating system's unless
    /// set. After that no local clock counts.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Connects.
    ///
    /// Dropping the future abandons the attempt.
    ///
    /// # Errors
    ///
    /// If the URL makes no sense, or the server isn't there within
    /// [`connect_timeout`](Self::connect_timeout), or it refuses. The error's source names the
    /// address and says what to do about it.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        let store = self.connect_lazy()?;
        store.links.link().await?;
        Ok(store)
    }

    /// Answers at once and connects behind the scenes, again and again with each use until the
    /// server is there. Until then every step fails.
    ///
    /// # Errors
    ///
    /// If the URL makes no sense, or this isn't called within a Tokio runtime.
    pub fn connect_lazy(self) -> Result<RedisStore, StoreError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(misuse("a Redis store must be made within a Tokio runtime"));
        }
        let client = self.client()?;
        let server = Server::new(client, self.connect_timeout, self.trust_restarts, &*self.clock);
        Ok(RedisStore::new(Links::new(Arc::new(server), self.connections)))
    }

    fn client(&self) -> Result<Client, StoreError> {
        // The reasons that the parser gives are fixed texts: none repeats a part of the URL.
        let advice = "expected redis://[user:password@]host[:port][/database]";
        let bad = |reason| misuse(&format!("not a URL of a Redis server: {reason}; {advice}"));
        let info = self.url.as_str().into_connection_info().map_err(bad)?;
        // Liveness is seen through a push, which the second version of the protocol hasn't got.
        let redis = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp());
        Client::open(info).map_err(bad)
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("connections", &self.connections)
            .field("connect_timeout", &self.connect_timeout)
            .field("trust_restarts", &self.trust_restarts)
            .finish_non_exhaustive()
    }
}

/// A peer that vanished without a word is noticed by the kernel in seconds, not hours.
fn tcp() -> TcpSettings {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(2));
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(5));
    settings
}

fn misuse(text: &str) -> StoreError {
    Failure::new(StoreErrorKind::Refused, text).into()
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[tokio::test]
    async fn the_password_is_shown_nowhere() {
        let builder = RedisStore::builder("redis://me:s3cret@127.0.0.1:1/0");
        assert!(!format!("{builder:?}").contains("s3cret"));
        let store = builder.clone().connect_lazy().unwrap();
        assert!(!format!("{store:?}").contains("s3cret"));
        let error = builder.connect().await.unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(source.contains("127.0.0.1:1"), "{source}");
        assert!(!format!("{error:?} {error} {source}").contains("s3cret"));

        for url in ["s3cret", "http://s3cret@h", "redis://:s3cret@h/s3cret", "redis://:s3cret@"] {
            let error = RedisStore::builder(url).connect_lazy().unwrap_err();
            let source = error.source().unwrap().to_string();
            assert!(!format!("{error:?} {error} {source}").contains("s3cret"), "{source}");
        }
    }

    #[test]
    fn outside_a_runtime_it_is_an_error() {
        let error = RedisStore::builder("redis://127.0.0.1").connect_lazy().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
    }
}
