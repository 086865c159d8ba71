//! Who has done what, told to `tracing`.
//!
//! The names of the fields are part of the API: `user`, `tenant`, `action`, `what`, `mode`, `scopes`,
//! `moved`, `removed`, `confirmed`, `took_ms`; the target is `tower_response_cache::admin`.

use axum::http::Extensions;

use super::AdminUser;
use super::problem::Problem;
use super::receipt::Receipt;

const TARGET: &str = "tower_response_cache::admin";

/// Who is asking, as far as the app has said.
pub(super) fn user(extensions: &Extensions) -> String {
    extensions.get::<AdminUser>().map_or_else(|| "unknown".to_owned(), |user| user.0.clone())
}

/// Something was changed, or is going to be.
pub(super) fn done(user: &str, receipt: &Receipt) {
    tracing::info!(
        target: TARGET,
        user,
        tenant = receipt.tenant.as_deref().unwrap_or(""),
        action = receipt.action,
        what = receipt.what,
        mode = receipt.mode,
        scopes = receipt.scopes.join(" "),
        moved = receipt.moved,
        removed = receipt.removed,
        confirmed = receipt.confirmed,
        took_ms = receipt.took_ms,
        "the cache was changed by hand"
    );
}

/// Somebody has asked for what is stored itself.
pub(super) fn shown(user: &str, tenant: Option<&str>, key: &str) {
    tracing::info!(
        target: TARGET,
        user,
        tenant = tenant.unwrap_or(""),
        action = "read-body",
        what = key,
        "a stored body was shown"
    );
}

/// A change was refused.
pub(super) fn refused(user: &str, action: &str, problem: &Problem) {
    tracing::warn!(
        target: TARGET,
        user,
        action,
        error = problem.name,
        message = problem.message,
        "a change of the cache by hand was refused"
    );
}
