//! The declaration of what a write invalidates.

use std::time::Duration;

use http::Method;

use super::effect::{Effect, Fence};
use super::target::{Target, target_methods};
use crate::store::Mode;

/// A mutating route, and what it invalidates.
///
/// The invalidation runs when the handler has answered 2xx or 3xx, and also when nobody can tell
/// whether it has written: 408, 5xx, an error, a panic, a client that left. Other 4xx do not count.
/// The response is sent once the invalidation is confirmed.
///
/// A request that should have a tenant, and has no valid one, runs all the same, and invalidates
/// nothing but what [`all_tenants`](Self::all_tenants) names: refuse it before it gets to the
/// handler, if the handler would change something.
///
/// `{parameters}` are taken from this route's own path, in canonical spelling: whatever characters
/// they hold, they match only themselves.
///
/// ```
/// use tower_response_cache::On;
///
/// let change = On::put("/users/{id}").subtree("/users/{id}").path("/users");
/// let hours = On::put("/operating-hours").tag("hours");
/// ```
///
/// # What does not compile
///
/// A rule for a method that changes nothing:
///
/// ```compile_fail,E0599
/// let rule = tower_response_cache::On::get("/users").path("/users");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct On {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) tenantless: bool,
    pub(crate) effect: Effect,
}

impl On {
    /// Requests with this method on the path template `path`.
    pub fn method(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            targets: Vec::new(),
            tenantless: false,
            effect: Effect::default(),
        }
    }

    /// Requests with POST.
    pub fn post(path: impl Into<String>) -> Self {
        Self::method(Method::POST, path)
    }

    /// Requests with PUT.
    pub fn put(path: impl Into<String>) -> Self {
        Self::method(Method::PUT, path)
    }

    /// Requests with PATCH.
    pub fn patch(path: impl Into<String>) -> Self {
        Self::method(Method::PATCH, path)
    }

    /// Requests with DELETE.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::method(Method::DELETE, path)
    }

    target_methods!();

    /// Says that the mutating route belongs to no tenant, and so do the routes it invalidates.
    pub fn tenantless(mut self) -> Self {
        self.tenantless = true;
        self
    }

    /// Whether a 4xx other than 408 invalidates: not, unless this says so.
    pub fn on_client_error(mut self, invalidates: bool) -> Self {
        self.effect.when.client_error = invalidates;
        self
    }

    /// Whether a 5xx invalidates: it does, unless this says no. Say no only if the handler is known
    /// to have rolled back then. 408 and 504 say that nobody knows: see [`on_lost`](Self::on_lost).
    pub fn on_server_error(mut self, invalidates: bool) -> Self {
        self.effect.when.server_error = invalidates;
        self
    }

    /// Whether a handler of which nothing is known invalidates: one that failed with an error of
    /// the service, panicked, was given up (408, 504), or whose client left. It does, unless this
    /// says no.
    pub fn on_lost(mut self, invalidates: bool) -> Self {
        self.effect.when.lost = invalidates;
        self
    }

    /// Sends the response at once and invalidates in the background: a reader that has seen the
    /// response may still be answered from before the write.
    pub fn in_background(mut self) -> Self {
        self.effect.background = true;
        self
    }

    /// Invalidates softly: what is reached is stale from then on, and is served within the route's
    /// [stale window](crate::Route::stale_while_revalidate) while one refresh runs.
    ///
    /// A write on the path of a cached route itself is a hard invalidation of that path, whatever
    /// its rules say, unless the route is [`only_rules_invalidate`](crate::Route::only_rules_invalidate).
    pub fn soft(mut self) -> Self {
        self.effect.mode = Mode::Soft;
        self
    }

    /// Keeps the targets closed for this long after the write: reads run and nothing is stored.
    ///
    /// For apps whose handlers read from database replicas that lag behind by less than this.
    pub fn hold(mut self, span: Duration) -> Self {
        self.effect.hold = Some(span);
        self
    }

    /// Closes the targets before the handler runs, and opens them with new generations after it.
    ///
    /// With a fence, a process that is killed between its commit and the invalidation leaves
    /// nothing stale: the targets stay closed until `longest` has passed, and what was stored
    /// before is never valid again. The handler must have committed within `longest`. If the store
    /// can't be reached the handler runs all the same, and is counted as unfenced.
    ///
    /// What it does not cover: a crash *and* the loss of the fence's own record in the store (a
    /// flush, an old snapshot, two evictions) at once.
    pub fn fence(mut self, longest: Duration) -> Self {
        self.effect.fence = Some(Fence { longest, required: false });
        self
    }

    /// As [`fence`](Self::fence), but if the store can't be reached the request is answered with
    /// 503 and the handler does not run.
    pub fn fence_or_refuse(mut self, longest: Duration) -> Self {
        self.effect.fence = Some(Fence { longest, required: true });
        self
    }

    /// Invalidates once more when the response's body has ended, before the client sees its end: for
    /// handlers that go on writing while they stream their answer. A body that is dropped before
    /// its end counts as ended.
    pub fn after_body(mut self) -> Self {
        self.effect.after_body = true;
        self
    }

    /// Answers with 503 if the store has not confirmed the invalidation in time. The write has
    /// happened then; the invalidation is tried on.
    pub fn must_confirm(mut self) -> Self {
        self.effect.must_confirm = true;
        self
    }
}
