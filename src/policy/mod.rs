//! What an app declares: routes, rules, and where tenants and users are read from.

mod compile;
mod effect;
mod error;
mod fields;
mod fingerprint;
mod identity;
mod params;
mod read_method;
mod route;
mod rule;
mod rules;
mod scopes;
mod set;
pub(crate) mod target;

use std::time::Duration;

pub(crate) use self::compile::{Declarations, compile, may_be_equal};
pub(crate) use self::effect::{Effect, When};
pub use self::error::ConfigError;
pub(crate) use self::fields::overrides_method;
pub use self::fields::{CLIENT_FIELDS, TARGET_FIELDS};
pub use self::identity::{Identity, Tenant};
pub(crate) use self::identity::{Source, Unreadable};
pub(crate) use self::params::{Canonical, Params};
pub(crate) use self::read_method::ReadMethod;
pub use self::route::Route;
pub(crate) use self::route::{Etag, OwnWrites, Users};
pub use self::rule::On;
pub(crate) use self::rules::{CachedRoute, Query, Rules, Set, WriteRule};
pub(crate) use self::scopes::TENANT;
pub use self::scopes::{Scope, ScopeError};
pub use self::set::InvalidationSet;

/// The longest TTL there is: 365 days.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Put into a response's extensions, says how long this response stays fresh, whatever the route
/// says; zero says that it is not to be stored.
///
/// ```
/// use std::time::Duration;
/// use tower_response_cache::ResponseTtl;
///
/// # struct Body;
/// let mut response = http::Response::new(Body);
/// response.extensions_mut().insert(ResponseTtl(Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseTtl(pub Duration);

/// Put into a response's extensions, says in which groups it is, as the field `Cache-Groups` does
/// (RFC 9875) and beside it: what is stored of it ends when
/// [one of them is invalidated](crate::TenantCache::invalidate_group).
///
/// Groups are for what is known only once the handler has run; for what the route or the path says,
/// [`Route::tag`] costs less. A group is any text, of at most 128 bytes, within the tenant; a
/// response with more than 64 is not stored.
///
/// ```
/// use tower_response_cache::ResponseGroups;
///
/// # struct Body;
/// let mut response = http::Response::new(Body);
/// response.extensions_mut().insert(ResponseGroups::new(["class:7", "trainer:12"]));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseGroups(pub(crate) Vec<String>);

impl ResponseGroups {
    /// These groups.
    pub fn new<I>(groups: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self(groups.into_iter().map(Into::into).collect())
    }
}
