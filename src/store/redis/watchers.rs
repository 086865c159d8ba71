//! The sentinels: asked together, and the one believed who knows most.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};

use super::address::Address;
use super::failure::Failure;
use super::lookout::{Asker, nobody};
use super::nodes::Shared;
use super::target::Sentinels;
use super::tenure::{Heir, Named};
use super::view::{Watch, ask_sentinel, read_primary, read_watch};
use crate::store::StoreErrorKind;

/// How long a sentinel may take while another has answered, or a primary is known. One that takes longer
/// is not waited for until it has answered again: it must not keep the others' word from being heard.
const PATIENCE: Duration = Duration::from_millis(250);

/// After how long most of them are believed who know less than has been said before: somebody has told
/// them to begin anew.
const RESET: Duration = Duration::from_secs(10);

/// The connections to sentinels, and what they have said.
#[derive(Default)]
pub(super) struct Watchers {
    askers: HashMap<usize, Asker>,
    asking: JoinSet<Answer>,
    /// Who has not answered yet.
    asked: HashSet<usize>,
    /// Who has lately taken too long.
    slow: HashSet<usize>,
    /// The epoch of the last primary that was believed.
    epoch: u64,
    /// Since when those who answer know less.
    behind: Option<Instant>,
    heir: Option<Heir>,
}

/// From which sentinel, when it was asked, and what it says.
type Answer = (usize, Instant, Result<(Asker, Primary), Failure>);

/// What a sentinel says.
struct Primary {
    host: String,
    port: u16,
    watch: Watch,
    /// When it had said so. The question may have been long under way.
    said: Instant,
}

/// What was heard in one round.
#[derive(Default)]
struct Heard {
    primaries: Vec<Primary>,
    failure: Option<Failure>,
}

impl Watchers {
    /// Asks all of them at once, and believes the one who knows most: after a fail-over some know
    /// it seconds after others, and the old primary may be back by then.
    pub(super) async fn primary(
        &mut self,
        shared: &Shared,
        question: &Sentinels,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        let Heard { primaries, failure } = self.hear(shared, question, began).await;
        let answers = primaries.len();
        let is_most = 2 * answers > question.sentinels.len();
        let rank = |one: &&Primary| (one.watch.epoch, shared.is_used(&one.host, one.port));
        let Some(best) = primaries.iter().max_by_key(rank) else {
            // Without them nobody fails over, unless it is only from here that they can't be reached.
            shared.stay(began);
            return Err(failure.unwrap_or_else(nobody));
        };
        // Those who know less than others have said before have not heard of it yet, or are cut off.
        let is_behind = best.watch.epoch < self.epoch;
        if is_behind {
            let since = *self.behind.get_or_insert(began);
            if !is_most || began.duration_since(since) < RESET {
                shared.stay(began);
                let text = "the sentinels that answer know less than others have said";
                return Err(Failure::new(StoreErrorKind::Unavailable, text));
            }
        }
        (self.behind, self.epoch) = (None, best.watch.epoch);
        let of_one_mind = primaries.iter().filter(|other| {
            (other.watch.epoch, &other.host, other.port)
                == (best.watch.epoch, &best.host, best.port)
        });
        let since = of_one_mind.filter_map(|one| one.said.checked_sub(one.watch.known_for)).min();
        let since = since.filter(|_| !is_behind).unwrap_or_else(Instant::now);
        let (host, port, epoch) = (best.host.clone(), best.port, best.watch.epoch);
        let named = Named { host, port, epoch, since };
        shared.point(&named, began, &mut self.heir).await?;
        if is_most {
            // Who is cut off from most of them may have to tell another primary later.
            shared.lately.forget(began);
        }
        Ok(())
    }

    /// How long the primary that is named has to wait, if it does.
    pub(super) fn wait(&self) -> Option<Duration> {
        self.heir.as_ref().map(|heir| heir.wait(Instant::now()))
    }

    async fn hear(&mut self, shared: &Shared, question: &Sentinels, began: Instant) -> Heard {
        let mut heard = Heard::default();
        // Those that were too late for the last round.
        while let Some(late) = self.asking.try_join_next() {
            self.take(late, began, &mut heard);
        }
        for (at, address) in question.sentinels.iter().enumerate() {
            if !self.asked.insert(at) {
                continue;
            }
            let (asker, limit) = (self.askers.remove(&at), shared.kit.connect_timeout);
            let (address, service) = (Arc::clone(address), Arc::clone(&question.service));
            self.asking
                .spawn(async move { (at, began, consult(asker, &address, &service, limit).await) });
        }
        // Without a primary there is nothing to lose by waiting for the first answer.
        let mut deadline = shared.has_primary().then(|| began + PATIENCE);
        while self.asked.iter().any(|at| !self.slow.contains(at))
            || heard.primaries.is_empty() && deadline.is_none() && !self.asked.is_empty()
        {
            let next = self.asking.join_next();
            let answer = match deadline {
                None => next.await,
                Some(deadline) => match tokio::time::timeout_at(deadline.into(), next).await {
                    Ok(answer) => answer,
                    Err(_) => break,
                },
            };
            let Some(answer) = answer else { break };
            self.take(answer, began, &mut heard);
            if !heard.primaries.is_empty() {
                deadline.get_or_insert(Instant::now() + PATIENCE);
            }
        }
        self.slow.extend(&self.asked);
        heard
    }

    fn take(&mut self, answer: Result<Answer, JoinError>, began: Instant, heard: &mut Heard) {
        let Ok((at, asked, answer)) = answer else {
            // Nobody ends these tasks but a runtime that shuts down.
            return self.asked.clear();
        };
        self.asked.remove(&at);
        match answer {
            Ok((sentinel, primary)) => {
                self.slow.remove(&at);
                self.askers.insert(at, sentinel);
                // What was asked in an earlier round vouches for nobody in this one.
                if asked == began || primary.watch.epoch > self.epoch {
                    heard.primaries.push(primary);
                }
            }
            Err(failed) => {
                if failed.kind == StoreErrorKind::Refused || heard.failure.is_none() {
                    heard.failure = Some(failed);
                }
            }
        }
    }
}

/// Asks one sentinel, through the connection that there is or another.
async fn consult(
    asker: Option<Asker>,
    address: &Address,
    service: &str,
    limit: Duration,
) -> Result<(Asker, Primary), Failure> {
    if let Some(mut asker) = asker
        && let Ok(primary) = ask(&mut asker, service).await
    {
        return Ok((asker, primary));
    }
    let mut asker = Asker::open(address, limit).await?;
    let primary = ask(&mut asker, service).await?;
    Ok((asker, primary))
}

async fn ask(asker: &mut Asker, service: &str) -> Result<Primary, Failure> {
    let [known, primary] = asker.send(&ask_sentinel(service)).await?;
    let primary = read_primary(asker.refusal(primary)?);
    let Some((host, port)) = primary.ok_or_else(|| asker.nonsense("SENTINEL"))? else {
        let text = format!("the sentinel at {} watches no `{service}`", asker.address);
        return Err(Failure::new(StoreErrorKind::Refused, text));
    };
    let (watch, is_of_it) = read_watch(&known, &host, port);
    if !is_of_it && !watch.changes {
        // Between the two questions it has begun to name another: that one comes with the next answer,
        // and until it was asked it has named the one before.
        let text = format!("the sentinel at {} is just changing its mind", asker.address);
        return Err(Failure::new(StoreErrorKind::Unavailable, text));
    }
    Ok(Primary { host, port, watch, said: Instant::now() })
}
