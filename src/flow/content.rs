//! A read whose content is part of its key: read first, then admitted.
//!
//! It comes before every flight, lease and look-up, so a client who sends slowly holds nothing but
//! itself.

use std::sync::Arc;

use http::header::RANGE;
use http::{HeaderMap, Method, Request};

use super::admit::{Passed, bypass};
use super::origin::{Answer, Handler, Origin};
use super::read::{Read, read};
use super::shared::Shared;
use crate::policy::{CachedRoute, ReadMethod};
use crate::protocol::{Glance, RequestBypass};
use crate::replay::{Limits, Replayer, Unread};
use crate::telemetry::Bypass;

/// A read whose names lack the content of the request.
pub(crate) struct Contentless(Box<Read>);

impl Contentless {
    pub(super) fn new(read: Read) -> Self {
        Self(Box::new(read))
    }

    /// The read, still without its content.
    pub(crate) fn into_read(self) -> Read {
        *self.0
    }

    pub(super) fn route(&self) -> &CachedRoute {
        &self.0.route
    }
}

/// Reads the request's content, and answers the read.
///
/// # Dropping
///
/// As [`read`]; before the content has come, nothing has begun.
pub(crate) async fn read_content<S, B>(
    shared: Arc<Shared>,
    Contentless(mut admitted): Contentless,
    replayer: Option<Arc<Replayer<B>>>,
    origin: Origin<S, B>,
) -> Answer<S, B>
where
    S: Handler<B>,
    B: Send + 'static,
{
    let Some(replayer) = replayer else {
        return bypass(shared, Passed::by(Bypass::BodyType, &admitted.route), origin).await;
    };
    let limits = Limits {
        most: admitted.route.max_request_body.unwrap_or(shared.settings.max_request_body),
        time: shared.settings.request_body_timeout,
    };
    let (service, request, mark) = origin.into_parts();
    let (parts, body) = request.into_parts();
    let (body, content) = replayer.read(body, limits).await;
    let origin = Origin::new(service, Request::from_parts(parts, body), mark);
    match content {
        Ok(content) => {
            admitted.extend_variant(&content.variant());
            read(shared, admitted, None, origin).await
        }
        Err(why) => {
            let why = match why {
                Unread::TooLarge => Bypass::RequestTooLarge,
                Unread::TooSlow => Bypass::RequestTooSlow,
                Unread::Broken => Bypass::RequestBroken,
            };
            bypass(shared, Passed::by(why, &admitted.route), origin).await
        }
    }
}

/// Why a request on this route goes past the cache, or why a miss of it is answered alone.
pub(super) fn bypass_on(
    route: &CachedRoute,
    method: &Method,
    fields: &Glance<'_>,
    wishes: Option<&HeaderMap>,
) -> Result<Option<RequestBypass>, Bypass> {
    match route.method {
        ReadMethod::Get => Ok(fields.bypass(method)),
        // RFC 10008, sections 2.6 and 2.8: conditions and ranges mean what they mean for GET.
        ReadMethod::Query => Ok(fields.bypass_beside_content(method)),
        ReadMethod::Post => match wishes {
            None => Ok(fields.bypass_beside_content(method)),
            // RFC 9110, section 14.2: no range is defined for POST. Section 13.2.1: conditions are
            // for the handler, who knows what the POST selects.
            Some(wishes) if wishes.contains_key(RANGE) => Err(Bypass::Range),
            Some(_) => Err(Bypass::Precondition),
        },
    }
}

#[cfg(all(test, feature = "axum"))]
mod tests;
