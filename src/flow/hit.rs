//! An entry becomes a response.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AGE, CACHE_STATUS, CONTENT_LENGTH, CONTENT_RANGE, DATE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;

use super::read::Read;
use super::shared::Shared;
use super::status;
use crate::body::ResponseBody;
use crate::entry::{Content, Entry, Millis, Told};
use crate::protocol::conditional::{self, Precondition};
use crate::protocol::range::{self, RangeAnswer};
use crate::protocol::{CacheStatus, HitStatus, Outcome, age, http_date};
use crate::telemetry::Answered;

/// How the client came by an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// From the store, fresh.
    Hit,
    /// From the store, stale, while a refresh runs.
    Stale,
    /// From the store, stale, since there was no room for a run.
    Shed,
    /// From the store, stale, since the handler has failed, with this status if it has answered.
    Failed(Option<StatusCode>),
    /// From the memory of this process, since the store can't be asked.
    Recalled,
    /// From the run of another request.
    Collapsed,
    /// From the store, after the handler has said that it is still good.
    Confirmed,
}

/// The response that `entry` stands for, as this request asked for it: whole, without its body, a
/// part of it, or only that it has not changed.
pub(crate) fn respond<R: Body<Data = Bytes>>(
    shared: &Shared,
    entry: Arc<Entry>,
    read: &Read,
    served: Served,
) -> Response<ResponseBody<R>> {
    respond_at(shared, entry, read, served, shared.store.now())
}

/// The same, of what was judged at this moment by the store's clock.
pub(crate) fn respond_at<R: Body<Data = Bytes>>(
    shared: &Shared,
    entry: Arc<Entry>,
    read: &Read,
    served: Served,
    now: Millis,
) -> Response<ResponseBody<R>> {
    let how = match served {
        Served::Hit => Answered::Hit,
        Served::Stale | Served::Shed | Served::Failed(_) => Answered::Stale,
        Served::Recalled => Answered::Recalled,
        Served::Collapsed => Answered::Collapsed,
        Served::Confirmed => Answered::Revalidated,
    };
    // Where the handler has run and failed there is nothing saved.
    let cost = if matches!(served, Served::Failed(_)) { 0 } else { entry.cost };
    shared.telemetry.served(&read.route.telemetry, how, cost);
    if !read.is_refresh {
        let reason = match served {
            Served::Recalled => Some("store-away"),
            Served::Shed => Some("over-capacity"),
            Served::Failed(_) => Some("handler-failed"),
            _ => None,
        };
        shared.telemetry.answered(&read.route.telemetry, how, reason);
        shared.tenants.answered(read.names.space(), how);
    }
    // RFC 9111, section 5.1: whatever is not straight from the origin says how old it is.
    let old = age(entry.stored_at, entry.age, now);
    let ttl = seconds_left(entry.head.fresh_until, now);
    // Most hits differ from the one before in nothing.
    let is_plain = served == Served::Hit && read.wishes.is_none() && !read.head;
    // What nobody else has is taken to pieces.
    let is_kept = is_plain && Arc::strong_count(&entry) > 1;
    let by = shared.hit_status.as_ref().map_or(0, HitStatus::id);
    let told = is_kept.then_some(Told { by, age: old, ttl });
    if let Some(headers) = told.and_then(|told| entry.prepared.get(told)) {
        let status = entry.content.status();
        return assemble(status, headers, ResponseBody::whole(entry.body.clone()));
    }
    let kept = told.map(|told| (Arc::clone(&entry), told));
    let date = entry.stored_at / 1000;
    let date = date.saturating_sub(entry.age.into());
    let (status, headers, body) = parts_of(entry);
    let mut response = match &read.wishes {
        None => whole(read.head, status, headers, body),
        Some(wishes) => wished(read.head, wishes, status, headers, body),
    };
    let headers = response.headers_mut();
    headers.insert(AGE, HeaderValue::from(old));
    if !headers.contains_key(DATE) {
        // RFC 9110, section 6.6.1: or a server would put in today's, and take its age off twice. Only
        // now: to those who ask for what has changed since then, it is no date of a change.
        headers.insert(DATE, http_date(date));
    }
    append_status(shared, read, served, ttl, headers);
    if let Some((entry, told)) = kept {
        shared.prepared_heads.keep(&entry, told, headers);
    }
    response
}

/// For how many whole seconds what is fresh until then is so from `now`; below 0 if it is stale.
fn seconds_left(fresh_until: Millis, now: Millis) -> i64 {
    let signed = |moment| i64::try_from(moment).unwrap_or(i64::MAX);
    (signed(fresh_until) - signed(now)).div_euclid(1000)
}

