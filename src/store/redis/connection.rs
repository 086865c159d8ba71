//! One connection, shared by whoever has a clone of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{
    Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value, from_redis_value,
};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
use super::identity::{Hello, Info, Proof, hello, info};
use super::script::{Call, Digests};
use crate::entry::RunId;
use crate::store::StoreErrorKind;

/// A connection on which commands have waited in vain for so long, with no reply to anything, is
/// replaced. Those who wait for it still may: it is closed when the last of them is gone.
const SILENCE: Duration = Duration::from_millis(250);

/// A connection that any number of tasks use at once, each through a clone.
///
/// Commands are answered in their order, and the answer to one whose future was dropped is dropped
/// too: no future that is abandoned can misalign the rest.
#[derive(Clone, Debug)]
pub(super) struct Link {
    inner: MultiplexedConnection,
    life: Arc<Life>,
    /// Whether each command is for a slot that is only about to come to this node.
    asking: bool,
}

/// What all clones of one connection share.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: u64,
    /// Learned before the connection's first command, so that every reply is of this run.
    pub(super) run: RunId,
    pub(super) digests: Digests,
    pub(super) address: Arc<str>,
    /// Set by the connection itself when it ends.
    pub(super) dead: Arc<AtomicBool>,
    pub(super) silence: Silence,
    pub(super) proof: Proof,
    pub(super) trouble: Trouble,
    /// Ends with the last clone of the connection.
    #[allow(dead_code, reason = "held for its drop")]
    pub(super) driver: Option<AbortOnDropHandle<()>>,
}

impl Life {
    /// Lets the pool replace the connection.
    pub(super) fn end(&self) {
        if !self.dead.swap(true, Ordering::AcqRel) {
            self.trouble.tell();
        }
    }

    /// Somebody has given up what was sent: if nothing has been answered for long, nothing will be.
    pub(super) fn give_up(&self) {
        if self.silence.is_long(Instant::now()) {
            self.end();
        }
    }
}

/// Wakes up whoever watches where the servers are.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble(Arc<Notify>);

impl Trouble {
    pub(super) fn tell(&self) {
        self.0.notify_one();
    }

    /// Once somebody has told since this was last waited for.
    pub(super) async fn told(&self) {
        self.0.notified().await;
    }
}

impl Link {
    pub(super) fn new(inner: MultiplexedConnection, life: Life) -> Self {
        Self { inner, life: Arc::new(life), asking: false }
    }

    /// For a slot that this node is only about to get.
    pub(super) fn asking(mut self, asking: bool) -> Self {
        self.asking = asking;
        self
    }

    pub(super) fn address(&self) -> &Arc<str> {
        &self.life.address
    }

    pub(super) fn life(&self) -> Weak<Life> {
        Arc::downgrade(&self.life)
    }

    pub(super) fn id(&self) -> u64 {
        self.life.id
    }

    pub(super) fn run(&self) -> RunId {
        self.life.run
    }

    pub(super) fn is_dead(&self) -> bool {
        self.life.dead.load(Ordering::Acquire)
    }

    pub(super) fn nonsense(&self, step: &str) -> Failure {
        Failure::nonsense(&self.life.address, step)
    }

    /// Sends one command.
    pub(super) async fn command(&mut self, command: &Cmd) -> Result<Value, Failure> {
        if self.asking {
            let (mut replies, _) = Box::pin(self.together(vec![command.clone()], &[])).await?;
            return self.refusal(replies.pop().unwrap_or_default());
        }
        let waiting = Waiting::begin(&self.life);
        let reply = self.inner.send_packed_command(command).await;
        waiting.end(&reply);
        self.judge(reply.and_then(Value::extract_error))
    }

    /// Sends one command that only reads, and with it, once in a while, the question whether the
    /// server is still who it was.
    ///
    /// If this is dropped meanwhile, the question is asked again when the next one is due: whoever
    /// dropped it has no answer to be wrong about.
    pub(super) async fn read(&mut self, command: Cmd) -> Result<Value, Failure> {
        if !self.life.proof.is_due() {
            return self.command(&command).await;
        }
        let question = if self.life.proof.trusts_restarts() { hello() } else { info() };
        // Asked after the read, so that the answer holds for it.
        let (replies, _) = self.together(vec![command, question], &[]).await?;
        let mut replies = replies.into_iter();
        let (reply, answer) =
            (replies.next().unwrap_or_default(), replies.next().unwrap_or_default());
        // Before the reply: a replica without its primary answers reads with errors for good.
        self.prove(answer).inspect_err(|_| self.life.end())?;
        self.refusal(reply)
    }

    fn prove(&self, answer: Value) -> Result<(), Failure> {
        let address = &self.life.address;
        let answer = self.refusal(answer)?;
        let (replica, run) = if self.life.proof.trusts_restarts() {
            (Hello::read(&answer).map(|hello| hello.replica), self.run())
        } else {
            let info = from_redis_value::<String>(answer).ok().and_then(|info| Info::read(&info));
            (info.as_ref().map(|info| info.replica), info.map_or(self.run(), |info| info.run))
        };
        match replica {
            None => Err(self.nonsense("INFO server")),
            Some(true) => Err(Failure::replica(address)),
            Some(false) if run != self.run() => Err(Failure::new(
                StoreErrorKind::Unavailable,
                format!("Redis at {address} holds other data than when it was connected to"),
            )),
            Some(false) => Ok(()),
        }
    }

