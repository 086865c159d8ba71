//! A mutating request, and its invalidation whatever becomes of the client.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use http_body::Body;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::at_end::AtEnd;
use super::invalidation::{invalidate_by, mark_dirty};
use super::origin::{Answer, Handler, Origin};
use super::shared::Shared;
use super::status;
use super::step::{is_away, millis, step};
use crate::body::ResponseBody;
use crate::key::{ScopeNames, Space, normalize_path_lossy};
use crate::policy::{Effect, OwnWrites, When};
use crate::protocol::groups::invalidated_groups;
use crate::protocol::invalidation::also_invalid;
use crate::store::{LeaseToken, StoreError, StoreErrorKind};
use crate::telemetry::Bypass;

/// An admitted write: what it moves, by how.
pub(crate) struct Write {
    pub(crate) moves: Vec<Move>,
    pub(crate) target: Target,
    /// Why something that a rule names can't be moved: the request has no tenant.
    pub(crate) missed: Option<Bypass>,
    /// Which rules are for it.
    pub(crate) rules: Vec<usize>,
}

/// What the request was sent to, by which the response may name other paths that have changed.
pub(crate) struct Target {
    /// With the path as it was before any router stripped a part of it.
    pub(crate) uri: Uri,
    /// Its Host field.
    pub(crate) headers: HeaderMap,
    /// The tenant's, if it does not depend on the path.
    pub(crate) space: Option<Space>,
    /// Whose the routes and rules are that the request is on.
    pub(crate) own: Vec<Space>,
    pub(crate) method: Method,
}

impl Target {
    pub(crate) fn is_of(&mut self, space: &Space) {
        if !self.own.contains(space) {
            self.own.push(space.clone());
        }
    }
}

/// The scopes of one tenant that move together.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) scopes: ScopeNames,
    pub(crate) effect: Effect,
}

impl Write {
    pub(crate) fn new(target: Target) -> Self {
        Self { moves: Vec::new(), target, missed: None, rules: Vec::new() }
    }

    /// Adds scopes; those of one tenant and one effect go to the store together.
    pub(crate) fn push(&mut self, scopes: ScopeNames, effect: &Effect) {
        push(&mut self.moves, scopes, effect);
    }
}

fn push(moves: &mut Vec<Move>, scopes: ScopeNames, effect: &Effect) {
    if scopes.is_empty() {
        return;
    }
    let same = moves
        .iter_mut()
        .find(|known| known.effect == *effect && known.scopes.space() == scopes.space());
    match same {
        Some(known) => known.scopes.merge(scopes),
        None => moves.push(Move { scopes, effect: effect.clone() }),
    }
}

/// Adds the paths of cached routes that a response names in Location and Content-Location (RFC
/// 9111, section 4.4).
fn add_named(shared: &Shared, target: &Target, response: &HeaderMap, moves: &mut Vec<Move>) {
    for named in also_invalid(&target.uri, &target.headers, response) {
        let mut path = String::new();
        normalize_path_lossy(named.path(), &mut path);
        let tables = shared.rules.reads.tables();
        for found in tables.filter_map(|reads| reads.canonical.at(&path).ok()) {
            let route = &shared.rules.routes[*found.value];
            if route.own_writes == OwnWrites::Ignore {
                continue;
            }
            let tenantless = route.tenantless.then(|| shared.rules.tenantless_space());
            let Some(space) = tenantless.or_else(|| target.space.clone()) else { continue };
            let mut scopes = ScopeNames::new(&space);
            scopes.push(&format!("path:{path}"));
            push(moves, scopes, &shared.own_effect());
        }
    }
}

/// Adds the groups that a response says have changed (RFC 9875, section 3).
fn add_groups(shared: &Shared, target: &Target, response: &HeaderMap, moves: &mut Vec<Move>) {
    let groups = invalidated_groups(&target.method, response);
    if groups.is_empty() {
        return;
    }
    for space in &target.own {
        let scopes = ScopeNames::groups(space, groups.iter().map(String::as_str));
        push(moves, scopes, &shared.own_effect());
    }
}

