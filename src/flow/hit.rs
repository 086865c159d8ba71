//! An entry becomes a response.

use bytes::Bytes;
use http::header::{AGE, CONTENT_LENGTH};
use http::{HeaderValue, Response, StatusCode};
use http_body::Body;

use super::shared::Shared;
use crate::body::ResponseBody;
use crate::entry::{Content, Entry};
use crate::protocol::{CacheStatus, Outcome, age};

/// How the client came by an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// From the store, fresh.
    Hit,
    /// From the store, stale, while a refresh runs.
    Stale,
    /// From the run of another request.
    Collapsed,
}

/// The response that `entry` stands for, to a GET, or to a HEAD if `head`.
pub(crate) fn respond<R: Body<Data = Bytes>>(
    shared: &Shared,
    entry: Entry,
    head: bool,
    served: Served,
) -> Response<ResponseBody<R>> {
    let now = shared.store.now();
    let counter = match served {
        Served::Hit => &shared.counters.hits,
        Served::Stale => &shared.counters.stale,
        Served::Collapsed => &shared.counters.collapsed,
    };
    counter.increment();
    let length = entry.body.len() as u64;
    let mut response = Response::new(if head {
        ResponseBody::head(length)
    } else {
        ResponseBody::whole(entry.body)
    });
    if let Content::Response { status, headers } = entry.content {
        *response.status_mut() = status;
        *response.headers_mut() = headers;
    }
    // RFC 9110, section 8.6: what has no content by its status has no length either.
    let has_length = response.status() != StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if head && has_length && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    // RFC 9111, section 5.1: whatever is not straight from the origin says how old it is.
    headers.insert(AGE, HeaderValue::from(age(entry.stored_at, entry.age, now)));
    if let Some(name) = &shared.settings.cache_status {
        let left = i64::try_from(entry.head.fresh_until).unwrap_or(i64::MAX)
            - i64::try_from(now).unwrap_or(i64::MAX);
        let ttl = left.div_euclid(1000);
        // Also in the very millisecond in which it became stale (RFC 9211, section 2.4).
        let ttl = Some(if served == Served::Stale { ttl.min(-1) } else { ttl });
        let outcome = match served {
            Served::Hit | Served::Stale => Outcome::Hit { ttl },
            Served::Collapsed => super::status::collapsed(ttl),
        };
        CacheStatus { cache: name, outcome, detail: None }.append(headers);
    }
    response
}
