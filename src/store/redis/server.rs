//! The server: how a connection to it is made.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bb8::ManageConnection;
use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{
    AsyncConnectionConfig, Pipeline, PushInfo, PushKind, cmd, from_redis_value,
};
use parking_lot::Mutex;

use super::address::Address;
use super::checkup::{Unchecked, check};
use super::clock::ServerClock;
use super::connection::{Life, Link, Silence, Trouble};
use super::failure::Failure;
use super::identity::{Hello, Info, Proof, hello, info};
use super::script::{Digests, Script, load};
use crate::entry::RunId;
use crate::store::StoreErrorKind;

/// The longest that the server may take over one command, unless the caller gives up before.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// After an attempt to connect has failed, others fail with it for this long, so that a flood of
/// requests is no flood of connections. Short against the time that a restart takes. Drawn anew each
/// time, up to half as long again.
const PAUSE: Duration = Duration::from_millis(50);

/// How many commands may wait for the socket before a sender has to wait.
const QUEUE: usize = 1024;

/// The server, as far as it has to be known to connect to it, and what connecting has taught.
///
/// The way there knows the password, so this has no `Debug`.
pub(super) struct Server {
    pub(super) way: Address,
    pub(super) address: Arc<str>,
    pub(super) connect_timeout: Duration,
    pub(super) trust_restarts: bool,
    /// Whether it is a node of a cluster.
    pub(super) clustered: bool,
    pub(super) clock: Arc<ServerClock>,
    trouble: Trouble,
    /// Of the store's connections, whatever server they lead to.
    ids: Arc<AtomicU64>,
    connections: AtomicU64,
    open: Mutex<Vec<Weak<Life>>>,
    /// When the last attempt's failure stops being told to others, and what it was.
    failed: Mutex<Option<(Instant, Failure)>>,
    /// How many attempts in a row have got no answer.
    hung: AtomicU32,
    unchecked: Unchecked,
    /// A refusal to connect has been told.
    has_warned: AtomicBool,
}

impl Server {
    pub(super) fn new(
        way: Address,
        connect_timeout: Duration,
        trust_restarts: bool,
        clustered: bool,
        clock: Arc<ServerClock>,
        trouble: Trouble,
        ids: Arc<AtomicU64>,
    ) -> Self {
        let address = Arc::clone(way.shown());
        Self {
            way,
            address,
            connect_timeout,
            trust_restarts,
            clustered,
            clock,
            trouble,
            ids,
            connections: AtomicU64::new(0),
            open: Mutex::new(Vec::new()),
            failed: Mutex::new(None),
            hung: AtomicU32::new(0),
            unchecked: Unchecked::default(),
            has_warned: AtomicBool::new(false),
        }
    }

    /// Retires the connection with this id, if it is still there.
    pub(super) fn retire(&self, id: u64) {
        for life in self.open.lock().iter().filter_map(Weak::upgrade) {
            if life.id == id {
                life.end();
            }
        }
    }

    /// The server is to be looked at for this namespace, as soon as there is a connection. Answers
    /// whether there has been one already: then by the caller, with [`check`](Self::check).
    pub(super) fn check_soon(&self, namespace: &str) -> bool {
        self.unchecked.push(namespace);
        self.connections.load(Ordering::SeqCst) > 0
    }

    /// Looks at the server for the namespaces for which nobody has.
    pub(super) async fn check(&self, link: Link) {
        for namespace in self.unchecked.take() {
            check(self, link.clone(), &namespace).await;
        }
    }

    fn recent_failure(&self) -> Option<Failure> {
        let failed = self.failed.lock();
        failed.as_ref().filter(|(end, _)| Instant::now() < *end).map(|(_, failure)| failure.clone())
    }