/// Appends the Cache-Status of what is served from an entry.
fn append_status(shared: &Shared, read: &Read, served: Served, ttl: i64, headers: &mut HeaderMap) {
    let Some(cache) = &shared.settings.cache_status else { return };
    // Also in the very millisecond in which it became stale (RFC 9211, section 2.4).
    let is_stale = matches!(served, Served::Stale | Served::Shed | Served::Failed(_));
    let ttl = Some(if is_stale { ttl.min(-1) } else { ttl });
    let outcome = match served {
        Served::Hit | Served::Stale | Served::Shed | Served::Recalled => Outcome::Hit { ttl },
        Served::Failed(status) => status::failed(status, ttl),
        Served::Collapsed => status::collapsed(ttl),
        Served::Confirmed => status::confirmed(read.reason, ttl),
    };
    let detail = (served == Served::Recalled).then_some("store-away");
    let value = match (&shared.hit_status, outcome, detail) {
        (Some(status), Outcome::Hit { ttl: Some(ttl) }, None) => status.to_value(ttl),
        _ => CacheStatus { cache, outcome, detail }.to_value(),
    };
    // A map that can hold no more fields is left as it is.
    let _ = headers.try_append(CACHE_STATUS, value);
}

/// What an entry holds: taken out of it if nobody else has it, copied if it is kept in this process.
fn parts_of(entry: Arc<Entry>) -> (StatusCode, HeaderMap, Bytes) {
    let entry = match Arc::try_unwrap(entry) {
        Ok(Entry { content: Content::Response { status, headers }, body, .. }) => {
            return (status, headers, body);
        }
        Ok(Entry { body, .. }) => return (StatusCode::OK, HeaderMap::new(), body),
        Err(entry) => entry,
    };
    let Content::Response { status, headers: stored } = &entry.content else {
        return (StatusCode::OK, HeaderMap::new(), entry.body.clone());
    };
    // With room for what is added to each response: a clone would have to grow.
    let mut headers = HeaderMap::with_capacity(stored.len() + Entry::ROOM);
    headers.extend(stored.iter().map(|(name, value)| (name.clone(), value.clone())));
    (*status, headers, entry.body.clone())
}

fn whole<R: Body<Data = Bytes>>(
    head: bool,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<ResponseBody<R>> {
    let length = body.len() as u64;
    // RFC 9110, section 8.6: what has no content by its status has no length either.
    if head && status != StatusCode::NO_CONTENT && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    assemble(
        status,
        headers,
        if head { ResponseBody::head(length) } else { ResponseBody::whole(body) },
    )
}

/// What the request's conditions and its range make of the whole (RFC 9110, section 13.2.2).
fn wished<R: Body<Data = Bytes>>(
    head: bool,
    wishes: &HeaderMap,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response<ResponseBody<R>> {
    let method = if head { Method::HEAD } else { Method::GET };
    let length = body.len() as u64;
    let nothing = || ResponseBody::whole(Bytes::new());
    match conditional::evaluate(&method, wishes, status, &headers) {
        Precondition::Pass => {}
        Precondition::NotModified => {
            let mut headers = conditional::not_modified_headers(&headers);
            // RFC 9110, section 8.6: if a length is told at all, it is that of the 200. Told as
            // the body's size, it would have a layer outside compress a body that is not there; not
            // told, axum would tell that of the body.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            return assemble(StatusCode::NOT_MODIFIED, headers, nothing());
        }
        Precondition::Failed => {
            return assemble(StatusCode::PRECONDITION_FAILED, HeaderMap::new(), nothing());
        }
    }
    match range::apply(&method, wishes, status, &headers, length) {
        RangeAnswer::Whole => whole(head, status, headers, body),
        RangeAnswer::Part { start, end } => {
            let part = usize::try_from(start).ok().zip(usize::try_from(end).ok());
            let Some(part) = part.and_then(|(start, end)| slice(&body, start, end)) else {
                return whole(head, status, headers, body);
            };
            // RFC 9530, section 2: of the content that is sent, and this is another.
            headers.remove("content-digest");
            headers.remove("content-md5");
            headers.insert(CONTENT_RANGE, range::content_range(start, end, length));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(part.len() as u64));
            assemble(StatusCode::PARTIAL_CONTENT, headers, ResponseBody::whole(part))
        }
        RangeAnswer::Unsatisfiable => {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, range::unsatisfied_range(length));
            assemble(StatusCode::RANGE_NOT_SATISFIABLE, headers, nothing())
        }
    }
}

fn slice(body: &Bytes, start: usize, end: usize) -> Option<Bytes> {
    (start <= end && end < body.len()).then(|| body.slice(start..=end))
}

fn assemble<R: Body<Data = Bytes>>(
    status: StatusCode,
    headers: HeaderMap,
    body: ResponseBody<R>,
) -> Response<ResponseBody<R>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
