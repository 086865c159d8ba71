//! The declaration of a cached route.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, StatusCode};

use super::Identity;

/// A route whose responses are cached, declared in app code.
///
/// The path is a template as axum writes it, and counts from the root, whatever routers are nested
/// in between. A request on it is answered from the cache if one was stored before under the same
/// *key*: by default the path and all of the query. HEAD is answered from what GET stored. Routes
/// of other methods than GET have the request's content in the key too.
///
/// ```
/// use std::time::Duration;
/// use tower_response_cache::Route;
///
/// let users = Route::get("/users").ttl(Duration::from_secs(300)).query(["role", "status"]);
/// let stats = Route::get("/users/{id}/stats").query(["period"]).ttl_with(|request| {
///     match request.uri.query() {
///         Some("period=week") => Duration::from_secs(1800),
///         _ => Duration::from_secs(3600),
///     }
/// });
/// ```
///
/// # What does not compile
///
/// A route for a method whose responses can't be cached, and a TTL without a unit:
///
/// ```compile_fail,E0599
/// let route = tower_response_cache::Route::put("/users/{id}");
/// ```
///
/// ```compile_fail,E0308
/// let route = tower_response_cache::Route::get("/users").ttl(300);
/// ```
#[derive(Clone)]
#[must_use]
#[allow(clippy::struct_excessive_bools, reason = "each is another matter")]
pub struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) ttl_with: Option<TtlWith>,
    pub(crate) statuses: Vec<(StatusCode, Duration)>,
    pub(crate) jitter: Option<u8>,
    pub(crate) key: Option<String>,
    pub(crate) query: Option<Vec<String>>,
    pub(crate) no_vary_search: bool,
    pub(crate) headers: Vec<String>,
    pub(crate) users: Option<Users>,
    pub(crate) tenantless: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) max_body: Option<usize>,
    pub(crate) max_request_body: Option<usize>,
    pub(crate) allow_longer: bool,
    pub(crate) etag: Etag,
    pub(crate) own_writes: OwnWrites,
    pub(crate) uncached: bool,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) revalidate: Option<Duration>,
    pub(crate) early_refresh: Option<f64>,
    pub(crate) refusals: Refusals,
}

/// A TTL that depends on the request.
pub(crate) type TtlWith = Arc<dyn Fn(&Parts) -> Duration + Send + Sync>;

/// Whether a request with an unsafe method on the route's own path invalidates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnWrites {
    Invalidate,
    Ignore,
}

/// Where the validator of a stored response comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Etag {
    AsGiven,
    OfBody,
}

/// Who may be answered with what was stored for somebody else.
#[derive(Clone, Debug)]
pub(crate) enum Users {
    Same,
    Per(Identity),
}

/// Which of the things that keep a response from being stored, or a request from being looked up,
/// the app has said do not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is another matter")]
pub(crate) struct Refusals {
    pub(crate) without_set_cookie: bool,
    pub(crate) store_private: bool,
    pub(crate) ignore_cookies: bool,
    pub(crate) ignore_authorization: bool,
}