/// Runs a mutating handler and invalidates what it may have changed.
pub(crate) async fn write<S, B>(
    shared: Arc<Shared>,
    write: Box<Write>,
    origin: Origin<S, B>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    write.rules.iter().for_each(|index| shared.rules.mutations[*index].fire());
    let outcome = Outcome::Refused;
    let mut guard =
        Guard { shared, moves: write.moves, token: None, closing: None, outcome, away: false };
    if !guard.fence().await {
        return Ok(refusal(&guard.shared, "unfenced"));
    }
    // From the first poll of the handler on the write may happen, whatever we get to see of it.
    guard.outcome = Outcome::Lost;
    let answer = origin.run().await;
    guard.outcome = Outcome::of(answer.as_ref().map(Response::status).ok());
    if let Ok(response) = &answer
        && guard.outcome == Outcome::Done
    {
        add_named(&guard.shared, &write.target, response.headers(), &mut guard.moves);
        add_groups(&guard.shared, &write.target, response.headers(), &mut guard.moves);
    }
    let at_end = AtEnd::of(&guard.shared, &guard.moves);
    if !guard.settle().await {
        return Ok(refusal(&guard.shared, "unconfirmed"));
    }
    let mut response = answer?.map(|body| ResponseBody::pass_then(body, at_end));
    let detail = write.missed.map(Bypass::as_str);
    status::written(&guard.shared, response.headers_mut(), detail);
    Ok(response)
}

fn refusal<R: Body<Data = Bytes>>(shared: &Shared, why: &str) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::whole(Bytes::from_static(
        b"the cache can't be kept consistent at the moment\n",
    )));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    status::written(shared, response.headers_mut(), Some(why));
    response
}

/// What is known of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It has happened.
    Done,
    /// The handler did not run, or refused the request.
    Refused,
    /// The handler failed; its commit may have come first.
    Failed,
    /// The handler was given up for taking too long.
    Late,
    /// The handler's future is gone, or gave an error.
    Lost,
}

impl Outcome {
    fn of(status: Option<StatusCode>) -> Self {
        match status {
            None => Self::Lost,
            Some(StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT) => Self::Late,
            // RFC 9110, section 15.6.2: the method is one that the server does not know.
            Some(StatusCode::NOT_IMPLEMENTED) => Self::Refused,
            Some(status) if status.is_client_error() => Self::Refused,
            Some(status) if status.is_server_error() => Self::Failed,
            Some(_) => Self::Done,
        }
    }

    fn invalidates(self, when: &When) -> bool {
        match self {
            Self::Done => true,
            Self::Refused => when.client_error,
            Self::Failed => when.server_error,
            Self::Late | Self::Lost => when.lost,
        }
    }

    /// Whether something of the handler may go on: a query that the database has been sent, a
    /// blocking task. Its commit can come after anything that is done now.
    fn may_still_commit(self) -> bool {
        matches!(self, Self::Late | Self::Lost)
    }
}

/// Ends the write when it is dropped: a client that leaves, or a panic, drops the handler's
/// future at any point, also after the commit.
struct Guard {
    shared: Arc<Shared>,
    moves: Vec<Move>,
    /// Set once a fence may be up.
    token: Option<LeaseToken>,
    /// The task that puts it up, while that is under way.
    closing: Option<JoinHandle<Closed>>,
    outcome: Outcome,
    /// The store has been waited for in vain: this request does not do that twice.
    away: bool,
}

impl Guard {
    /// Closes the scopes whose rules ask for it, all within the time that an invalidation may take.
    /// Answers whether the handler may run.
    async fn fence(&mut self) -> bool {
        let fenced = self
            .moves
            .iter()
            .filter(|known| known.effect.fence.is_some())
            .cloned()
            .collect::<Vec<_>>();
        if fenced.is_empty() {
            return true;
        }
        let token = LeaseToken::random();
        self.token = Some(token);
        // On a task of its own: if the client leaves now, the command may be on its way, and what
        // takes the token away could overtake it on another connection.
        let closing = self.shared.work.spawn(close(Arc::clone(&self.shared), fenced, token));
        let closed = self.closing.insert(closing).await;
        self.closing = None;
        let Ok(Closed { may_run, away }) = closed else { return false };
        self.away |= away;
        may_run
    }

