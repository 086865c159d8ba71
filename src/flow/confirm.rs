//! The handler has said that what is stored is still good: it answers, and is stored anew.

use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, SizeHint};
use tokio::time::Instant;

use super::fill;
use super::freshen;
use super::hit::{self, Served};
use super::lookup::Held;
use super::origin::Handler;
use super::plan::Plan;
use super::read::Read;
use super::run::{Reply, Run, give_up, leave_alone};
use super::shared::Shared;
use super::status;
use super::step::{after, step};
use crate::body::ResponseBody;
use crate::entry::{Content, Entry, Millis};

/// Answers with what is stored, which the handler has said is still good, and stores it anew.
pub(super) async fn confirm<S: Handler<B>, B>(
    shared: &Arc<Shared>,
    read: &Read,
    mut run: Run,
    held: &Held,
    not_modified: &Parts,
    (asked, started): ((&HeaderMap, Millis), Instant),
    reply: Reply<S, B>,
) {
    let Some((parts, body)) = freshen::confirmed(held, not_modified) else {
        leave_alone(shared, read, &mut run);
        tracing::warn!(route = %read.route.name, "the handler answered 304 for another response");
        let _ = reply.send(Ok(mistaken(shared, read)));
        // Asked about it again the handler would say the same, to one client after the other.
        return discard(shared, read, held).await;
    };
    let hint = SizeHint::with_exact(body.len() as u64);
    let planned = Plan::new(shared, read, &parts, &hint, asked);
    let planned = planned.and_then(|plan| {
        let entry = plan.entry(read, &parts, vec![body.clone()], started.elapsed())?;
        Ok((plan, entry))
    });
    match planned {
        Ok((plan, entry)) => {
            let response = hit::respond(shared, Arc::new(entry.clone()), read, Served::Confirmed);
            let _ = reply.send(Ok(response));
            fill::finish(shared, read, run.into_parts(), plan, entry).await;
        }
        Err(why) => {
            give_up(shared, read, &mut run, why);
            let mut entry = Entry::clone(&held.entry);
            entry.content = Content::Response { status: parts.status, headers: parts.headers };
            let _ = reply.send(Ok(hit::respond(shared, Arc::new(entry), read, Served::Confirmed)));
            // What may not be stored any more must not be found any more.
            discard(shared, read, held).await;
        }
    }
}

/// Has the store forget what is held.
async fn discard(shared: &Shared, read: &Read, held: &Held) {
    let deadline = after(shared.settings.fill_timeout);
    let discard =
        step(shared, "discard", deadline, |store| store.discard(&read.names, &held.frame));
    let _ = discard.await;
}

/// What a client gets where the handler says that something has not changed which is not what it
/// was asked about.
fn mistaken<R: Body<Data = Bytes>>(shared: &Shared, read: &Read) -> Response<ResponseBody<R>> {
    let mut response = Response::new(ResponseBody::whole(Bytes::new()));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    status::forwarded(shared, read, response.headers_mut(), Some("not-modified"));
    response
}
