//! What each page shows.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, OriginalUri, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;

use super::live::Live;
use super::templates::{
    Confirm, Frame, Index, KeyList, KeyPage, LiveParts, ProblemPage, ReceiptPage,
};
use crate::admin::order::{FIELDS, Order};
use crate::admin::parameters::Parameters;
use crate::admin::problem::Problem;
use crate::admin::router::{Admin, Pairs, Shared, name, pairs};
use crate::admin::{AdminUser, audit, guard, keys, lookup, receipt, routes, stats};

/// What a page is made for: where it is, and for whom.
struct Visit {
    frame: Frame,
    user: String,
    host: Option<HeaderValue>,
}

type Posted = Result<Form<Vec<(String, String)>>, FormRejection>;

pub(in crate::admin) fn router() -> Router<Arc<Admin>> {
    Router::new()
        .route("/", get(index))
        // The way back: where a router is mounted without a slash at the end, `./` is not it.
        .route("/overview", get(index))
        .route("/live", get(live))
        .route("/key", get(key))
        .route("/keys", get(list))
        .route("/invalidate", get(confirm).post(invalidate))
}

async fn index(State(admin): Shared, visit: Visit) -> Response {
    let live = Live::of(&stats::stats(&admin).await);
    let configuration = routes::routes(&admin.access);
    visit.show(StatusCode::OK, |frame| Index { frame, live, configuration })
}

/// The part of the first page that changes by itself, for its script.
async fn live(State(admin): Shared) -> Result<Response, Problem> {
    let live = Live::of(&stats::stats(&admin).await);
    let html = LiveParts { live }.render().map_err(|_| unrendered())?;
    Ok(Json(json!({ "html": html })).into_response())
}

async fn key(State(admin): Shared, visit: Visit, query: Pairs) -> Response {
    let looked = async {
        let parameters = Parameters::new(pairs(query)?, &lookup::PARAMETERS, &lookup::REPEATED)?;
        lookup::look_up(&admin.access, &parameters, visit.host.clone()).await
    };
    match looked.await {
        Ok(found) => {
            if found.body.is_some() {
                audit::shown(&visit.user, found.tenant.as_deref(), &found.key);
            }
            visit.show(StatusCode::OK, |frame| KeyPage { frame, found })
        }
        Err(problem) => visit.problem(problem),
    }
}

async fn list(State(admin): Shared, visit: Visit, query: Pairs) -> Response {
    let listed = async {
        let parameters = Parameters::new(pairs(query)?, &keys::PARAMETERS, &[])?;
        keys::list(&admin.access, &parameters).await
    };
    match listed.await {
        Ok(keys) => visit.show(StatusCode::OK, |frame| KeyList { frame, keys }),
        Err(problem) => visit.problem(problem),
    }
}

/// Says what would be done, and asks.
async fn confirm(State(admin): Shared, visit: Visit, query: Pairs) -> Response {
    let planned = (|| {
        let form = Parameters::new(pairs(query)?, &FIELDS, &[])?;
        let order = Order::of_form(&form)?;
        let (part, plan) = order.plan(&admin.access)?;
        let (scopes, action) = (plan.scopes(&part), order.action());
        Ok((form, order, scopes, action))
    })();
    let (form, order, scopes, action) = match planned {
        Ok(planned) => planned,
        Err(problem) => return visit.problem(problem),
    };
    let (token, cookie) = guard::token();
    let fields = FIELDS.iter().filter(|name| **name != "token");
    let fields = fields.filter_map(|name| Some((*name, form.get(name)?.to_owned()))).collect();
    let tenant = admin.access.confined_to().or(order.tenant.clone());
    let (what, soft, deletes) = (order.words(), order.soft, action == "delete-pattern");
    let mut response = visit.show(StatusCode::OK, |frame| Confirm {
        frame,
        what,
        tenant,
        scopes,
        soft,
        deletes,
        fields,
        token,
    });
    response.headers_mut().append(SET_COOKIE, cookie);
    response
}

async fn invalidate(
    State(admin): Shared,
    visit: Visit,
    headers: HeaderMap,
    form: Posted,
) -> Response {
    let order = || {
        let Form(pairs) =
            form.map_err(|error| Problem::new(error.status(), "bad-form", error.body_text()))?;
        let form = Parameters::new(pairs, &FIELDS, &[])?;
        guard::check_token(&headers, form.get("token"))?;
        Order::of_form(&form)
    };
    let order = match order() {
        Ok(order) => order,
        Err(problem) => {
            audit::refused(&visit.user, "invalidate", &problem);
            return visit.problem(problem);
        }
    };
    match receipt::carry_out(&admin, visit.user.clone(), order).await {
        Ok(receipt) => {
            let status = if receipt.confirmed { StatusCode::OK } else { StatusCode::ACCEPTED };
            visit.show(status, |frame| ReceiptPage { frame, receipt })
        }
        Err(problem) => visit.problem(problem),
    }
}

impl Visit {
    fn show<T: Template>(self, status: StatusCode, page: impl FnOnce(Frame) -> T) -> Response {
        let policy = guard::page_policy(&self.frame.nonce);
        match page(self.frame).render() {
            Ok(html) => (status, [(CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response(),
            Err(_) => unrendered().into_response(),
        }
    }

    fn problem(self, problem: Problem) -> Response {
        self.show(problem.status, |frame| ProblemPage { frame, problem })
    }
}

impl axum::extract::FromRequestParts<Arc<Admin>> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        admin: &Arc<Admin>,
    ) -> Result<Self, Self::Rejection> {
        let original = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
        let frame = Frame {
            base: base(original, &parts.uri),
            nonce: guard::token().0,
            tenant: admin.access.confined_to(),
        };
        let user = parts.extensions.get::<AdminUser>().cloned().map(Extension);
        let host = lookup::host_of(&parts.headers, &parts.uri);
        Ok(Self { frame, user: name(user.as_ref()), host })
    }
}

/// What links begin with, relative to the page: where it is mounted may be known to a proxy alone.
fn base(original: &Uri, inner: &Uri) -> String {
    let path = original.path();
    if inner.path() != "/" || path.ends_with('/') {
        return "./".to_owned();
    }
    // Mounted at `/admin` without a slash at the end, what is below is `admin/…` from there.
    format!("./{}/", path.rsplit('/').next().unwrap_or_default())
}

fn unrendered() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "page", "the page could not be made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_on_from_where_the_page_is() {
        for (original, inner, expected) in [
            ("/admin", "/", "./admin/"),
            ("/a/b%20c", "/", "./b%20c/"),
            ("/admin/", "/", "./"),
            ("/", "/", "./"),
            ("/admin/key", "/key", "./"),
            ("/key", "/key", "./"),
        ] {
            let uri = |text: &str| text.parse::<Uri>().unwrap();
            assert_eq!(base(&uri(original), &uri(inner)), expected, "{original}");
        }
    }
}
