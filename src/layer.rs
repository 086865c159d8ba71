//! The layer: what an app adds to its router.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Body;
use tower_layer::Layer;

use crate::cache::Cache;
use crate::replay::{ReplayBody, Replayers};
use crate::service::{CacheService, Setup};

/// A [`Layer`] that caches the responses of the service it wraps, by the routes and rules of one
/// [`Cache`].
///
/// Made by [`Cache::layer`]. Cloning it is cheap, and every clone shares the cache.
///
/// Put it *inside* authentication, so that the tenant is one that the request has proved, and
/// outside whatever makes the response expensive.
///
/// ```
/// use std::convert::Infallible;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, service_fn};
/// use tower_response_cache::{Cache, MemoryStore, Route};
///
/// let cache = Cache::builder(MemoryStore::new())
///     .route(Route::get("/news").tenantless())
///     .build()?;
/// let service = ServiceBuilder::new()
///     .layer(cache.layer())
///     .service(service_fn(async |_: Request<Full<bytes::Bytes>>| {
///         Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::from("news")))
///     }));
/// # fn serves<S: tower::Service<Request<Full<bytes::Bytes>>>>(_: S) {}
/// # serves(service);
/// # Ok::<(), tower_response_cache::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheLayer {
    setup: Arc<Setup>,
}

impl CacheLayer {
    pub(crate) fn new(cache: Cache) -> Self {
        let setup = Setup { cache, prefix: None, replayers: Replayers::default() };
        Self { setup: Arc::new(setup) }
    }

    /// Says that what reaches the layer has lost this much of its path: `/v1` where a router that
    /// strips it stands before.
    ///
    /// axum's `nest` keeps the original URI, which is used of itself; a prefix given here takes
    /// precedence over it.
    pub fn prefix(mut self, prefix: &str) -> Self {
        let prefix = prefix.trim_end_matches('/').into();
        Arc::make_mut(&mut self.setup).prefix = Some(prefix);
        self
    }

    /// Says how a request body of this type is made of what the cache has read of it, for routes of
    /// [QUERY](crate::Route::query_method) and [POST](crate::Route::post): their content is part of
    /// the key, and the handler is to get it all the same.
    ///
    /// With the feature `axum` the layer knows axum's own body. Requests whose body is of another
    /// type go past the cache on such routes (`detail=body-type`). A type that can't be made of
    /// another body, as hyper's `Incoming`, is boxed before it comes to the layer:
    ///
    /// ```
    /// # use std::convert::Infallible;
    /// # use bytes::Bytes;
    /// # use http::{Request, Response};
    /// # use http_body_util::Full;
    /// # use tower::{ServiceBuilder, service_fn};
    /// # use tower_response_cache::{Cache, MemoryStore, Route};
    /// use http_body_util::combinators::UnsyncBoxBody;
    /// use hyper::body::Incoming;
    ///
    /// type Body = UnsyncBoxBody<Bytes, hyper::Error>;
    ///
    /// # let cache = Cache::builder(MemoryStore::new())
    /// #     .route(Route::query_method("/search").tenantless().same_for_all_users())
    /// #     .build()?;
    /// # let handler = service_fn(async |_: Request<Body>| {
    /// #     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    /// # });
    /// let service = ServiceBuilder::new()
    ///     .map_request(|request: Request<Incoming>| request.map(Body::new))
    ///     .layer(cache.layer().replay(Body::new))
    ///     .service(handler);
    /// # fn serves<S: tower::Service<Request<Incoming>>>(_: S) {}
    /// # serves(service);
    /// # Ok::<(), tower_response_cache::ConfigError>(())
    /// ```
    pub fn replay<B>(mut self, make: impl Fn(ReplayBody<B>) -> B + Send + Sync + 'static) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Send,
    {
        Arc::make_mut(&mut self.setup).replayers.add(make);
        self
    }
}

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CacheService::new(inner, Arc::clone(&self.setup))
    }
}
