//! The pool: which connection a step goes through.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bb8::{ErrorSink, Pool, RunError};
use tokio::sync::watch;

use super::connection::Link;
use super::failure::Failure;
use super::server::{Connector, Server};
use crate::store::StoreErrorKind;

/// The connections of one store.
///
/// A step takes a slot, clones its connection and gives the slot back at once: a slot that was held
/// for the length of a command would make everybody else wait for it. With several connections the
/// pool hands them out in turn.
pub(super) struct Links {
    pool: Pool<Connector>,
    failures: Failures,
    pub(super) server: Arc<Server>,
    size: u32,
}

impl Links {
    /// Begins to connect. Must be called within a Tokio runtime.
    pub(super) fn new(server: Arc<Server>, size: u32) -> Self {
        let failures = Failures(Arc::new(watch::Sender::new(None)));
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(size)
            .test_on_check_out(false)
            // A connection lives until it breaks: it costs the server next to nothing, and a new
            // one costs a request its time.
            .max_lifetime(None)
            .idle_timeout(None)
            // Each attempt fails at once, and the next request makes the next one; the pool's own
            // retries would let everybody wait for the whole time-out.
            .retry_connection(false)
            // Only a backstop, later than the attempt's own time-out, which has more to say.
            .connection_timeout(server.connect_timeout + Duration::from_millis(100))
            .error_sink(failures.boxed_clone())
            .build_unchecked(Connector(Arc::clone(&server)));
        Self { pool, failures, server, size }
    }

    /// A connection that is not known to be dead.
    ///
    /// Waits for one that is being made, and fails as soon as that fails.
    pub(super) async fn link(&self) -> Result<Link, Failure> {
        let mut notices = self.failures.0.subscribe();
        // Each dead connection that is found is thrown out, so there are at most as many rounds
        // as there were connections, and one more.
        for _ in 0..=self.size {
            let mut slot = pin!(self.pool.get());
            let taken = loop {
                let mut notice = pin!(notices.changed());
                let taken = std::future::poll_fn(|cx| {
                    if let Poll::Ready(taken) = slot.as_mut().poll(cx) {
                        return Poll::Ready(Some(taken));
                    }
                    notice.as_mut().poll(cx).map(|_| None)
                })
                .await;
                if let Some(taken) = taken {
                    break taken;
                }
                // While there is a connection, another one's failure is no reason to fail.
                if self.pool.state().connections == 0
                    && let Some(failure) = self.failures.last()
                {
                    return Err(failure);
                }
            };
            let slot = taken.map_err(|error| self.no_slot(error))?;
            if !slot.is_dead() {
                return Ok(Link::clone(&slot));
            }
        }
        Err(Failure::new(
            StoreErrorKind::Unavailable,
            format!("Redis at {} closes its connections", self.server.address),
        ))
    }

    /// How many connections there are, and how many there are to be.
    pub(super) fn count(&self) -> (u32, u32) {
        (self.pool.state().connections, self.size)
    }

    /// Has the server looked at through a connection that is there, behind the scenes.
    pub(super) fn check(&self) {
        let (pool, server) = (self.pool.clone(), Arc::clone(&self.server));
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let link = pool.get().await.ok().map(|slot| Link::clone(&slot));
            if let Some(link) = link {
                server.check(link).await;
            }
        });
    }

    fn no_slot(&self, error: RunError<Failure>) -> Failure {
        match error {
            RunError::User(failure) => failure,
            RunError::TimedOut => Failure::new(
                StoreErrorKind::Timeout,
                format!(
                    "no connection to Redis at {} within {:?}",
                    self.server.address, self.server.connect_timeout
                ),
            ),
        }
    }
}

impl fmt::Debug for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links")
            .field("address", &self.server.address)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Tells everybody who waits for a connection that the attempt has failed.
///
/// The pool reports a failure after it has taken the attempt off its books, so whoever is told may
/// start the next one; from within the attempt itself it would be too early.
#[derive(Clone, Debug)]
struct Failures(Arc<watch::Sender<Option<Failure>>>);

impl Failures {
    fn last(&self) -> Option<Failure> {
        self.0.borrow().clone()
    }
}

impl ErrorSink<Failure> for Failures {
    fn sink(&self, failure: Failure) {
        self.0.send_replace(Some(failure));
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<Failure>> {
        Box::new(self.clone())
    }
}
