//! A run that nobody can share stays with its client, as if there were no cache.

use std::sync::Arc;

use http::Response;
use http_body::Body;
use tokio::time::{Instant, sleep_until};

use super::capacity::{self, Turn};
use super::collect::{Broken, collect};
use super::flights::Lead;
use super::origin::{Answer, Handler, Origin};
use super::pipe::pipe;
use super::plan::Plan;
use super::read::{Read, shed};
use super::shared::Shared;
use super::status;
use crate::body::ResponseBody;
use crate::protocol::Uncacheable;
use crate::telemetry::{Bound, Bypass};

/// Runs the handler for one request, whose response is not stored. `lead`, if there is one, keeps
/// those who ask meanwhile together for the run after it.
///
/// # Dropping
///
/// Ends the run, and lets the next one begin.
pub(crate) async fn solo<S, B>(
    shared: Arc<Shared>,
    read: Box<Read>,
    origin: Origin<S, B>,
    why: Bypass,
    lead: Option<Lead>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    let Turn::Run(place) = capacity::turn(&shared).await else {
        lead.into_iter().for_each(Lead::shed);
        return Ok(shed(&shared, &read));
    };
    shared.telemetry.ran();
    let Some(lead) = lead else {
        let answer = origin.run_for(&shared, &read.route).await;
        let answer = answer.inspect_err(|_| status::erred(&shared, &read.route));
        let mut response = answer?.map(ResponseBody::pass);
        status::forwarded(&shared, &read, response.headers_mut(), Some(why.as_str()));
        return Ok(response);
    };
    let (asked, asked_at) = (origin.headers().clone(), shared.store.now());
    let deadline = Instant::now() + shared.settings.run_deadline;
    let mut lead = Some(lead);
    let answer = {
        let call = origin.run_for(&shared, &read.route);
        tokio::pin!(call);
        tokio::select! {
            biased;
            answer = &mut call => answer,
            () = sleep_until(deadline) => {
                // Whoever waits does not wait for this, nor for one like it.
                leave_alone(&shared, &read);
                lead = None;
                call.await
            }
        }
    };
    let is_awaited = lead.as_ref().is_some_and(Lead::is_awaited);
    let response = answer.inspect_err(|_| {
        status::erred(&shared, &read.route);
        if is_awaited {
            leave_alone(&shared, &read);
        }
    })?;
    let (mut parts, body) = response.into_parts();
    let hint = body.size_hint();
    if is_awaited && Plan::new(&shared, &read, &parts, &hint, (&asked, asked_at)).is_err() {
        leave_alone(&shared, &read);
    }
    status::forwarded(&shared, &read, &mut parts.headers, Some(why.as_str()));
    let body = match lead {
        // The handler is at work as long as its body comes, however slowly its client reads it.
        Some(lead) if hint.exact().is_none() && !body.is_end_stream() => {
            let (writer, reader) = pipe(hint, &shared.read_ahead);
            let held = writer.hold();
            let most = read.route.max_body.unwrap_or(shared.settings.max_body);
            let body = Box::pin(body);
            let work = shared.work.clone();
            work.spawn(async move {
                let collected = collect(body, writer, most, deadline).await;
                if let Err(Broken::Uncacheable(Uncacheable::ReadAhead)) = collected {
                    shared.telemetry.over(Bound::ReadAhead);
                }
                drop((lead, place, held));
            });
            ResponseBody::piped(reader)
        }
        _ => ResponseBody::pass(body),
    };
    Ok(Response::from_parts(parts, body))
}

fn leave_alone(shared: &Shared, read: &Read) {
    shared.remember_uncacheable(&read.names);
}
