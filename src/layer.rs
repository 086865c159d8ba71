//! The layer: what an app adds to its router.

use std::sync::Arc;

use tower_layer::Layer;

use crate::cache::Cache;
use crate::service::CacheService;

/// A [`Layer`] that caches the responses of the service it wraps, by the routes and rules of one
/// [`Cache`].
///
/// Made by [`Cache::layer`]. Cloning it is cheap, and every clone shares the cache.
///
/// Put it *inside* authentication, so that the tenant is one that the request has proved, and
/// outside whatever makes the response expensive.
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheLayer {
    cache: Cache,
    prefix: Option<Arc<str>>,
}

impl CacheLayer {
    pub(crate) fn new(cache: Cache) -> Self {
        Self { cache, prefix: None }
    }

    /// Says that what reaches the layer has lost this much of its path: `/v1` where a router that
    /// strips it stands before.
    ///
    /// axum's `nest` keeps the original URI, which is used of itself; a prefix given here takes
    /// precedence over it.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = Some(prefix.trim_end_matches('/').into());
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CacheService::new(inner, self.cache.clone(), self.prefix.clone())
    }
}