    /// Calls a script, by its source if the server has forgotten it.
    pub(super) async fn call(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        if self.asking {
            let (_, mut replies) = self.together(Vec::new(), std::slice::from_ref(call)).await?;
            return Ok(replies.pop().unwrap_or_default());
        }
        let command = call.by_digest(&self.life.digests);
        let waiting = Waiting::begin(&self.life);
        let reply = self.inner.send_packed_command(&command).await;
        waiting.end(&reply);
        let reply = self.judge(reply)?;
        self.settle(call, reply).await
    }

    /// Sends commands and then calls scripts in one round trip, and answers what the commands
    /// replied, errors included, and what the scripts did.
    pub(super) async fn together(
        &mut self,
        commands: Vec<Cmd>,
        calls: &[Call<'_>],
    ) -> Result<(Vec<Value>, Vec<Value>), Failure> {
        let mut pipeline = Pipeline::with_capacity(commands.len() + calls.len());
        let first = commands.len();
        let calls_by_digest = calls.iter().map(|call| call.by_digest(&self.life.digests));
        for command in commands.into_iter().chain(calls_by_digest) {
            if self.asking {
                pipeline.cmd("ASKING");
            }
            pipeline.add_command(command);
        }
        let count = pipeline.len();
        let waiting = Waiting::begin(&self.life);
        let replies = self.inner.send_packed_commands(&pipeline, 0, count).await;
        waiting.end(&replies);
        let mut replies = self.judge(replies)?;
        if replies.len() != count {
            return Err(self.nonsense("a pipeline"));
        }
        if self.asking {
            let mut is_answer = true;
            replies.retain(|_| {
                is_answer = !is_answer;
                is_answer
            });
        }
        let scripts = replies.split_off(first);
        let mut settled = Vec::with_capacity(scripts.len());
        for (call, reply) in calls.iter().zip(scripts) {
            settled.push(self.settle(call, reply).await?);
        }
        Ok((replies, settled))
    }

    /// The server's own error in `reply`, as a failure.
    pub(super) fn refusal(&self, reply: Value) -> Result<Value, Failure> {
        self.judge(reply.extract_error())
    }

    /// Takes a script's reply, or calls it again if the server did not know it, in which case it
    /// has done nothing.
    async fn settle(&mut self, call: &Call<'_>, reply: Value) -> Result<Value, Failure> {
        let forgotten = matches!(
            &reply,
            Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript)
        );
        if forgotten { self.command(&call.by_source()).await } else { self.refusal(reply) }
    }

    /// Retires the connection if this error says that another one would do better.
    fn judge<T>(&self, reply: Result<T, RedisError>) -> Result<T, Failure> {
        reply.map_err(|error| {
            let demoted = matches!(
                error.kind(),
                ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
            );
            if demoted || error.is_timeout() || error.is_unrecoverable_error() {
                self.life.end();
            }
            Failure::of(&self.life.address, &error)
        })
    }
}

/// Since when commands wait on a connection without a reply to any.
#[derive(Debug)]
pub(super) struct Silence {
    began: Instant,
    /// Microseconds since `began`, and 1; 0 while nothing is known to wait.
    since: AtomicU64,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, since: AtomicU64::new(0) }
    }

    /// A command is sent.
    fn sent(&self, now: Instant) {
        if self.since.load(Ordering::Relaxed) == 0 {
            self.since.store(self.at(now), Ordering::Relaxed);
        }
    }

    /// A reply has come. What is sent from now on is waited for from then.
    fn broken(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Whether it has lasted too long.
    fn is_long(&self, now: Instant) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        since != 0 && u128::from(self.at(now).saturating_sub(since)) >= SILENCE.as_micros()
    }

    fn at(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.began).as_micros()).unwrap_or(u64::MAX - 1) + 1
    }
}

/// One command that waits for its reply. Dropped before, it was given up.
struct Waiting<'a>(Option<&'a Life>);

impl<'a> Waiting<'a> {
    fn begin(life: &'a Life) -> Self {
        life.silence.sent(Instant::now());
        Self(Some(life))
    }

    fn end<T>(mut self, reply: &Result<T, RedisError>) {
        if let Some(life) = self.0.take()
            && reply.is_ok()
        {
            life.silence.broken();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(life) = self.0 {
            life.give_up();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_begins_with_what_is_sent_and_ends_with_any_reply() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let silence = Silence::new(began);
        assert!(!silence.is_long(at(10_000)), "nobody has asked anything");
        silence.sent(at(10_000));
        silence.sent(at(10_200));
        assert!(!silence.is_long(at(10_249)));
        assert!(silence.is_long(at(10_250)), "counted from the first command");
        silence.broken();
        assert!(!silence.is_long(at(10_250)));
        silence.sent(at(10_251));
        assert!(!silence.is_long(at(10_500)));
    }
}
