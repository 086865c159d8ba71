//! The lookout: learns where the primaries are, at first and whenever something points to a change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{AsyncConnectionConfig, Pipeline, Value};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::failure::Failure;
use super::nodes::Shared;
use super::target::Sentinels;
use super::view::{Range, ask_cluster, is_whole, read_slots};
use super::watchers::Watchers;
use crate::store::StoreErrorKind;

/// What is asked, and whom at first.
pub(super) enum Question {
    /// Nodes of a cluster, for its slots.
    Slots(Vec<Arc<Address>>),
    /// Sentinels, for the primary.
    Primary(Sentinels),
}

/// How long to wait between two rounds at least, so that a flood of redirected steps is one round.
/// This and the spans below are drawn anew each time, up to half as long again, so that the
/// instances of a fleet do not come together.
const PAUSE: Duration = Duration::from_millis(50);

/// After how long a cluster is asked although nothing points to a change.
const SLOTS_HOLD: Duration = Duration::from_secs(5);

/// The same for sentinels. An old primary that is passed over, or cut off from them but not from here,
/// gives no sign of it. With the pause, well within [`TRUST`](super::tenure::TRUST).
const PRIMARY_HOLDS: Duration = Duration::from_millis(700);

/// Asks again and again, until the store is dropped.
pub(super) async fn keep(shared: Arc<Shared>, question: Question) {
    let mut node = None;
    let mut watchers = Watchers::default();
    loop {
        let (done, hold) = match &question {
            Question::Slots(seeds) => {
                let asked = Instant::now();
                let done = slots(&shared, seeds, &mut node).await;
                if done.is_ok() {
                    shared.lately.forget(asked);
                    catch_up(&shared).await;
                }
                (done, if shared.is_overdue() { PRIMARY_HOLDS } else { SLOTS_HOLD })
            }
            Question::Primary(sentinels) => {
                let done = watchers.primary(&shared, sentinels).await;
                (done, watchers.wait().map_or(PRIMARY_HOLDS, |wait| wait.min(PRIMARY_HOLDS)))
            }
        };
        if let Err(failure) = &done {
            tracing::debug!(%failure, "where Redis is could not be learned");
        }
        shared.rounds.send_replace(done.err());
        tokio::time::sleep(drawn(PAUSE)).await;
        let _ = tokio::time::timeout(drawn(hold), shared.kit.trouble.told()).await;
    }
}

/// Moves what is overdue, as far as that takes no time: the map must not wait for a node that hangs.
async fn catch_up(shared: &Shared) {
    if !shared.is_overdue() {
        return;
    }
    match tokio::time::timeout(PRIMARY_HOLDS, shared.catch_up()).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => tracing::debug!(%failure, "what has moved lately is moved again later"),
        Err(_) => tracing::debug!("what has moved lately takes long to be moved again"),
    }
}

fn drawn(span: Duration) -> Duration {
    span.mul_f64(1.0 + fastrand::f64() / 2.0)
}

/// Asks the node that answered last, or else any that answers.
///
/// Who hangs is not waited for alone: the next one is asked soon after, and the first answer counts.
/// Else a store could not begin, nor learn of a fail-over, for as long as its callers wait for it.
async fn slots(
    shared: &Shared,
    seeds: &[Arc<Address>],
    asker: &mut Option<Asker>,
) -> Result<(), Failure> {
    let limit = shared.kit.connect_timeout;
    if let Some(last) = asker
        && let Ok(Ok(ranges)) = tokio::time::timeout(limit / 4, last.slots()).await
    {
        return shared.draw(ranges);
    }
    *asker = None;
    let known = shared.addresses().into_iter().filter_map(|address| {
        let (host, port) = address.rsplit_once(':')?;
        shared.kit.access.to(host, port.parse().ok()?).ok().map(Arc::new)
    });
    let mut candidates: Vec<Arc<Address>> = seeds.iter().cloned().chain(known).collect();
    fastrand::shuffle(&mut candidates);
    // Dropping it breaks off those that have not answered.
    let mut questions = JoinSet::new();
    let mut failure = None;
    let deadline = Instant::now() + 4 * limit;
    while Instant::now() < deadline {
        if let Some(address) = candidates.pop() {
            questions.spawn(async move {
                let mut opened =
                    Asker::open(&address, limit).await.map_err(|away| (false, away))?;
                let ranges = opened.slots().await.map_err(|refused| (true, refused))?;
                Ok::<_, (bool, Failure)>((opened, ranges))
            });
        }
        let pause = if candidates.is_empty() { limit } else { limit / 8 };
        match tokio::time::timeout(pause, questions.join_next()).await {
            Ok(Some(Ok(Ok((opened, ranges))))) => {
                *asker = Some(opened);
                return shared.draw(ranges);
            }
            // What one says who answers tells more than that another doesn't.
            Ok(Some(Ok(Err((true, refused))))) => failure = Some(refused),
            Ok(Some(Ok(Err((false, away))))) => {
                failure.get_or_insert(away);
            }
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => {}
        }
    }
    Err(failure.unwrap_or_else(nobody))
}

pub(super) fn nobody() -> Failure {
    Failure::new(StoreErrorKind::Unavailable, "nobody to ask where Redis is")
}

/// A connection to somebody who knows.
pub(super) struct Asker {
    inner: MultiplexedConnection,
    #[allow(dead_code, reason = "held for its drop")]
    driver: Option<AbortOnDropHandle<()>>,
    pub(super) address: Arc<str>,
}

impl Asker {
    pub(super) async fn open(address: &Address, limit: Duration) -> Result<Self, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit));
        let shown = Arc::clone(address.shown());
        // The client's own limit leaves out the greeting.
        match tokio::time::timeout(limit, address.open(config)).await {
            Ok(Ok((inner, driver))) => Ok(Self { inner, driver, address: shown }),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(
                StoreErrorKind::Timeout,
                format!("Redis at {shown} did not complete a connection in {limit:?}"),
            )),
        }
    }

    async fn slots(&mut self) -> Result<Vec<Range>, Failure> {
        let [state, slots] = self.send(&ask_cluster()).await?;
        is_whole(&self.address, self.refusal(state)?)?;
        let host = self.address.rsplit_once(':').map_or("", |(host, _)| host);
        let ranges = read_slots(self.refusal(slots)?, host);
        ranges.ok_or_else(|| self.nonsense("CLUSTER SLOTS"))
    }

    pub(super) async fn send<const N: usize>(
        &mut self,
        question: &Pipeline,
    ) -> Result<[Value; N], Failure> {
        let replies = self.inner.send_packed_commands(question, 0, N).await;
        let replies = replies.map_err(|error| Failure::of(&self.address, &error))?;
        replies.try_into().map_err(|_| self.nonsense("a pipeline"))
    }

    pub(super) fn refusal(&self, reply: Value) -> Result<Value, Failure> {
        reply.extract_error().map_err(|error| Failure::of(&self.address, &error))
    }

    pub(super) fn nonsense(&self, what: &str) -> Failure {
        Failure::nonsense(&self.address, what)
    }
}
