//! Which responses are not stored, and why.
//!
//! This is the default attitude: the application's routes say what is cached, so a response needs
//! no permission of its own (RFC 9111 3 would ask for one), but may always refuse.

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, SET_COOKIE, TRAILER};
use http::{HeaderMap, StatusCode};

use super::vary::{self, Vary};
use super::{CacheControl, list};

/// Why a response is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Uncacheable {
    /// It turned the connection into another protocol (101, RFC 9110 15.2.2).
    Upgrade,
    /// It is a part of the whole (206 or `Content-Range`, RFC 9110 14.4, 15.3.7).
    Partial,
    /// Its status is none that the route stores, or answers the condition of one request (304, 412,
    /// 416).
    Status,
    /// `no-store` (RFC 9111 5.2.2.5), whatever `must-understand` says beside it.
    NoStore,
    /// `private` (RFC 9111 5.2.2.7), be it for some fields only.
    Private,
    /// `no-cache` (RFC 9111 5.2.2.4), be it for some fields only.
    NoCache,
    /// It sets a cookie (RFC 9111 7.3).
    SetCookie,
    /// `Vary: *` (RFC 9111 4.1).
    VaryStar,
    /// It varies by more request fields than may be (RFC 9111 4.1).
    VaryLimit,
    /// It is in more groups than may be, or in one with too long a name (RFC 9875 2).
    TooManyGroups,
    /// A stream of events that never ends by itself.
    EventStream,
    /// It has trailers, or announces them (RFC 9110 6.5); they are not stored.
    Trailers,
    /// It is stale from the beginning (RFC 9111 4.2).
    Expired,
    /// `Content-Length` is no length, or not that of the body (RFC 9112 6.3, 8).
    Length,
    /// Its body is over the limit.
    TooLarge,
    /// Its header fields are over the limit.
    HeadTooLarge,
    /// All that is read ahead of slow clients is over the limit, so that it was not read to its end.
    ReadAhead,
    /// It answers a method whose answers are not stored (RFC 9111 3).
    Method,
    /// The request had `no-store` (RFC 9111 5.2.1.5).
    RequestNoStore,
    /// The request had `Authorization`, and the response allows no other to see it (RFC 9111 3.5).
    Authorization,
    /// Neither its fields nor its status allow storing (RFC 9111 3).
    Unpermitted,
    /// It is to be stored only by who understands its status (`must-understand`, RFC 9111 5.2.2.3).
    NotUnderstood,
}

impl Uncacheable {
    /// Whether it is for what the request said, or for what others were doing at the time, so that it
    /// tells nothing of other requests' answers.
    #[must_use]
    pub fn is_of_request(self) -> bool {
        matches!(self, Self::RequestNoStore | Self::Authorization | Self::Method | Self::ReadAhead)
    }

    /// A short name, as used in `Cache-Status` and for the labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Partial => "partial",
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::NoCache => "no-cache",
            Self::SetCookie => "set-cookie",
            Self::VaryStar => "vary-star",
            Self::VaryLimit => "vary-limit",
            Self::TooManyGroups => "too-many-groups",
            Self::EventStream => "event-stream",
            Self::Trailers => "trailers",
            Self::Expired => "expired",
            Self::Length => "length",
            Self::TooLarge => "too-large",
            Self::HeadTooLarge => "head-too-large",
            Self::ReadAhead => "read-ahead",
            Self::Method => "method",
            Self::RequestNoStore => "request-no-store",
            Self::Authorization => "authorization",
            Self::Unpermitted => "unpermitted",
            Self::NotUnderstood => "not-understood",
        }
    }
}

/// What a route stores.
#[derive(Clone, Copy, Debug)]
pub struct StorableRules<'a> {
    /// The statuses that are stored.
    pub statuses: &'a [StatusCode],
    /// The longest body that is stored, in bytes.
    pub max_body: u64,
    /// Whether `private` does not matter: the key holds whose response it is.
    pub private: bool,
    /// Whether `Set-Cookie` does not matter: it is not stored with the rest.
    pub set_cookie: bool,
}