impl Route {
    /// The route that answers GET, and HEAD with it, on `path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::method(Method::GET, path)
    }

    /// The route that answers QUERY (RFC 10008) on `path`: a read that says in its content what it
    /// asks for.
    ///
    /// The key holds a digest of the content, with its `Content-Type` and `Content-Encoding`
    /// (section 2.7). The content is compared byte for byte: two spellings of one query are two
    /// queries. It is read up to [`max_request_body`](Self::max_request_body), and the handler
    /// gets it unchanged; for other bodies than axum's, see
    /// [`CacheLayer::replay`](crate::CacheLayer::replay). Conditions and ranges are answered as for
    /// GET (sections 2.6 and 2.8).
    ///
    /// Reading the content is what answers `Expect: 100-continue`, so whatever refuses requests
    /// belongs outside the layer.
    ///
    /// ```
    /// use tower_response_cache::Route;
    ///
    /// let search = Route::query_method("/search").max_request_body(4096);
    /// ```
    pub fn query_method(path: impl Into<String>) -> Self {
        Self::method(Method::from_bytes(b"QUERY").unwrap_or_default(), path)
    }

    /// The route whose handler answers POST on `path`, and *changes nothing*: a search that does
    /// not fit into a query, a GraphQL endpoint without mutations.
    ///
    /// As with [`query_method`](Self::query_method) the content is in the key. A request on it is no
    /// write: it invalidates nothing, not even when the cache is passed by. On other paths POST is
    /// as unsafe as ever. A request with a condition or a range goes past the cache, since they
    /// are not defined for POST (RFC 9110, sections 13.2.1 and 14.2).
    ///
    /// HTTP itself would let a cache answer only GET and HEAD with the response to a POST, and that
    /// only if the response says so (RFC 9110, section 9.3.3). So a cache in the attitude of
    /// [`rfc9111`](crate::CacheBuilder::rfc9111) refuses such a route.
    ///
    /// ```
    /// use tower_response_cache::Route;
    ///
    /// let search = Route::post("/search");
    /// ```
    pub fn post(path: impl Into<String>) -> Self {
        Self::method(Method::POST, path)
    }

    /// The route that answers this method on `path`: GET, QUERY or POST, each as its own function
    /// says. One path may have a route for each of them.
    pub fn method(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            ttl: None,
            ttl_with: None,
            statuses: Vec::new(),
            jitter: None,
            key: None,
            query: None,
            no_vary_search: false,
            headers: Vec::new(),
            users: None,
            tenantless: false,
            tags: Vec::new(),
            max_body: None,
            max_request_body: None,
            allow_longer: false,
            etag: Etag::AsGiven,
            own_writes: OwnWrites::Invalidate,
            uncached: false,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            revalidate: None,
            early_refresh: None,
            refusals: Refusals::default(),
        }
    }

    /// How long a response stays fresh: 1 ms to 365 days; the cache's default, 300 s, if not set.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long a response stays fresh, by request.
    ///
    /// A zero says that the response to this request is not to be stored; more than 365 days
    /// counts as 365 days.
    pub fn ttl_with(mut self, ttl: impl Fn(&Parts) -> Duration + Send + Sync + 'static) -> Self {
        self.ttl_with = Some(Arc::new(ttl));
        self
    }

    /// Stores responses of this status too, for this long. Without it only 200 is stored. 206, 304,
    /// 412 and 416 never are, since they answer one request alone.
    ///
    /// A short one for 404 keeps look-ups of what does not exist away from the database.
    pub fn ttl_for_status(mut self, status: StatusCode, ttl: Duration) -> Self {
        self.statuses.push((status, ttl));
        self
    }

    /// Shortens each TTL by a random share of up to `percent`, at most 50, so that what was
    /// stored together does not expire together.
    pub fn jitter(mut self, percent: u8) -> Self {
        self.jitter = Some(percent);
        self
    }

    /// Builds the key from path and query parameters instead of path and query:
    /// `users:{role}:{status}`.
    ///
    /// Every path parameter must occur. A query parameter that is absent leaves its place empty;
    /// one that occurs several times gives all of its values, joined by commas. Parameters that
    /// are not named do not count.
    pub fn key(mut self, template: impl Into<String>) -> Self {
        self.key = Some(template.into());
        self
    }

    /// Keeps only these query parameters in the key: requests that differ in others are one.
    ///
    /// Name every parameter that the handler reads. If it reads none, see
    /// [`ignore_query`](Self::ignore_query).
    pub fn query<I>(mut self, parameters: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.query = Some(parameters.into_iter().map(Into::into).collect());
        self
    }

    /// Keeps nothing of the query in the key: for handlers that read none of it.
    ///
    /// ```
    /// use tower_response_cache::Route;
    ///
    /// let hours = Route::get("/operating-hours").ignore_query();
    /// ```
    pub fn ignore_query(mut self) -> Self {
        self.query = Some(Vec::new());
        self
    }

    /// Lets responses say what of the query they depend on, in `No-Vary-Search` (a draft of the HTTP
    /// working group, draft-ietf-httpbis-no-vary-search): with `params=("utm_source")` requests that
    /// differ in that parameter are one; `params, except=("id")` leaves only `id` in the key. The
    /// order of parameters never counts, unless the cache is built with
    /// [`rfc9111`](crate::CacheBuilder::rfc9111): there the response says so with `key-order`.
    ///
    /// What was said last of a path holds for its other queries, so say the same in each response of
    /// a path. A process learns it from the first response that it stores. Where you know in
    /// advance, [`query`](Self::query) is simpler.
    ///
    /// ```
    /// use tower_response_cache::Route;
    ///
    /// let article = Route::get("/articles/{id}").no_vary_search();
    /// ```
    pub fn no_vary_search(mut self) -> Self {
        self.no_vary_search = true;
        self
    }

    /// Makes a request header part of the key: requests that differ in it share nothing.
    ///
    /// Name every header that the handler reads, and that clients may choose.
    pub fn header(mut self, name: impl Into<String>) -> Self {
        self.headers.push(name.into());
        self
    }

    /// Says that the response depends on the user: the identity becomes part of the key, and a
    /// request without one is not cached.
    pub fn per_user(mut self, identity: Identity) -> Self {
        self.users = Some(Users::Per(identity));
        self
    }

    /// Says that the response is the same for every user of a tenant, so that it may be stored
    /// although the request carries Authorization or Cookie.
    pub fn same_for_all_users(mut self) -> Self {
        self.users = Some(Users::Same);
        self
    }

    /// Says that the route belongs to no tenant. Its responses are shared by all of them.
    pub fn tenantless(mut self) -> Self {
        self.tenantless = true;
        self
    }

    /// Tags what is stored, so that a write can invalidate by the tag: `hours`, or with path
    /// parameters `user:{id}`.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// The largest body that is stored, in bytes; a larger one streams on, unstored.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = Some(bytes);
        self
    }

    /// The largest content of a request that is read for its key, in bytes; a request with a larger
    /// one goes past the cache, and the handler gets all of it. The cache's
    /// ([`CacheBuilder::max_request_body`](crate::CacheBuilder::max_request_body)) if not set.
    ///
    /// For routes of QUERY and POST alone.
    pub fn max_request_body(mut self, bytes: usize) -> Self {
        self.max_request_body = Some(bytes);
        self
    }

    /// Lets the handler's `Cache-Control: max-age` lengthen the TTL; without it, only shorten.
    pub fn allow_longer(mut self) -> Self {
        self.allow_longer = true;
        self
    }

    /// For how long after its TTL, or after a [soft](crate::On::soft) invalidation, a response is
    /// served stale while one request refreshes it in the background (RFC 5861, section 3).
    ///
    /// A hard invalidation ends it at once. A response with `must-revalidate` or `proxy-revalidate`
    /// is never served stale, neither here nor on [errors](Self::stale_if_error).
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.stale_while_revalidate = window;
        self
    }

    /// For how long after its TTL a response is served stale if the handler fails: with an error
    /// or a 5xx (RFC 5861, section 4).
    pub fn stale_if_error(mut self, window: Duration) -> Self {
        self.stale_if_error = window;
        self
    }

    /// For how long after its TTL a response that has an `ETag` or a `Last-Modified` is kept, so that
    /// the handler can be asked whether it is still good (RFC 9111, section 4.3): with
    /// `If-None-Match` or `If-Modified-Since`, to which a handler that knows them answers 304.
    ///
    /// What a hard invalidation has reached is never asked about. In the
    /// [`rfc9111`](crate::CacheBuilder::rfc9111) attitude it is a day if not set; else not at all.
    pub fn revalidate(mut self, window: Duration) -> Self {
        self.revalidate = Some(window);
        self
    }

    /// Stores responses that set a cookie, without the cookie: whoever ran the handler gets it,
    /// and nobody else. Without this they are not stored.
    ///
    /// Only where the body does not depend on the cookie that is set with it.
    pub fn without_set_cookie(mut self) -> Self {
        self.refusals.without_set_cookie = true;
        self
    }

    /// Stores responses with `Cache-Control: private`, which are not stored without this. Only on a
    /// [`per_user`](Self::per_user) route, whose keys hold whose response it is.
    pub fn store_private(mut self) -> Self {
        self.refusals.store_private = true;
        self
    }

    /// Says that cookies do not change the response, so that requests that carry some are cached:
    /// for sites whose every request has the cookies of some statistics.
    ///
    /// [`same_for_all_users`](Self::same_for_all_users) says so of Authorization too.
    pub fn ignore_cookies(mut self) -> Self {
        self.refusals.ignore_cookies = true;
        self
    }

    /// Says that Authorization does not change the response, so that requests that carry it are
    /// cached. Only where everyone who passes the authentication outside the cache may see the same.
    ///
    /// [`same_for_all_users`](Self::same_for_all_users) says so of cookies too.
    pub fn ignore_authorization(mut self) -> Self {
        self.refusals.ignore_authorization = true;
        self
    }

    /// Lets a request refresh a response in the background shortly before it expires, with a
    /// chance that grows as the end comes near and with the time that the handler takes. 1 is a
    /// good `eagerness`; more is earlier.
    pub fn early_refresh(mut self, eagerness: f64) -> Self {
        self.early_refresh = Some(eagerness);
        self
    }

    /// Gives what is stored an `ETag` made of its body, where the handler gives none, so that
    /// clients who ask with `If-None-Match` are answered with 304.
    pub fn etag(mut self) -> Self {
        self.etag = Etag::OfBody;
        self
    }

    /// Says that this path is not cached although another route's template fits it: `/users/me`
    /// beside `/users/{id}`.
    ///
    /// Where the layer is inside an axum router it sees by itself which route a request took.
    pub fn uncached(mut self) -> Self {
        self.uncached = true;
        self
    }

    /// Does not invalidate the path when a request with an unsafe method has run on it (which RFC
    /// 9111, section 4.4, asks for): only rules do.
    pub fn only_rules_invalidate(mut self) -> Self {
        self.own_writes = OwnWrites::Ignore;
        self
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
