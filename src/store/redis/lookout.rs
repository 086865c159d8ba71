//! The lookout: learns where the primaries are, at first and whenever something points to a change.

use std::collections::HashMap;
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
use super::view::{
    Range, ask_cluster, ask_sentinel, is_whole, read_epoch, read_primary, read_slots,
};
use crate::store::StoreErrorKind;

/// What is asked, and whom at first.
pub(super) enum Question {
    /// Nodes of a cluster, for its slots.
    Slots(Vec<Address>),
    /// Sentinels, for the primary.
    Primary(Sentinels),
}

/// How long to wait between two rounds at least, so that a flood of redirected steps is one round.
/// This and the spans below are drawn anew each time, up to half as long again, so that the
/// instances of a fleet do not come together.
const PAUSE: Duration = Duration::from_millis(50);

/// After how long a cluster is asked although nothing points to a change.
const SLOTS_HOLD: Duration = Duration::from_secs(5);

/// The same for sentinels. An old primary that is cut off from them, but not from here, gives no
/// sign of it: this bounds for how long it is believed.
const PRIMARY_HOLDS: Duration = Duration::from_millis(700);

/// Asks again and again, until the store is dropped.
pub(super) async fn keep(shared: Arc<Shared>, question: Question) {
    let mut node = None;
    let mut watchers = Watchers::default();
    loop {
        let (done, hold) = match &question {
            Question::Slots(seeds) => (slots(&shared, seeds, &mut node).await, SLOTS_HOLD),
            Question::Primary(sentinels) => {
                (watchers.primary(&shared, sentinels).await, PRIMARY_HOLDS)
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

fn drawn(span: Duration) -> Duration {
    span.mul_f64(1.0 + fastrand::f64() / 2.0)
}

/// Asks the node that answered last, or else any that answers.
async fn slots(
    shared: &Shared,
    seeds: &[Address],
    asker: &mut Option<Asker>,
) -> Result<(), Failure> {
    let limit = shared.kit.connect_timeout;
    let deadline = Instant::now() + 4 * limit;
    if let Some(last) = asker
        && let Ok(ranges) = last.slots().await
    {
        return shared.draw(ranges);
    }
    *asker = None;
    let known = shared.addresses().into_iter().filter_map(|address| {
        let (host, port) = address.rsplit_once(':')?;
        shared.kit.access.to(host, port.parse().ok()?).ok()
    });
    let known: Vec<Address> = known.collect();
    let mut candidates: Vec<&Address> = seeds.iter().chain(&known).collect();
    fastrand::shuffle(&mut candidates);
    let mut failure = None;
    for address in candidates {
        match Asker::open(address, limit).await {
            Ok(mut opened) => match opened.slots().await {
                Ok(ranges) => {
                    *asker = Some(opened);
                    return shared.draw(ranges);
                }
                Err(refused) => failure = Some(refused),
            },
            // What one says who answers tells more than that another doesn't.
            Err(away) => {
                failure.get_or_insert(away);
            }
        }
        if Instant::now() > deadline {
            break;
        }
    }
    Err(failure.unwrap_or_else(nobody))
}

fn nobody() -> Failure {
    Failure::new(StoreErrorKind::Unavailable, "nobody to ask where Redis is")
}

/// The connections to sentinels, and what they have said.
#[derive(Default)]
struct Watchers {
    askers: HashMap<usize, Asker>,
    /// The epoch of the last primary that was believed.
    epoch: u64,
}

impl Watchers {
    /// Asks all of them at once, and believes the one who knows most: after a fail-over some know
    /// it seconds after others, and the old primary may be back by then.
    async fn primary(&mut self, shared: &Shared, question: &Sentinels) -> Result<(), Failure> {
        let mut answering = JoinSet::new();
        for (at, address) in question.sentinels.iter().enumerate() {
            let (asker, limit) = (self.askers.remove(&at), shared.kit.connect_timeout);
            let (address, service) = (Arc::clone(address), Arc::clone(&question.service));
            answering.spawn(async move { (at, consult(asker, &address, &service, limit).await) });
        }
        let (mut best, mut answers, mut failure) = (None::<Primary>, 0, None::<Failure>);
        while let Some(answer) = answering.join_next().await {
            match answer {
                Ok((at, Ok((asker, primary)))) => {
                    self.askers.insert(at, asker);
                    answers += 1;
                    if best.as_ref().is_none_or(|best| primary.epoch > best.epoch) {
                        best = Some(primary);
                    }
                }
                Ok((_, Err(failed))) => {
                    if failed.kind == StoreErrorKind::Refused || failure.is_none() {
                        failure = Some(failed);
                    }
                }
                Err(_) => {}
            }
        }
        let Some(best) = best else { return Err(failure.unwrap_or_else(nobody)) };
        // Fewer than half, who know less than others have said before, are cut off from them.
        if best.epoch < self.epoch && 2 * answers <= question.sentinels.len() {
            let text = "the sentinels that answer know less than others have said";
            return Err(Failure::new(StoreErrorKind::Unavailable, text));
        }
        self.epoch = best.epoch;
        shared.point(&best.host, best.port)
    }
}

/// What a sentinel says.
struct Primary {
    epoch: u64,
    host: String,
    port: u16,
}

/// Asks one sentinel, through the connection that there is or another.
async fn consult(
    asker: Option<Asker>,
    address: &Address,
    service: &str,
    limit: Duration,
) -> Result<(Asker, Primary), Failure> {
    if let Some(mut asker) = asker
        && let Ok(primary) = asker.primary(service).await
    {
        return Ok((asker, primary));
    }
    let mut asker = Asker::open(address, limit).await?;
    let primary = asker.primary(service).await?;
    Ok((asker, primary))
}

/// A connection to somebody who knows.
struct Asker {
    inner: MultiplexedConnection,
    #[allow(dead_code, reason = "held for its drop")]
    driver: Option<AbortOnDropHandle<()>>,
    address: Arc<str>,
}

impl Asker {
    async fn open(address: &Address, limit: Duration) -> Result<Self, Failure> {
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

    async fn primary(&mut self, service: &str) -> Result<Primary, Failure> {
        let [known, primary] = self.send(&ask_sentinel(service)).await?;
        let primary = read_primary(self.refusal(primary)?);
        let Some((host, port)) = primary.ok_or_else(|| self.nonsense("SENTINEL"))? else {
            let text = format!("the sentinel at {} watches no `{service}`", self.address);
            return Err(Failure::new(StoreErrorKind::Refused, text));
        };
        Ok(Primary { epoch: read_epoch(&known), host, port })
    }

    async fn send<const N: usize>(&mut self, question: &Pipeline) -> Result<[Value; N], Failure> {
        let replies = self.inner.send_packed_commands(question, 0, N).await;
        let replies = replies.map_err(|error| Failure::of(&self.address, &error))?;
        replies.try_into().map_err(|_| self.nonsense("a pipeline"))
    }

    fn refusal(&self, reply: Value) -> Result<Value, Failure> {
        reply.extract_error().map_err(|error| Failure::of(&self.address, &error))
    }

    fn nonsense(&self, what: &str) -> Failure {
        Failure::nonsense(&self.address, what)
    }
}
