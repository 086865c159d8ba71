//! A mutating request, and its invalidation whatever becomes of the client.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower_service::Service;

use super::invalidation::invalidate;
use super::origin::Origin;
use super::status;
use crate::body::ResponseBody;
use crate::cache::Shared;
use crate::key::ScopeNames;
use crate::policy::Effect;
use crate::protocol::Fwd;
use crate::store::Mode;

/// An admitted write: what it moves, by how.
pub(crate) struct Write {
    pub(crate) moves: Vec<Move>,
}

/// The scopes of one tenant that move together.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) scopes: ScopeNames,
    pub(crate) effect: Effect,
}

impl Write {
    pub(crate) fn new() -> Self {
        Self { moves: Vec::new() }
    }

    /// Adds scopes; those of one tenant and one effect go to the store together.
    pub(crate) fn push(&mut self, scopes: ScopeNames, effect: &Effect) {
        if scopes.is_empty() {
            return;
        }
        let same = self
            .moves
            .iter_mut()
            .find(|known| known.effect == *effect && known.scopes.space() == scopes.space());
        match same {
            Some(known) => known.scopes.merge(scopes),
            None => self.moves.push(Move { scopes, effect: effect.clone() }),
        }
    }
}

/// Runs a mutating handler and invalidates what it may have changed.
pub(crate) async fn write<S, B, R>(
    shared: Arc<Shared>,
    write: Write,
    origin: Origin<S, B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    // From the first poll of the handler on the write may happen, whatever we get to see of it.
    let mut guard = Guard { shared, moves: write.moves };
    let answer = origin.run().await;
    let outcome = Outcome::of(answer.as_ref().map(Response::status).ok());
    guard.settle(outcome).await;
    let mut response = answer?.map(ResponseBody::pass);
    status::forwarded(&guard.shared, response.headers_mut(), Fwd::Method, None);
    Ok(response)
}

/// What is known of a write once its handler has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It has happened, or may have.
    Done,
    /// The handler refused the request.
    Refused,
}

impl Outcome {
    fn of(status: Option<StatusCode>) -> Self {
        match status {
            Some(status) if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                Self::Refused
            }
            // An error, a 5xx and a time-out leave open whether the commit came first.
            _ => Self::Done,
        }
    }
}

/// Invalidates when it is dropped: a client that leaves, or a panic, drops the handler's future
/// at any point, also after the commit.
struct Guard {
    shared: Arc<Shared>,
    moves: Vec<Move>,
}

impl Guard {
    /// Invalidates what the outcome asks for, and waits for that as far as the rules say.
    async fn settle(&mut self, outcome: Outcome) {
        let moves = std::mem::take(&mut self.moves);
        let due = moves
            .into_iter()
            .filter(|known| outcome == Outcome::Done || known.effect.on_client_error);
        let (background, foreground): (Vec<_>, Vec<_>) =
            due.partition(|known| known.effect.background);
        self.start(background);
        // On a task of its own: the client may leave while this waits.
        if let Some(task) = self.start(foreground) {
            let _ = task.await;
        }
    }

    fn start(&self, moves: Vec<Move>) -> Option<tokio::task::JoinHandle<()>> {
        if moves.is_empty() {
            return None;
        }
        let shared = Arc::clone(&self.shared);
        Some(self.shared.work.spawn(async move {
            for known in moves {
                // A failure is noted, and goes on being tried, where it occurs.
                let _ = invalidate(&shared, &known.scopes, Mode::Hard).await;
            }
        }))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let moves = std::mem::take(&mut self.moves);
        if tokio::runtime::Handle::try_current().is_ok() {
            self.start(moves);
        } else if !moves.is_empty() {
            tracing::error!("a mutating request was dropped outside the runtime: not invalidated");
        }
    }
}
