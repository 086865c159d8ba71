//! The one way to the store: each step asks the breaker, has a time limit of the cache's own, and
//! tells the breaker what came of it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::breaker::{Breaker, Opening, Pass};
use super::shared::Shared;
use crate::entry::Millis;
use crate::store::{Store, StoreError, StoreErrorKind, StoreFuture};
use crate::telemetry::Stopwatch;

/// Takes a step of the store. Fails at once, without touching it, while the breaker is open, and at
/// `deadline` otherwise. A store that answers at once is asked for no deadline.
///
/// Failures are counted and logged here.
///
/// # Dropping
///
/// Drops the step, and tells the breaker nothing.
pub(crate) async fn step<'a, T: Unpin>(
    shared: &'a Shared,
    name: &'static str,
    deadline: impl FnOnce() -> Instant,
    call: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
) -> Result<T, StoreError> {
    let Some(pass) = shared.gate.breaker.pass() else {
        shared.telemetry.step_skipped(name);
        return Err(StoreErrorKind::Unavailable.into());
    };
    let step = call(&*shared.store);
    // No timer for a store that has answered already.
    let (answer, waited) = if step.is_ready() {
        (step.await, None)
    } else {
        let watch = Stopwatch::start();
        let answer = tokio::time::timeout_at(deadline(), step)
            .await
            .unwrap_or_else(|_| Err(StoreErrorKind::Timeout.into()));
        (answer, Some(watch))
    };
    shared.telemetry.stepped(name, answer.as_ref().err(), waited);
    match &answer {
        Err(error) => {
            tell(shared, pass, Some(error));
            log(name, error);
        }
        Ok(_) if waited.is_some() => tell(shared, pass, None),
        // What was at hand says nothing about a server.
        Ok(_) => {}
    }
    answer
}

/// Takes what the store has at hand, if it has it: a step that can neither fail nor wait. `None` while
/// the breaker is open, too.
pub(crate) fn take<'a, T>(
    shared: &'a Shared,
    name: &'static str,
    call: impl FnOnce(&'a dyn Store) -> Option<T>,
) -> Option<T> {
    if shared.gate.is_shut() {
        return None;
    }
    let answer = call(&*shared.store)?;
    shared.telemetry.stepped(name, None, None);
    Some(answer)
}

/// Takes a step that has its time limits within itself, since it is as long as what it works on.
pub(crate) async fn long_step<'a, T: Unpin>(
    shared: &'a Shared,
    name: &'static str,
    call: impl FnOnce(&'a dyn Store) -> StoreFuture<'a, T>,
) -> Result<T, StoreError> {
    let far = || Instant::now() + Duration::from_secs(24 * 3600);
    step(shared, name, far, call).await
}

/// How long one request waits for the store, whatever the number of steps.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Instant>);

impl Patience {
    /// When it ends: so long after it was first asked for as a look-up may take.
    pub(crate) fn deadline(&mut self, shared: &Shared) -> Instant {
        *self.0.get_or_insert_with(after(shared.settings.lookup_timeout))
    }

    /// Begins anew, after a wait that was not for the store.
    pub(crate) fn renew(&mut self) {
        self.0 = None;
    }
}

/// A deadline so long after now.
pub(crate) fn after(span: Duration) -> impl FnOnce() -> Instant {
    move || Instant::now() + span
}

/// A span as stores take it.
pub(crate) fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}

/// Whether the store was not there. One that refuses is.
pub(crate) fn is_away(error: &StoreError) -> bool {
    matches!(error.kind(), StoreErrorKind::Timeout | StoreErrorKind::Unavailable)
}

fn log(step: &'static str, error: &StoreError) {
    let source = std::error::Error::source(error).map(tracing::field::display);
    if is_away(error) {
        tracing::debug!(step, error = %error, source, "the store failed");
    } else {
        tracing::warn!(step, error = %error, source, "the store failed");
    }
}

fn tell(shared: &Shared, pass: Pass, error: Option<&StoreError>) {
    let Some(error) = error.filter(|error| is_away(error)) else {
        return shared.gate.breaker.succeeded(pass);
    };
    // Without a runtime nobody could probe.
    let Ok(runtime) = Handle::try_current() else { return };
    if let Some(opening) = shared.gate.breaker.failed(pass, Instant::now()) {
        shared.telemetry.breaker_opened();
        let source = std::error::Error::source(error).map(tracing::field::display);
        tracing::warn!(
            error = %error,
            source,
            "the cache store is away: requests go past the cache until it answers again"
        );
        runtime.spawn(Probe::new(&shared.gate, opening).run());
    }
}

/// The breaker, and what waits behind it.
#[derive(Debug)]
pub(crate) struct Gate {
    breaker: Breaker,
    store: Arc<dyn Store>,
    /// How long a probe may take.
    patience: Duration,
    closed: Notify,
}

impl Gate {
    pub(crate) fn new(store: Arc<dyn Store>, failures: u32, patience: Duration) -> Arc<Self> {
        let breaker = Breaker::new(failures);
        Arc::new(Self { breaker, store, patience, closed: Notify::new() })
    }

    /// Whether steps fail at once.
    pub(crate) fn is_shut(&self) -> bool {
        self.breaker.is_open()
    }

    /// Waits until steps reach the store, if they do not.
    pub(crate) async fn passable(&self) {
        loop {
            let closed = self.closed.notified();
            if !self.is_shut() {
                return;
            }
            closed.await;
        }
    }
}

/// The task that asks the store whether it is there again. It ends with the outage, or with the
/// cache.
struct Probe {
    gate: Weak<Gate>,
    opening: Opening,
}

impl Probe {
    fn new(gate: &Arc<Gate>, opening: Opening) -> Self {
        Self { gate: Arc::downgrade(gate), opening }
    }

    async fn run(mut self) {
        let mut began = Instant::now();
        loop {
            tokio::time::sleep_until(began + self.opening.rhythm.pause(fastrand::f64())).await;
            began = Instant::now();
            // The cache is not held while the store is waited for.
            let Some((store, patience)) =
                self.gate.upgrade().map(|gate| (Arc::clone(&gate.store), gate.patience))
            else {
                return;
            };
            let limit = self.opening.rhythm.limit(patience);
            match tokio::time::timeout(limit, store.ping()).await {
                Err(_) => {}
                Ok(Err(error)) if is_away(&error) => {}
                // What refuses can be asked.
                Ok(_) => return,
            }
        }
    }
}

impl Drop for Probe {
    /// Whatever ends it: with a runtime that shuts down while others use the cache, nobody would
    /// probe any more.
    fn drop(&mut self) {
        if let Some(gate) = self.gate.upgrade() {
            let away = gate.breaker.close(&self.opening, Instant::now());
            tracing::info!(?away, "the cache store is asked again");
            gate.closed.notify_waiters();
        }
    }
}
