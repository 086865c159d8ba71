//! The lookout: learns where the primaries are, at first and whenever something points to a change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{AsyncConnectionConfig, Pipeline, Value};
use tokio_util::task::AbortOnDropHandle;

use super::address::Address;
use super::failure::Failure;
use super::nodes::Shared;
use super::target::Sentinels;
use super::view::{ask_cluster, ask_sentinel, is_whole, read_primary, read_slots};
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
    let mut asker = None;
    let hold = match &question {
        Question::Slots(_) => SLOTS_HOLD,
        Question::Primary(_) => PRIMARY_HOLDS,
    };
    loop {
        let done = round(&shared, &question, &mut asker).await;
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

/// Asks the one who answered last, or else whoever answers first.
async fn round(
    shared: &Shared,
    question: &Question,
    asker: &mut Option<Asker>,
) -> Result<(), Failure> {
    let deadline = Instant::now() + 4 * shared.kit.connect_timeout;
    if let Some(last) = asker
        && last.ask(shared, question).await.is_ok()
    {
        return Ok(());
    }
    *asker = None;
    let mut failure = None;
    for address in candidates(shared, question) {
        let address: &Address = match &address {
            Candidate::Given(address) => address,
            Candidate::Known(address) => address,
        };
        match Asker::open(address, shared.kit.connect_timeout).await {
            Ok(mut opened) => match opened.ask(shared, question).await {
                Ok(()) => {
                    *asker = Some(opened);
                    return Ok(());
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
    Err(failure.unwrap_or_else(|| Failure::new(StoreErrorKind::Unavailable, "nobody to ask")))
}

enum Candidate<'a> {
    Given(&'a Address),
    Known(Box<Address>),
}

/// In no particular order: whom the URL names, and the nodes that are known by now.
fn candidates<'a>(shared: &Shared, question: &'a Question) -> Vec<Candidate<'a>> {
    let given = match question {
        Question::Slots(seeds) => seeds,
        Question::Primary(sentinels) => &sentinels.sentinels,
    };
    let mut all: Vec<_> = given.iter().map(Candidate::Given).collect();
    if matches!(question, Question::Slots(_)) {
        let known = shared.addresses().into_iter().filter_map(|address| {
            let (host, port) = address.rsplit_once(':')?;
            shared.kit.access.to(host, port.parse().ok()?).ok()
        });
        all.extend(known.map(|address| Candidate::Known(Box::new(address))));
    }
    fastrand::shuffle(&mut all);
    all
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

    async fn ask(&mut self, shared: &Shared, question: &Question) -> Result<(), Failure> {
        match question {
            Question::Slots(_) => {
                let [state, slots] = self.send(&ask_cluster()).await?;
                is_whole(&self.address, self.refusal(state)?)?;
                let host = self.address.rsplit_once(':').map_or("", |(host, _)| host);
                let ranges = read_slots(self.refusal(slots)?, host);
                let ranges = ranges.ok_or_else(|| self.nonsense("CLUSTER SLOTS"))?;
                shared.draw(ranges)
            }
            Question::Primary(Sentinels { service, .. }) => {
                let [primary] = self.send(&ask_sentinel(service)).await?;
                let primary = read_primary(self.refusal(primary)?);
                let Some((host, port)) = primary.ok_or_else(|| self.nonsense("SENTINEL"))? else {
                    let text = format!("the sentinel at {} watches no `{service}`", self.address);
                    return Err(Failure::new(StoreErrorKind::Refused, text));
                };
                shared.point(&host, port)
            }
        }
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
