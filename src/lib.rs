//! A [Tower](https://docs.rs/tower) layer that caches a server's own HTTP responses: keys that
//! belong to a tenant, a TTL for each route, and invalidation that no late fill can undo.
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use tower_response_cache::{Cache, MemoryStore, On, Route, Tenant};
//!
//! let cache = Cache::builder(MemoryStore::new())
//!     .namespace("gym")
//!     .tenant(Tenant::header("x-gym-id"))
//!     .same_for_all_users()
//!     .route(Route::get("/users").ttl(Duration::from_secs(300)).query(["role", "status"]))
//!     .route(Route::get("/users/{id}"))
//!     .invalidate(On::put("/users/{id}").subtree("/users/{id}").path("/users"))
//!     .build()?;                              // mistakes in what is declared are found here
//!
//! let app: Router = Router::new()
//!     .route("/users", get(|| async { "everybody" }))
//!     .route("/users/{id}", get(|| async { "somebody" }).put(|| async { "changed" }))
//!     .layer(cache.layer());
//! # Ok::<(), tower_response_cache::ConfigError>(())
//! ```
//!
//! # The way of a request
//!
//! ```text
//!             on no configured route ───────────────────────────────▶ inner service, untouched
//!            ╱
//! request ──▶ admit: route, tenant, key, scopes (and the content of a QUERY)
//!            ╲     ╲  no tenant, credentials, range, … ─────────────▶ inner service: bypass
//!             ╲     ╲
//!              ╲     read ─▶ look up: one MGET of the entry, its generations, its epoch
//!               ╲              ├─ every stamp equals its generation ─▶ hit
//!                ╲             ├─ stale, and allowed to be ──────────▶ hit, and one refresh behind it
//!                 ╲            └─ miss ─▶ flight ─▶ lease ─▶ run ─▶ response, while it streams
//!                  ╲                        │                   └─▶ fill, under the stamps from
//!                   ╲                       ╰─▶ who joins gets       before the handler ran
//!                    ╲                          the same response
//!                     write ─▶ fence ─▶ inner service ─▶ new generations ─▶ response
//! ```
//!
//! # What it promises
//!
//! *Isolation.* Without a tenant there is no cache. Keys are injective whatever the bytes: two
//! requests share an entry only if they are the same request by the route's own words. What
//! comes from a request is data in every pattern, and no pattern reaches another tenant. What a
//! request with credentials is answered is stored only where the route says what of the identity is
//! in the key, or that it is the same for all users.
//!
//! *Invalidation.* Once an invalidation is confirmed, no request that begins later, on any
//! instance, is answered from work whose handler began before it. An entry carries a *stamp* for
//! each scope that a write may move, read before its handler ran; it is valid while every stamp
//! equals the scope's generation in the store. So a pattern is invalidated by one write, however
//! many entries it reaches, and a fill that lost the race is invalid by itself. A write invalidates
//! also when nobody can tell whether it happened: after a 5xx, an error, a panic, or when the
//! client has left.
//!
//! *Concurrency.* Identical misses run the handler once in a process, and, with leases, once in a
//! fleet. Whoever leaves, fails nobody else. The first byte never waits for the last.
//!
//! *Failure.* Without its store the cache is as if it were not there, but that identical requests
//! share runs. An invalidation that the store has not confirmed is never lost in silence: until it
//! is, this instance passes its scopes by.
//!
//! # What it does not promise
//!
//! - A write that is made behind the layer's back, straight to the database, is not seen. Tell the
//!   cache with [`TenantCache::invalidate`].
//! - While the store can't be reached, an instance can't learn of the writes of others. It reads
//!   nothing from the store then either; but an instance that *can* reach it may serve an entry
//!   until the writing instance has had its invalidation confirmed.
//! - A process that is killed between its commit and the invalidation leaves entries until their
//!   TTL ends, unless the rule has a [`fence`](On::fence).
//! - Replication of Redis is asynchronous: a fail-over can lose an invalidation that was confirmed.
//!   What was stored before the fail-over is not believed by connections made after it, because it
//!   carries the run of the server that it was written to.
//!
//! # Where it goes
//!
//! Inside authentication, so that the tenant is one that the request has proved; inside whatever
//! refuses requests; outside whatever makes the answer expensive. On a cached route that misses,
//! the inner service runs on a task of its own, which needs the tokio runtime: task-locals of the
//! caller are not seen there. `docs/LAYERS.md` says of each common layer what it does on either side,
//! and `docs/guides/layer-order.md` has a whole app in order.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `redis` (default) | [`RedisStore`], through bb8-redis |
//! | `tls` | `rediss://` for it, through rustls with ring |
//! | `data` (default) | values of the app's own: `TenantCache::get_or_fetch` and its kin |
//! | `axum` (default) | inside axum's `nest`, the whole path counts, not what is left of it |
//! | `metrics` | counts and times through the facade `metrics`; install its recorder before `build()` |
//! | `admin` | a router for operators, and one for each tenant's: `Cache::admin_router`, `TenantCache::admin_router` |

// Shows of each item which feature it needs, where documentation is built with `--cfg docsrs`.
#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order in which a request meets them.
mod layer;
mod service;
mod future;
mod body;
mod replay;

mod builder;
mod cache;
mod policy;
mod tenant;
#[cfg(feature = "data")]
mod data;

mod flow;
pub mod key;
pub mod protocol;
pub mod entry;
pub mod store;
pub mod clock;
mod telemetry;
pub mod explain;
#[cfg(feature = "admin")]
mod admin;

#[cfg(feature = "admin")]
pub use self::admin::AdminUser;
pub use self::body::ResponseBody;
pub use self::builder::CacheBuilder;
pub use self::cache::{Cache, Unconfirmed};
#[cfg(feature = "data")]
pub use self::data::{DataError, DataErrorKind, DataKey, DataTtl};
pub use self::future::ResponseFuture;
pub use self::layer::CacheLayer;
pub use self::policy::{
    CLIENT_FIELDS, ConfigError, Identity, InvalidationSet, On, ResponseGroups, ResponseTtl, Route,
    Scope, ScopeError, TARGET_FIELDS, Tenant,
};
pub use self::replay::ReplayBody;
pub use self::service::CacheService;
pub use self::store::{MemoryStore, Store};
#[cfg(feature = "redis")]
pub use self::store::{NearCache, RedisStore, RedisStoreBuilder};
pub use self::telemetry::{Bypass, RouteStats, Stats};
pub use self::tenant::{InvalidTenant, InvalidateError, TenantCache};

/// The code of the README is compiled, and run as far as it can be.
#[cfg(all(doctest, feature = "redis", feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// So is that of the page on the admin router.
#[cfg(all(doctest, feature = "admin"))]
#[doc = include_str!("../docs/ADMIN.md")]
struct AdminPages;

/// So is that of the page on metrics.
#[cfg(all(doctest, feature = "metrics"))]
#[doc = include_str!("../docs/METRICS.md")]
struct MetricsPage;

/// So is that of the page on Redis.
#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../docs/REDIS.md")]
struct RedisPage;

/// So is that of the guides, whose programs are examples too.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../docs/guides/background-job.md")]
struct BackgroundJob;
