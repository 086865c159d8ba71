//! The declaration of what a write invalidates.

use http::Method;

use super::effect::Effect;
use super::target::{Target, target_methods};

/// A mutating route, and what it invalidates.
///
/// The invalidation runs when the handler has answered 2xx or 3xx, and also when nobody can tell
/// whether it has written: 408, 5xx, an error, a panic, a client that left. Other 4xx do not count.
/// The response is sent once the invalidation is confirmed.
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

    /// Invalidates after a 4xx too.
    pub fn on_client_error(mut self) -> Self {
        self.effect.on_client_error = true;
        self
    }

    /// Sends the response at once and invalidates in the background: a reader that has seen the
    /// response may still be answered from before the write.
    pub fn in_background(mut self) -> Self {
        self.effect.background = true;
        self
    }
}