    /// Ends the write as the rules say, and waits for that as far as they say. Answers whether all
    /// is confirmed that must be.
    async fn settle(&mut self) -> bool {
        let moves = std::mem::take(&mut self.moves);
        let (background, foreground): (Vec<_>, Vec<_>) =
            moves.into_iter().partition(|known| known.effect.background);
        self.start(background);
        // On a task of its own: the client may leave while this waits.
        match self.start(foreground) {
            Some(task) => task.await.unwrap_or(false),
            None => true,
        }
    }

    fn start(&mut self, moves: Vec<Move>) -> Option<JoinHandle<bool>> {
        if moves.is_empty() {
            return None;
        }
        let (shared, token, outcome) = (Arc::clone(&self.shared), self.token, self.outcome);
        let (away, closing) = (self.away, self.closing.take());
        let since = Instant::now();
        let task = async move {
            if let Some(closing) = closing {
                let _ = closing.await;
            }
            let mut confirmed = true;
            let deadline = Instant::now() + shared.settings.invalidate_timeout;
            for known in moves {
                // A failure is noted, and goes on being tried, where it occurs.
                // What must be confirmed may be waited for once more.
                let deadline = (!away || known.effect.must_confirm).then_some(deadline);
                let done = end(&shared, &known, (token, outcome), deadline, since).await.is_ok();
                confirmed &= done || !known.effect.must_confirm;
            }
            confirmed
        };
        Some(self.shared.work.spawn(task.in_current_span()))
    }
}

/// What came of putting up fences.
struct Closed {
    /// Whether all are up without which the handler must not run.
    may_run: bool,
    away: bool,
}

/// Closes scopes, all within the time that an invalidation may take.
async fn close(shared: Arc<Shared>, fenced: Vec<Move>, token: LeaseToken) -> Closed {
    let deadline = Instant::now() + shared.settings.invalidate_timeout;
    let mut closed = Closed { may_run: true, away: false };
    for Move { scopes, effect } in &fenced {
        let Some(fence) = &effect.fence else { continue };
        let scopes = &shared.signed(scopes);
        let longest = millis(fence.longest);
        let put_up =
            step(&shared, "fence", || deadline, |store| store.fence(scopes, token, longest));
        if let Err(error) = put_up.await {
            closed.away |= is_away(&error);
            shared.telemetry.unfenced();
            if fence.required {
                closed.may_run = false;
                return closed;
            }
        }
    }
    closed
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

/// Invalidates, holds or opens the scopes of one rule, which has been due since the handler's end.
/// Without a deadline the store is not tried.
async fn end(
    shared: &Arc<Shared>,
    known: &Move,
    (token, outcome): (Option<LeaseToken>, Outcome),
    deadline: Option<Instant>,
    since: Instant,
) -> Result<(), StoreError> {
    let Move { scopes, effect } = known;
    let fence = effect.fence.as_ref().and(token);
    let is_due = outcome.invalidates(&effect.when);
    let afterwards = (outcome.may_still_commit() && effect.hold_if_lost)
        .then(|| shared.settings.hold_after_lost());
    let hold = effect.hold.max(afterwards).filter(|span| is_due && !span.is_zero());
    if (fence, hold) == (None, None) && !is_due {
        return Ok(());
    }
    let Some(deadline) = deadline else {
        mark_dirty(shared, scopes, since);
        return Err(StoreErrorKind::Unavailable.into());
    };
    let signed = &shared.signed(scopes);
    let done = match (fence, hold) {
        // The fence's own token, if there is one: its deadline becomes the end of the hold.
        (fence, Some(span)) => {
            let token = fence.unwrap_or_else(LeaseToken::random);
            step(shared, "fence", || deadline, |store| store.fence(signed, token, millis(span)))
                .await
        }
        (Some(token), None) => {
            step(shared, "lift", || deadline, |store| store.lift(signed, token)).await
        }
        (None, None) => {
            let done = invalidate_by(shared, scopes, effect.mode, deadline, since);
            return done.await.map(drop);
        }
    };
    match &done {
        Ok(()) => {
            // What a fence moves isn't told.
            shared.telemetry.invalidated(0, since.elapsed());
            shared.recent.confirmed(scopes, since.elapsed());
        }
        Err(_) => {
            // A scope that is closed stays closed when it is invalidated, and one that is not
            // moves: either way nothing from before is served.
            mark_dirty(shared, scopes, since);
        }
    }
    done
}
