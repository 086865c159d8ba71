//! Named sets of targets, to be invalidated from code.

use super::target::{Target, target_methods};

/// Several targets under one name, for code that invalidates without a request.
///
/// ```
/// use tower_response_cache::InvalidationSet;
///
/// let user = InvalidationSet::named("user")
///     .subtree("/users/{id}")
///     .path("/users")
///     .or_all();
/// ```
///
/// [`TenantCache::invalidate_set`](crate::TenantCache::invalidate_set) then invalidates it for one
/// value of `{id}`, and, because of [`or_all`](Self::or_all),
/// [`invalidate_set_for_all`](crate::TenantCache::invalidate_set_for_all) for every value at once.
#[derive(Clone, Debug)]
#[must_use]
pub struct InvalidationSet {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) or_all: bool,
}

impl InvalidationSet {
    /// An empty set with this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), targets: Vec::new(), or_all: false }
    }

    target_methods!();

    /// Lets the set be invalidated for all values of its parameters at once.
    ///
    /// What the set reaches carries one stamp more for each target with parameters.
    pub fn or_all(mut self) -> Self {
        self.or_all = true;
        self
    }
}
