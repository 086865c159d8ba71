//! The builder: declarations and settings in, a cache or the first mistake out.

mod limits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, Method};

use crate::cache::Cache;
use crate::flow::{Attitude, Settings};
use crate::policy::{
    ConfigError, Declarations, Identity, InvalidationSet, On, Route, Scope, TARGET_FIELDS, Tenant,
    Users, compile,
};
use crate::store::Store;

/// Builds a [`Cache`]: routes, rules, where tenants are read from, and limits.
///
/// Nothing is checked before [`build`](Self::build), and everything is checked there, but for what
/// does not compile.
///
/// # What does not compile
///
/// A layer before the cache is built:
///
/// ```compile_fail,E0599
/// use tower_response_cache::{Cache, MemoryStore, Route};
///
/// let layer = Cache::builder(MemoryStore::new()).route(Route::get("/users")).layer();
/// ```
///
/// A declaration whose result is thrown away, which would be missing in the cache:
///
/// ```compile_fail,E0382
/// use tower_response_cache::{Cache, MemoryStore, Route};
///
/// let builder = Cache::builder(MemoryStore::new());
/// builder.route(Route::get("/users"));
/// let cache = builder.build();
/// ```
///
/// A rule in the place of a route, or a user's identity in that of a tenant:
///
/// ```compile_fail,E0308
/// use tower_response_cache::{Cache, MemoryStore, On};
///
/// let builder = Cache::builder(MemoryStore::new()).route(On::put("/users").path("/users"));
/// ```
///
/// ```compile_fail,E0308
/// use tower_response_cache::{Cache, Identity, MemoryStore};
///
/// let builder = Cache::builder(MemoryStore::new()).tenant(Identity::header("x-user-id"));
/// ```
///
/// A URL in the place of a store:
///
/// ```compile_fail,E0277
/// use tower_response_cache::Cache;
///
/// let builder = Cache::builder("redis://127.0.0.1");
/// ```
#[must_use = "a builder does nothing until `build` is called"]
pub struct CacheBuilder {
    store: Arc<dyn Store>,
    declarations: Declarations,
    settings: Settings,
    targeted: Vec<String>,
    unstored: Option<Vec<String>>,
    keyed: Option<Vec<String>>,
    removed: Vec<String>,
}

