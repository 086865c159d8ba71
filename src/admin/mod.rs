//! A router for operators, and one for the administrators of a single tenant: a JSON API, and a page
//! for people.
//!
//! Nothing is mounted by itself, and nothing here knows who is asking: the app mounts the router
//! behind its own authentication.
//!
//! | file | what |
//! |---|---|
//! | `router` | which path is answered by what |
//! | `guard` | what is refused before anything is done, and what every response says |
//! | `access` | whose keys a router reaches |
//! | `order`, `receipt`, `audit` | an invalidation: what is asked for, what came of it, who did it |
//! | `lookup`, `keys`, `routes`, `stats`, `tenants` | what can be read |
//! | `samples`, `chart` | the last minutes, as numbers and as SVG |
//! | `page` | all of it for people |

mod access;
mod audit;
mod chart;
mod guard;
mod keys;
mod lookup;
mod moment;
mod order;
mod page;
mod parameters;
mod problem;
mod receipt;
mod router;
mod routes;
mod samples;
mod stats;
mod tenants;

use axum::Router;

use self::access::Access;
use crate::{Cache, TenantCache};

/// Who is asking, for the log: put into the request's extensions by the app's authentication.
///
/// What is changed through an admin router is told to `tracing` with this as the field `user`, and with
/// `unknown` where it is missing. It gives no rights and takes none.
///
/// ```
/// use axum::extract::Request;
/// use axum::middleware::Next;
/// use axum::response::Response;
/// use tower_response_cache::AdminUser;
///
/// async fn authenticate(mut request: Request, next: Next) -> Response {
///     // … who it is has been proved …
///     request.extensions_mut().insert(AdminUser("ada".to_owned()));
///     next.run(request).await
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminUser(pub String);

impl Cache {
    /// The router for operators, who may look at and invalidate the entries of every tenant.
    ///
    /// Whoever reaches it has all of these rights: mount it behind the app's own authentication. Its
    /// JSON API is under `/v1`, its page for people at the root; `docs/ADMIN.md` has both.
    ///
    /// From the first of them on requests are counted by tenant, unless
    /// [`CacheBuilder::count_tenants`](crate::CacheBuilder::count_tenants) says otherwise.
    ///
    /// ```
    /// # use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response};
    /// # use tower_response_cache::{Cache, MemoryStore, Route, Tenant};
    /// # async fn operators_only(request: Request, next: Next) -> Response { next.run(request).await }
    /// # fn example(cache: Cache, app: Router) -> Router {
    /// app.layer(cache.layer())
    ///     .nest("/admin", cache.admin_router().layer(from_fn(operators_only)))
    /// # }
    /// ```
    pub fn admin_router(&self) -> Router {
        let shared = self.shared();
        if shared.settings.count_tenants.unwrap_or(true) {
            shared.tenants.begin();
        }
        router::router(Access::Operator(self.clone()))
    }
}

impl TenantCache {
    /// The router for the administrators of this tenant: what
    /// [`Cache::admin_router`] has, of this tenant alone.
    ///
    /// It reaches no entry of another tenant, whatever a request says, and shows nothing that is
    /// counted for all of them together. Routes and rules are the app's, and are shown. Mount it
    /// behind the app's own authentication, one for each tenant, or made on request:
    ///
    /// ```
    /// use axum::extract::{Request, State};
    /// use axum::response::{IntoResponse, Response};
    /// use tower::ServiceExt;
    /// use tower_response_cache::Cache;
    ///
    /// // For `Router::nest_service("/admin", …)`, say, once the tenant has been proved.
    /// async fn own_admin(cache: Cache, tenant: &str, request: Request) -> Response {
    ///     match cache.tenant(tenant) {
    ///         Ok(own) => own.admin_router().oneshot(request).await.into_response(),
    ///         Err(error) => error.to_string().into_response(),
    ///     }
    /// }
    /// ```
    pub fn admin_router(&self) -> Router {
        router::router(Access::Tenant(self.clone()))
    }
}
