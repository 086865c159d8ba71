//! What a client is told when there is no answer.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A status and a sentence, sent as `{"error": "…"}`.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: message.into() }
    }

    pub(crate) fn no_such_user() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: "this gym has no such user".to_owned() }
    }

    pub(crate) fn no_such_route() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: "there is no such route".to_owned() }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        tracing::error!(%error, "database");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: "the database failed".to_owned(),
        }
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), message: rejection.body_text() }
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self { status: rejection.status(), message: rejection.body_text() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // An error is never worth keeping: the user that is missing now may be created in a moment,
        // by a write that has no way to know who asked for it before.
        let headers = [(header::CACHE_CONTROL, "no-store")];
        (self.status, headers, Json(json!({ "error": self.message }))).into_response()
    }
}
