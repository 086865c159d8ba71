//! Which path is answered by what.

use std::sync::Arc;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};

use super::access::Access;
use super::order::Order;
use super::parameters::Parameters;
use super::problem::Problem;
use super::samples::Samples;
use super::{AdminUser, audit, guard, keys, lookup, page, receipt, routes, stats};

/// The largest content of a request, in bytes: more than any order takes.
const MOST_CONTENT: usize = 64 << 10;

/// What every handler can reach.
pub(super) struct Admin {
    pub(super) access: Access,
    pub(super) samples: Samples,
}

pub(super) type Shared = State<Arc<Admin>>;

pub(super) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

pub(super) fn router(access: Access) -> Router {
    let api = Router::new()
        .route("/stats", get(show_stats))
        .route("/routes", get(show_routes))
        .route("/keys", get(list_keys))
        .route("/key", get(look_up))
        .route("/invalidate", post(invalidate))
        .route("/delete", post(delete));
    Router::new()
        .nest("/v1", api)
        .merge(page::router())
        // Without one the app's own would answer, and what the app puts around this router, such as
        // its authentication, would not be asked.
        .fallback(async || Problem::no_such_page())
        .layer(DefaultBodyLimit::max(MOST_CONTENT))
        .layer(from_fn(guard::guard))
        .with_state(Arc::new(Admin { access, samples: Samples::default() }))
}

/// The pairs of a query, as far as it is one.
pub(super) fn pairs(query: Pairs) -> Result<Vec<(String, String)>, Problem> {
    query.map(|Query(pairs)| pairs).map_err(|error| Problem::bad(error.body_text()))
}

async fn show_stats(State(admin): Shared, query: Pairs) -> Result<Response, Problem> {
    Parameters::new(pairs(query)?, &[], &[])?;
    Ok(Json(stats::stats(&admin).await).into_response())
}

async fn show_routes(State(admin): Shared, query: Pairs) -> Result<Response, Problem> {
    Parameters::new(pairs(query)?, &[], &[])?;
    Ok(Json(routes::routes(&admin.access)).into_response())
}

async fn list_keys(State(admin): Shared, query: Pairs) -> Result<Response, Problem> {
    let parameters = Parameters::new(pairs(query)?, &keys::PARAMETERS, &[])?;
    Ok(Json(keys::list(&admin.access, &parameters).await?).into_response())
}

async fn look_up(
    State(admin): Shared,
    user: Option<Extension<AdminUser>>,
    headers: HeaderMap,
    uri: Uri,
    query: Pairs,
) -> Result<Response, Problem> {
    let parameters = Parameters::new(pairs(query)?, &lookup::PARAMETERS, &lookup::REPEATED)?;
    let host = lookup::host_of(&headers, &uri);
    let found = lookup::look_up(&admin.access, &parameters, host).await?;
    if found.body.is_some() {
        audit::shown(&name(user.as_ref()), found.tenant.as_deref(), &found.key);
    }
    Ok(Json(found).into_response())
}

async fn invalidate(
    State(admin): Shared,
    user: Option<Extension<AdminUser>>,
    headers: HeaderMap,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Problem> {
    change(&admin, name(user.as_ref()), &headers, body, false).await
}

async fn delete(
    State(admin): Shared,
    user: Option<Extension<AdminUser>>,
    headers: HeaderMap,
    body: Result<Json<Order>, JsonRejection>,
) -> Result<Response, Problem> {
    change(&admin, name(user.as_ref()), &headers, body, true).await
}

async fn change(
    admin: &Arc<Admin>,
    user: String,
    headers: &HeaderMap,
    body: Result<Json<Order>, JsonRejection>,
    deletes: bool,
) -> Result<Response, Problem> {
    let order = || {
        guard::check_json(headers)?;
        let Json(order) =
            body.map_err(|error| Problem::new(error.status(), "bad-body", error.body_text()))?;
        if order.glob.is_some() != deletes {
            let message = "`glob` is for `delete`, which takes nothing else; all others are for \
                           `invalidate`";
            return Err(Problem::bad(message));
        }
        Ok(order)
    };
    let action = if deletes { "delete-pattern" } else { "invalidate" };
    let order = order().inspect_err(|problem| audit::refused(&user, action, problem))?;
    let receipt = receipt::carry_out(admin, user, order).await?;
    let status = if receipt.confirmed { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(receipt)).into_response())
}

pub(super) fn name(user: Option<&Extension<AdminUser>>) -> String {
    user.map_or_else(|| "unknown".to_owned(), |Extension(AdminUser(name))| name.clone())
}
