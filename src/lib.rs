//! A Tower layer that caches HTTP responses.

pub mod clock;
pub mod entry;
pub mod key;
pub mod protocol;
pub mod store;

mod body;
mod builder;
mod cache;
mod flow;
mod future;
mod layer;
mod policy;
mod service;
mod telemetry;
mod tenant;

pub use self::body::ResponseBody;
pub use self::builder::CacheBuilder;
pub use self::cache::{Cache, Unconfirmed};
pub use self::future::ResponseFuture;
pub use self::layer::CacheLayer;
pub use self::policy::{
    ConfigError, Identity, InvalidationSet, On, ResponseTtl, Route, Scope, ScopeError, Tenant,
};
pub use self::service::CacheService;
pub use self::store::{MemoryStore, Store};
#[cfg(feature = "redis")]
pub use self::store::{RedisStore, RedisStoreBuilder};
pub use self::telemetry::{Bypass, Stats};
pub use self::tenant::{InvalidTenant, InvalidateError, TenantCache};
