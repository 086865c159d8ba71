//! What is told to somebody who does not get what was asked for: what is wrong, and what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::flow::Uninspected;
use crate::store::{StoreError, StoreErrorKind};
use crate::tenant::InvalidateError;

/// A status, a short name for programs, and sentences for people.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) name: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    /// A request that can't be understood.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", message)
    }

    /// One that is about another tenant than the router's.
    pub(super) fn confined() -> Self {
        let message = "this router is for one tenant, and the request is about more than that";
        Self::new(StatusCode::FORBIDDEN, "confined", message)
    }

    pub(super) fn no_such_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no-such-page", "there is nothing here")
    }

    pub(super) fn of_store(error: &StoreError) -> Self {
        let source = std::error::Error::source(error).map(ToString::to_string);
        match (error.kind(), source) {
            (StoreErrorKind::Refused, Some(why)) => {
                Self::new(StatusCode::BAD_REQUEST, "refused", format!("{error}: {why}"))
            }
            _ => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store-away",
                format!(
                    "{error}. Requests are answered past the cache meanwhile. See to the store, and \
                     ask again."
                ),
            ),
        }
    }

    pub(super) fn of_invalidation(error: &InvalidateError) -> Self {
        match error {
            InvalidateError::Scope(error) => {
                let source = std::error::Error::source(error);
                let why = source.map(|why| format!(": {why}")).unwrap_or_default();
                let message = format!("{error}{why}");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unknown-scope", message)
            }
            InvalidateError::Glob(error) => Self::bad(format!("the pattern is malformed: {error}")),
            InvalidateError::Store(error) => Self::of_store(error),
        }
    }

    pub(super) fn of_lookup(why: &Uninspected) -> Self {
        let unprocessable =
            |name, message: String| Self::new(StatusCode::UNPROCESSABLE_ENTITY, name, message);
        match why {
            Uninspected::NoRoute => Self::new(
                StatusCode::NOT_FOUND,
                "no-route",
                "no cached route has this method and path: compare it with the list of routes",
            ),
            Uninspected::OtherTenancy(route) if route.tenantless => unprocessable(
                "tenantless",
                format!("{} belongs to no tenant: look it up without one", route.name),
            ),
            Uninspected::OtherTenancy(route) => {
                unprocessable("tenant", format!("{} is kept by tenant: name one", route.name))
            }
            Uninspected::Content(route) => unprocessable(
                "content",
                format!(
                    "the keys of {} {} hold the request's content: find the entry in the list of \
                     keys",
                    route.method, route.name
                ),
            ),
            Uninspected::Bypass(route, why) => unprocessable(
                "bypass",
                format!(
                    "such a request for {} goes past the cache ({}): add the headers that the key \
                     needs, or find the entry in the list of keys",
                    route.name,
                    why.as_str()
                ),
            ),
            Uninspected::Unreadable(route) => unprocessable(
                "unreadable",
                format!(
                    "the key of {} holds what only real requests have: find the entry in the list \
                     of keys",
                    route.name
                ),
            ),
            Uninspected::Store(error) => Self::of_store(error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.name, "message": self.message });
        (self.status, Json(body)).into_response()
    }
}