/// Why the response with this head is not to be stored, if its head can tell already.
///
/// `cache_control` is that of `headers`. A zero [`lifetime`](super::lifetime) is for the caller to
/// take for [`Uncacheable::Expired`]; only an explicit one is found here.
#[must_use]
pub fn response_refusal(
    status: StatusCode,
    headers: &HeaderMap,
    cache_control: &CacheControl,
    rules: &StorableRules<'_>,
) -> Option<Uncacheable> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Some(Uncacheable::Upgrade);
    }
    // RFC 9110 14.4: on another status than 206 the field has no meaning. Nobody sends it there
    // without mistaking something, so the body may be a part all the same.
    if status == StatusCode::PARTIAL_CONTENT || headers.contains_key(CONTENT_RANGE) {
        return Some(Uncacheable::Partial);
    }
    // RFC 9110 13.1, 14.2: these answer what one request asked of its own copy, not the resource.
    if matches!(
        status,
        StatusCode::NOT_MODIFIED
            | StatusCode::PRECONDITION_FAILED
            | StatusCode::RANGE_NOT_SATISFIABLE
    ) {
        return Some(Uncacheable::Status);
    }
    if !rules.statuses.contains(&status) {
        return Some(Uncacheable::Status);
    }
    if cache_control.no_store {
        return Some(Uncacheable::NoStore);
    }
    if cache_control.private.is_some() && !rules.private {
        return Some(Uncacheable::Private);
    }
    if cache_control.no_cache.is_some() {
        return Some(Uncacheable::NoCache);
    }
    if headers.contains_key(SET_COOKIE) && !rules.set_cookie {
        return Some(Uncacheable::SetCookie);
    }
    if vary::selecting(headers) == Vary::Star {
        return Some(Uncacheable::VaryStar);
    }
    let expired = cache_control.shared_max_age() == Some(0);
    content_refusal(headers, rules.max_body).or(expired.then_some(Uncacheable::Expired))
}

/// Why the content that this head announces is none to be stored, whoever allows it.
pub(super) fn content_refusal(headers: &HeaderMap, max_body: u64) -> Option<Uncacheable> {
    if is_event_stream(headers) {
        return Some(Uncacheable::EventStream);
    }
    if headers.contains_key(TRAILER) {
        return Some(Uncacheable::Trailers);
    }
    match content_length(headers) {
        Err(Invalid) => Some(Uncacheable::Length),
        Ok(Some(length)) if length > max_body => Some(Uncacheable::TooLarge),
        Ok(_) => None,
    }
}

/// How many bytes these fields take: each its name, its value, and 4 for what stands between them in
/// HTTP/1.1.
#[must_use]
pub fn head_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Why a body that has ended is not to be stored: `length` bytes, with or without `trailers`,
/// under this head, at most `max_body` bytes.
///
/// Not for an answer to HEAD, whose `Content-Length` is that of a body it does not have.
#[must_use]
pub fn body_refusal(
    headers: &HeaderMap,
    length: u64,
    trailers: bool,
    max_body: u64,
) -> Option<Uncacheable> {
    if trailers {
        return Some(Uncacheable::Trailers);
    }
    match content_length(headers) {
        Err(Invalid) => return Some(Uncacheable::Length),
        // RFC 9111 3.3: an incomplete response is not stored as a complete one.
        Ok(Some(announced)) if announced != length => return Some(Uncacheable::Length),
        Ok(_) => {}
    }
    (length > max_body).then_some(Uncacheable::TooLarge)
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_TYPE).iter().any(|value| {
        let media_type = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
        list::trim(media_type).eq_ignore_ascii_case(b"text/event-stream")
    })
}

struct Invalid;

/// RFC 9110 8.6: several values are one if they are the same, and invalid otherwise.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Invalid> {
    if !headers.contains_key(CONTENT_LENGTH) {
        return Ok(None);
    }
    let mut members = list::members(headers, &CONTENT_LENGTH);
    let first = members.next().and_then(list::digits).ok_or(Invalid)?;
    let same = members.all(|member| list::digits(member) == Some(first));
    if same { Ok(Some(first)) } else { Err(Invalid) }
}

#[cfg(test)]
mod tests;
