//! How a store is told where its server is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::RedisStore;

use super::address::{Login, misuse};
use super::clock::ServerClock;
use super::connection::Trouble;
use super::node::{Kit, Replicas};
use super::nodes::Nodes;
use super::target::Target;
use crate::clock::{Clock, SystemClock};
use crate::store::near::Near;
use crate::store::{NearCache, StoreError};

/// Settings of a [`RedisStore`], begun by [`RedisStore::builder`].
#[derive(Clone)]
#[must_use]
pub struct RedisStoreBuilder {
    /// May hold a password: never shown.
    url: String,
    login: Login,
    connections: u32,
    connect_timeout: Duration,
    trust_restarts: bool,
    sentinel: Option<(String, String)>,
    replicas: Option<Replicas>,
    near: Option<NearCache>,
    clock: Arc<dyn Clock>,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            login: Login::default(),
            connections: 1,
            connect_timeout: Duration::from_secs(1),
            trust_restarts: false,
            sentinel: None,
            replicas: None,
            near: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// The user and the password, instead of those in the URL. An empty user is the server's
    /// `default` one, as with `requirepass`.
    ///
    /// They are sent when connecting, and shown nowhere.
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.login.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The user and the password for the sentinels of a `redis+sentinel://` URL, which are sent
    /// none unless this is set. An empty user is their `default` one.
    pub fn sentinel_credentials(mut self, user: &str, password: &str) -> Self {
        self.sentinel = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The number of the database, instead of the one in the URL; 0 unless either says so.
    pub fn database(mut self, number: u32) -> Self {
        self.login.database = Some(number);
        self
    }

    /// The authority that the server's certificate must be of, in PEM; several if there are
    /// several in it. No other is trusted then. Unless set, those that the system trusts are.
    ///
    /// For a `rediss://` URL. What isn't a certificate is an error when connecting begins.
    #[cfg(feature = "tls")]
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.login.pem.ca = Some(pem.into());
        self
    }

    /// The certificate that this client shows to a server that asks for one, followed by those that
    /// lead to its authority, and its private key, in PEM.
    ///
    /// For a `rediss://` URL. What isn't a certificate, or isn't its key, is an error when
    /// connecting begins.
    #[cfg(feature = "tls")]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.login.pem.client = Some((certificate.into(), key.into()));
        self
    }

    /// How many connections to keep to each server, 1 unless set; values outside 1 to 64 are brought within.
    ///
    /// All commands of all requests share them. One is enough until a core is busy with it, or
    /// until large entries make small ones wait.
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.clamp(1, 64);
        self
    }

    /// The longest that connecting may take, 1 second unless set; at least 1 millisecond.
    ///
    /// It bounds [`connect`](Self::connect), and every later step that finds no connection. Once
    /// connecting has been possible, seven of eight attempts may take a quarter of it: one that the
    /// network has swallowed holds up the next.
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

    /// How many replicas must have an invalidation before it counts as confirmed, and how long they
    /// may take, at most 2 s: none unless set.
    ///
    /// One that fewer have in time is tried again, like any that isn't confirmed. Redis is asked with
    /// `WAIT`, on further connections, since it holds up what comes behind it. A replica that is
    /// promoted is another run, whose older entries are not believed in any case: this is for servers
    /// whose restarts are [trusted](Self::trust_restarts), and for fences. `docs/REDIS.md` says what
    /// it promises.
    pub fn replicas(mut self, count: u32, timeout: Duration) -> Self {
        let timeout = timeout.clamp(Duration::from_millis(1), Duration::from_secs(2));
        self.replicas = (count > 0).then_some(Replicas { count, timeout });
        self
    }

    /// Keeps in this process what it has found, so that hits ask Redis for less, or for nothing: none
    /// unless set.
    pub fn near_cache(mut self, near: NearCache) -> Self {
        self.near = Some(near);
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
    /// If the URL or a certificate makes no sense, or the server isn't there within
    /// [`connect_timeout`](Self::connect_timeout), or it refuses, or is a replica, or is older than
    /// 7.0. Of a cluster most primaries must be there. Behind sentinels that have just named another
    /// primary it takes up to 3 seconds more. The error's source names the address and says what to do about it.
    pub async fn connect(self) -> Result<RedisStore, StoreError> {
        let store = self.connect_lazy()?;
        store.nodes.settled().await;
        store.nodes.ping().await?;
        Ok(store)
    }

    /// Answers at once and connects behind the scenes, again and again with each use until the
    /// server is there. Until then every step fails.
    ///
    /// # Errors
    ///
    /// If the URL or a certificate makes no sense, or this isn't called within a Tokio runtime.
    pub fn connect_lazy(self) -> Result<RedisStore, StoreError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(misuse("a Redis store must be made within a Tokio runtime").into());
        }
        let (target, access) = Target::new(&self.url, &self.login, self.sentinel.as_ref())?;
        let near = self.near.as_ref().map(|near| Arc::new(Near::new(near.settings())));
        let kit = Kit {
            access,
            connections: self.connections,
            connect_timeout: self.connect_timeout,
            trust_restarts: self.trust_restarts,
            replicas: self.replicas,
            clustered: matches!(target, Target::Cluster(_)),
            clock: Arc::new(ServerClock::new(&*self.clock)),
            near,
            namespaces: watch::Sender::default(),
            trouble: Trouble::default(),
            ids: Arc::default(),
        };
        Ok(RedisStore::new(Nodes::new(kit, target)))
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::store::StoreErrorKind;

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

        for url in [
            "s3cret",
            "http://s3cret@h",
            "redis://:s3cret@h/s3cret",
            "redis://:s3cret@",
            "redis://:s3#cret@h",
            "redis://h/?protocol=s3cret",
            "redis://h/#s3cret",
            "rediss://:s3cret@h/#insecure",
            "unix:///h?pass=s3cret&db=s3cret",
            "redis://s3cret@h",
        ] {
            let error = RedisStore::builder(url).connect_lazy().unwrap_err();
            let source = error.source().unwrap().to_string();
            assert!(!format!("{error:?} {error} {source}").contains("s3cret"), "{source}");
        }
    }

    #[tokio::test]
    async fn the_password_given_in_code_is_shown_nowhere() {
        let builder = RedisStore::builder("redis://127.0.0.1:1").credentials("me", "s3cret");
        assert!(!format!("{builder:?}").contains("s3cret"));
        let error = builder.connect().await.unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(!format!("{error:?} {error} {source}").contains("s3cret"), "{source}");
    }

    fn refusal(url: &str) -> String {
        let error = RedisStore::builder(url).connect_lazy().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        error.source().unwrap().to_string()
    }

    #[tokio::test]
    async fn certificates_are_always_checked() {
        for url in ["rediss://h/#insecure", "redis://h/#insecure", "valkeys://h#insecure"] {
            let text = refusal(url);
            assert!(text.contains("#insecure") && text.contains("ca_certificate"), "{text}");
        }
    }

    #[test]
    fn outside_a_runtime_it_is_an_error() {
        let error = RedisStore::builder("redis://127.0.0.1").connect_lazy().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
    }
}