    async fn open(&self) -> Result<Link, Failure> {
        let dead = Arc::new(AtomicBool::new(false));
        let (flag, trouble) = (Arc::clone(&dead), self.trouble.clone());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    flag.store(true, Ordering::Release);
                    trouble.tell();
                }
                Ok::<(), ()>(())
            });
        let (mut inner, driver) = self.way.open(config).await?;
        let (run, digests) = self.greet(&mut inner).await?;
        self.connections.fetch_add(1, Ordering::SeqCst);
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let address = Arc::clone(&self.address);
        let proof = Proof::new(self.trust_restarts);
        let silence = Silence::new(Instant::now());
        let trouble = self.trouble.clone();
        let life = Life { id, run, digests, address, dead, silence, proof, trouble, driver };
        let link = Link::new(inner, life);
        let mut open = self.open.lock();
        open.retain(|life| life.strong_count() > 0);
        open.push(link.life());
        Ok(link)
    }

    /// Asks who it is and what time it has, and teaches the scripts, in one round trip.
    async fn greet(&self, inner: &mut MultiplexedConnection) -> Result<(RunId, Digests), Failure> {
        let mut pipeline = Pipeline::with_capacity(3 + Script::ALL.len());
        pipeline.add_command(hello());
        pipeline.cmd("TIME");
        for script in Script::ALL {
            pipeline.add_command(load(script));
        }
        if !self.trust_restarts {
            pipeline.add_command(info());
        }
        let asked = Instant::now();
        let replies = inner
            .send_packed_commands(&pipeline, 0, pipeline.len())
            .await
            .map_err(|error| Failure::unreachable(&self.address, &error))?;
        let mut replies = replies.into_iter();
        let mut next = |what: &str, advice: &str| {
            let reply = replies.next().unwrap_or_default().extract_error();
            reply.map_err(|error| Failure::handshake(&self.address, what, &error, advice))
        };
        let nonsense = |what: &str| Failure::nonsense(&self.address, what);

        let hello = Hello::read(&next("HELLO", "")?).ok_or_else(|| nonsense("HELLO"))?;
        if hello.is_too_old() {
            return Err(Failure::too_old(&self.address, &hello.version));
        }
        // A server that was demoted keeps its run id, but what it holds comes from another.
        if hello.replica {
            return Err(Failure::replica(&self.address));
        }

        let (seconds, micros): (i64, i64) =
            from_redis_value(next("TIME", "")?).map_err(|_| nonsense("TIME"))?;
        self.clock.learn(seconds.saturating_mul(1000) + micros / 1000, asked);

        let mut digests = Digests::default();
        for (digest, script) in digests.iter_mut().zip(Script::ALL) {
            let advice = "the store needs Redis 7.0 or later, and permission for SCRIPT LOAD \
                          (docs/REDIS.md)";
            let reply = next(&format!("SCRIPT LOAD {}", script.name()), advice)?;
            *digest = from_redis_value(reply).map_err(|_| nonsense("SCRIPT LOAD"))?;
        }
        if self.trust_restarts {
            return Ok((RunId([0; 8]), digests));
        }
        let advice = "the store must tell a restart from a pause: permit INFO, or accept the risk \
                      with trust_restarts(true)";
        let info: String =
            from_redis_value(next("INFO server", advice)?).map_err(|_| nonsense("INFO server"))?;
        let info = Info::read(&info).ok_or_else(|| nonsense("INFO server"))?;
        Ok((info.run, digests))
    }
}

/// How long an attempt may take, of `full` at most.
///
/// What the network has swallowed is not answered once it is whole again: an attempt that hangs for
/// all of its time holds up the one that would succeed. So where connecting has been possible
/// attempts are short, but for each eighth, in case it has become slow.
fn limit(full: Duration, has_connected: bool, hung: u32) -> Duration {
    if has_connected && hung % 8 != 7 { (full / 4).max(Duration::from_millis(1)) } else { full }
}

/// Makes the pool's connections, and knows without asking which of them are dead.
pub(super) struct Connector(pub(super) Arc<Server>);

impl ManageConnection for Connector {
    type Connection = Link;
    type Error = Failure;

    async fn connect(&self) -> Result<Link, Failure> {
        let server = &self.0;
        if let Some(failure) = server.recent_failure() {
            return Err(failure);
        }
        let has_connected = server.connections.load(Ordering::Relaxed) > 0;
        let limit =
            limit(server.connect_timeout, has_connected, server.hung.load(Ordering::Relaxed));
        let opened = match tokio::time::timeout(limit, server.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(Failure::new(
                StoreErrorKind::Timeout,
                format!(
                    "Redis at {} did not complete a connection in {limit:?}{}",
                    server.address,
                    server.way.doubt()
                ),
            )),
        };
        if let Ok(link) = &opened {
            let (server, link) = (Arc::clone(server), link.clone());
            tokio::spawn(async move { server.check(link).await });
        }
        if let Err(failure) = &opened {
            let is_refusal = matches!(failure.kind, StoreErrorKind::Refused);
            if is_refusal && !server.has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(%failure, "the cache's Redis can't be used");
            } else {
                tracing::debug!(%failure, "connecting to Redis failed");
            }
            server.trouble.tell();
            let pause = PAUSE.mul_f64(1.0 + fastrand::f64() / 2.0);
            *server.failed.lock() = Some((Instant::now() + pause, failure.clone()));
        }
        match &opened {
            Err(failure) if failure.kind == StoreErrorKind::Timeout => {
                server.hung.fetch_add(1, Ordering::Relaxed);
            }
            _ => server.hung.store(0, Ordering::Relaxed),
        }
        opened
    }

    async fn is_valid(&self, link: &mut Link) -> Result<(), Failure> {
        link.command(&cmd("PING")).await.map(drop)
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.is_dead()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_short_where_connecting_has_been_possible() {
        let full = Duration::from_secs(1);
        assert!((0..32).all(|hung| limit(full, false, hung) == full));
        assert_eq!((0..32).filter(|hung| limit(full, true, *hung) == full).count(), 4);
        assert_eq!(limit(full, true, 0), full / 4);
    }
}
