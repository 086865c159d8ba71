//! One connection, shared by whoever has a clone of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{Cmd, ErrorKind, Pipeline, RedisError, ServerErrorKind, Value};

use super::failure::Failure;
use super::script::{Call, Digests};
use crate::entry::RunId;

/// A connection that any number of tasks use at once, each through a clone.
///
/// Commands are answered in their order, and the answer to one whose future was dropped is dropped
/// too: no future that is abandoned can misalign the rest.
#[derive(Clone, Debug)]
pub(super) struct Link {
    inner: MultiplexedConnection,
    life: Arc<Life>,
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
}

impl Life {
    /// Lets the pool replace the connection.
    pub(super) fn end(&self) {
        self.dead.store(true, Ordering::Release);
    }
}

impl Link {
    pub(super) fn new(inner: MultiplexedConnection, life: Life) -> Self {
        Self { inner, life: Arc::new(life) }
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
        let reply = self.inner.send_packed_command(command).await;
        self.judge(reply.and_then(Value::extract_error))
    }

    /// Calls a script, by its source if the server has forgotten it.
    pub(super) async fn call(&mut self, call: &Call<'_>) -> Result<Value, Failure> {
        let command = call.by_digest(&self.life.digests);
        let reply = self.inner.send_packed_command(&command).await;
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
        for command in commands {
            pipeline.add_command(command);
        }
        for call in calls {
            pipeline.add_command(call.by_digest(&self.life.digests));
        }
        let count = pipeline.len();
        let replies = self.inner.send_packed_commands(&pipeline, 0, count).await;
        let mut replies = self.judge(replies)?;
        if replies.len() != count {
            return Err(self.nonsense("a pipeline"));
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
            let demoted = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
            if demoted || error.is_timeout() || error.is_unrecoverable_error() {
                self.life.end();
            }
            Failure::of(&self.life.address, &error)
        })
    }
}