impl CacheBuilder {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let declarations = Declarations {
            namespace: "cache".to_owned(),
            ttl: Duration::from_secs(300),
            ..Declarations::default()
        };
        let settings = Settings::default();
        Self {
            store,
            declarations,
            settings,
            targeted: Vec::new(),
            unstored: None,
            keyed: None,
            removed: Vec::new(),
        }
    }

    /// The prefix of everything that this application stores: 1 to 64 of the letters
    /// `A-Z a-z 0-9 - _ .`; `cache` if not set.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.declarations.namespace = namespace.into();
        self
    }

    /// Where a request's tenant is read from.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.declarations.tenant = Some(tenant);
        self
    }

    /// Answers a request on a cached route that has no valid tenant with 400, instead of passing
    /// it by the cache.
    pub fn refuse_without_tenant(mut self) -> Self {
        self.settings.refuse_without_tenant = true;
        self
    }

    /// Says for all routes that do not say otherwise that the response is the same for every user
    /// of a tenant ([`Route::same_for_all_users`]).
    pub fn same_for_all_users(mut self) -> Self {
        self.declarations.users = Some(Users::Same);
        self
    }

    /// Says for all routes that do not say otherwise that the response depends on the user
    /// ([`Route::per_user`]).
    pub fn per_user(mut self, identity: Identity) -> Self {
        self.declarations.users = Some(Users::Per(identity));
        self
    }

    /// The TTL of routes that do not set one: 300 s if not set here either.
    pub fn default_ttl(mut self, ttl: Duration) -> Self {
        self.declarations.ttl = ttl;
        self
    }

    /// Declares a cached route.
    pub fn route(mut self, route: Route) -> Self {
        self.declarations.routes.push(route);
        self
    }

    /// Declares what a mutating route invalidates.
    pub fn invalidate(mut self, rule: On) -> Self {
        self.declarations.rules.push(rule);
        self
    }

    /// Declares a named set, for [`TenantCache::invalidate_set`](crate::TenantCache::invalidate_set).
    pub fn set(mut self, set: InvalidationSet) -> Self {
        self.declarations.sets.push(set);
        self
    }

    /// Declares a scope that code invalidates, where no rule does.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.declarations.scopes.push(scope);
        self
    }

    /// Says that code caches values too ([`TenantCache::get_or_fetch`](crate::TenantCache::get_or_fetch)),
    /// so that what a rule, a set or a scope names may be for values alone. Without this it must reach
    /// a cached route, since what reaches nothing is misspelt in all likelihood.
    ///
    /// ```
    /// use tower_response_cache::{Cache, MemoryStore, On, Tenant};
    ///
    /// let cache = Cache::builder(MemoryStore::new())
    ///     .tenant(Tenant::header("x-gym-id"))
    ///     .with_values()
    ///     .invalidate(On::put("/users/{id}").pattern("users:*").tag("user:{id}"))
    ///     .build()?;
    /// # Ok::<(), tower_response_cache::ConfigError>(())
    /// ```
    #[cfg(feature = "data")]
    pub fn with_values(mut self) -> Self {
        self.declarations.values = true;
        self
    }

    /// Behaves as a shared cache by RFC 9111, for a layer that stands before a proxy.
    ///
    /// What is stored, and for how long it is fresh, is then said by the response (`Cache-Control`,
    /// `Expires`, a guess from `Last-Modified`), not by the routes, whose TTLs have no meaning; and
    /// the directives of requests are obeyed. So a client can make the origin do work, as with any
    /// such cache. A route's stale windows count where a response has none of its own.
    ///
    /// Of a request with Authorization, what is stored is what the response allows (section 3.5),
    /// [`same_for_all_users`](Self::same_for_all_users) or not.
    pub fn rfc9111(mut self) -> Self {
        self.settings.attitude = Attitude::Rfc9111;
        self.declarations.rfc9111 = true;
        self
    }

    /// Tells spellings of a target apart that an origin may tell apart: another order of query
    /// parameters, `%2F` and `/` in a query. For a layer that stands before an origin of which
    /// nothing is known; the routes of axum take them for the same. So it is in any case in the
    /// [`rfc9111`](Self::rfc9111) attitude.
    pub fn exact_targets(mut self) -> Self {
        self.settings.exact_targets = true;
        self
    }

    /// Response fields that say to this cache what `Cache-Control` says to all: the first that a
    /// response has counts instead of it (RFC 9213). `["CDN-Cache-Control"]`, for example; none if
    /// not set.
    pub fn targeted_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.targeted = names.into_iter().map(Into::into).collect();
        self
    }

    /// Response fields that are of one request only, and so are not stored with the rest.
    ///
    /// If not set: `request-id`, `server-timing`, `traceparent`, `traceresponse`, `tracestate`,
    /// `x-amzn-trace-id`, `x-cloud-trace-context`, `x-correlation-id`, `x-request-id`, `x-trace-id`;
    /// none in the [`rfc9111`](Self::rfc9111) attitude.
    pub fn unstored_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.unstored = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Request fields that are part of the key on every route, where a request has them:
    /// [`TARGET_FIELDS`](crate::TARGET_FIELDS) if not set, and none in the [`rfc9111`](Self::rfc9111)
    /// attitude, where responses say so with `Vary`. A list given here takes the place of the other;
    /// if handlers read none of them, see [`ignore_target_fields`](Self::ignore_target_fields).
    ///
    /// For one route there is [`Route::header`].
    ///
    /// ```
    /// use tower_response_cache::{Cache, MemoryStore, TARGET_FIELDS};
    ///
    /// let cache = Cache::builder(MemoryStore::new())
    ///     .keyed_fields(TARGET_FIELDS.into_iter().chain(["x-country"]))
    ///     .build()?;
    /// # Ok::<(), tower_response_cache::ConfigError>(())
    /// ```
    pub fn keyed_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.keyed = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Keeps no request field in the key that no route names with [`Route::header`]: for apps whose
    /// handlers read none of [`TARGET_FIELDS`](crate::TARGET_FIELDS), neither for links nor for
    /// redirects. Where they should not be able to, see [`removed_fields`](Self::removed_fields).
    pub fn ignore_target_fields(mut self) -> Self {
        self.keyed = Some(Vec::new());
        self
    }

    /// Request fields that are taken from a request which is looked up, before the handler sees it: so
    /// no client can write into what others get. None if not set. What a route
    /// [names](Route::header) stays, as does what tenant or identity are read from by name. A request
    /// that goes past the cache keeps all of its fields.
    ///
    /// They are no part of the key then. [`TARGET_FIELDS`](crate::TARGET_FIELDS), which are so by
    /// default, need not be removed; [`CLIENT_FIELDS`](crate::CLIENT_FIELDS) may, as long as nothing
    /// *inside* the layer needs them, a log or a limit of rates for example.
    ///
    /// ```
    /// use tower_response_cache::{CLIENT_FIELDS, Cache, MemoryStore};
    ///
    /// let cache = Cache::builder(MemoryStore::new()).removed_fields(CLIENT_FIELDS).build()?;
    /// # Ok::<(), tower_response_cache::ConfigError>(())
    /// ```
    pub fn removed_fields<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.removed = names.into_iter().map(Into::into).collect();
        self
    }

    /// Where responses vary by `Accept-Encoding`: tells requests apart only by the set of codings
    /// that they accept, whatever their order and weights. For handlers that choose by an order of
    /// their own.
    pub fn normalize_accept_encoding(mut self) -> Self {
        self.settings.normalise.accept_encoding = true;
        self
    }

    /// Where responses vary by `Accept-Language`: tells requests apart only by their primary
    /// languages, in the order of their weights. For handlers that do not tell regions apart.
    pub fn normalize_accept_language(mut self) -> Self {
        self.settings.normalise.accept_language = true;
        self
    }

    /// The name that Cache-Status (RFC 9211) gives to this cache, `response-cache` if not set;
    /// empty for no such field.
    pub fn cache_status(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.settings.cache_status = (!name.is_empty()).then_some(name);
        self
    }

    /// Names what two deployed versions of the app may differ in and the cache can't see: the
    /// functions that give tenants and users, for example. Any text.
    ///
    /// While instances of two configurations, or of two revisions, fill entries of one tenant, what
    /// one of them invalidates moves all of the tenant (docs/DEPLOYS.md).
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.declarations.spelled = revision.into();
        self
    }

    /// Says that caches with other configurations use this namespace for good, and that each declares
    /// all that its writes move for the others: their presence is no rolling deploy, and moves no
    /// tenant as a whole (docs/DEPLOYS.md).
    pub fn shared_namespace(mut self) -> Self {
        self.declarations.shared_namespace = true;
        self
    }

    /// Spreads what is stored of each tenant over slots of a Redis Cluster, 64 a tenant, instead of
    /// keeping all of it in one. For tenants that are larger than a primary, in memory, bytes or requests;
    /// docs/REDIS.md says when, and what it costs.
    ///
    /// A hit asks two nodes at once instead of one, which is one round trip as before. A miss and a fill
    /// take one round trip more. `delete_pattern`, and the invalidation of a group that responses name,
    /// go to all primaries, so none of them may be away. On a single Redis, and in memory, it changes
    /// names and nothing else.
    ///
    /// All caches of a namespace have to agree in this, but for the time of a rolling deploy: then
    /// what one of them writes moves all of the tenant (docs/DEPLOYS.md). Those that
    /// [share it for good](Self::shared_namespace) have to agree at any time: nothing tells one of the
    /// other's layout, and its groups, `delete_pattern` and `remove` reach its own alone.
    ///
    /// ```
    /// use tower_response_cache::{Cache, MemoryStore, Route, Tenant};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let cache = Cache::builder(MemoryStore::new())
    ///     .namespace("gym")
    ///     .tenant(Tenant::header("x-gym-id"))
    ///     .spread_tenants()
    ///     .route(Route::get("/members"))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spread_tenants(mut self) -> Self {
        self.declarations.spread_tenants = true;
        self
    }

    /// Checks every declaration, and builds the cache.
    ///
    /// # Errors
    ///
    /// The first mistake, with what to do about it.
    pub fn build(mut self) -> Result<Cache, ConfigError> {
        self.settings.targeted = header_names(&self.targeted)?;
        self.settings.unstored = self.unstored.as_deref().map(header_names).transpose()?;
        self.declare_fields()?;
        let settings = &self.settings;
        for (setting, limit) in [
            ("lookup_timeout", settings.lookup_timeout),
            ("fill_timeout", settings.fill_timeout),
            ("invalidate_timeout", settings.invalidate_timeout),
            ("lease_ttl", settings.lease_ttl),
            ("wait_limit", settings.wait_limit),
            ("run_deadline", settings.run_deadline),
            ("request_body_timeout", settings.request_body_timeout),
            ("run_queue_timeout", settings.run_queue_timeout),
        ] {
            if limit < Duration::from_millis(1) || limit > Duration::from_secs(3600) {
                let setting = setting.to_owned();
                return Err(ConfigError::OutOfRange { setting, allowed: "1 ms to 1 h" });
            }
        }
        if settings.hold_after_lost() > Duration::from_secs(3600) {
            let setting = "hold_after_lost".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "at most 1 h" });
        }
        if settings.max_key == 0 || settings.max_key > 16 << 10 {
            let setting = "max_key".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "1 byte to 16 KiB" });
        }
        if settings.max_runs.is_some_and(|most| most == 0 || most > MAX_RUNS) {
            let setting = "max_runs".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "1 to 1,000,000" });
        }
        if settings.max_runs.is_none() && settings.shed_load {
            return Err(ConfigError::Contradiction {
                path: "shed_load".to_owned(),
                reason: "there is always room for a run: add `.max_runs(…)`",
            });
        }
        if settings.max_variants == 0 {
            let setting = "max_variants".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "at least 1" });
        }
        if settings.max_head > 1 << 20 {
            let setting = "max_head".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "at most 1 MiB" });
        }
        let limits = self.declarations.routes.iter().filter_map(|route| route.max_body);
        if limits.chain([settings.max_body]).any(|limit| limit > 256 << 20) {
            let setting = "max_body".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "at most 256 MiB" });
        }
        let limits = self.declarations.routes.iter().filter_map(|route| route.max_request_body);
        if limits.chain([settings.max_request_body]).any(|limit| limit > 16 << 20) {
            let setting = "max_request_body".to_owned();
            return Err(ConfigError::OutOfRange { setting, allowed: "at most 16 MiB" });
        }
        let is_post = |route: &&Route| route.method == Method::POST && !route.uncached;
        if settings.attitude == Attitude::Rfc9111
            && let Some(route) = self.declarations.routes.iter().find(is_post)
        {
            return Err(ConfigError::Contradiction {
                path: format!("POST {}", route.path),
                reason: "by RFC 9111 no POST is answered from a cache (RFC 9110, section 9.3.3): \
                         remove the route, or `.rfc9111()`",
            });
        }
        let settings = &self.settings;
        let spelled = &mut self.declarations.spelled;
        *spelled = format!(
            "{:?} {} {:?} {} {} {spelled:?}",
            settings.attitude,
            settings.exact_targets,
            settings.normalise,
            settings.max_variant,
            settings.max_variants,
        );
        let rules = compile(&self.declarations)?;
        Ok(Cache::new(self.store, rules, self.settings))
    }

    /// Works out which request fields are in each key, and which no handler sees.
    fn declare_fields(&mut self) -> Result<(), ConfigError> {
        let removed = header_names(&self.removed)?;
        let by_default = match self.settings.attitude {
            Attitude::Routes => &TARGET_FIELDS[..],
            Attitude::Rfc9111 => &[],
        };
        let mut keyed = match &self.keyed {
            Some(names) => header_names(names)?,
            None => by_default.iter().copied().map(HeaderName::from_static).collect(),
        };
        if self.keyed.is_some()
            && let Some(name) = keyed.iter().find(|name| removed.contains(name))
        {
            return Err(ConfigError::Contradiction {
                path: format!("the request field {name}"),
                reason: "it can't be both in the key and removed",
            });
        }
        keyed.retain(|name| !removed.contains(name));
        if let Some(name) = removed.iter().find(|name| OF_FRAMING.contains(name)) {
            return Err(ConfigError::Contradiction {
                path: format!("the request field {name}"),
                reason: "without it nobody knows where the request ends: do not remove it",
            });
        }
        (self.declarations.keyed, self.declarations.removed) = (keyed, removed);
        Ok(())
    }
}

/// By which of them a request's content ends (RFC 9112, section 6.3).
const OF_FRAMING: [HeaderName; 2] = [CONTENT_LENGTH, TRANSFER_ENCODING];

/// More runs than any process can have at once.
const MAX_RUNS: usize = 1_000_000;

fn header_names(names: &[String]) -> Result<Vec<HeaderName>, ConfigError> {
    let parse = |name: &String| name.parse().map_err(|_| ConfigError::Header(name.clone()));
    names.iter().map(parse).collect()
}

impl fmt::Debug for CacheBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder")
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
