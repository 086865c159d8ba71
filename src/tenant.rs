//! One tenant's part of the cache, for code.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::flow::{self, Shared};
use crate::key::{Glob, GlobError, ScopeNames, Space, TenantError, TenantId, encode};
use crate::policy::{Scope, ScopeError, Set, TENANT};
use crate::store::{Invalidated, Mode, StoreError, StoreErrorKind};

/// What one tenant has in the cache, and how code invalidates it.
///
/// Made by [`Cache::tenant`](crate::Cache::tenant); there is no way to a key without it.
///
/// ```
/// # use tower_response_cache::{Cache, InvalidationSet, MemoryStore, Route, Scope, Tenant};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = Cache::builder(MemoryStore::new())
///     .tenant(Tenant::header("x-gym-id"))
///     .same_for_all_users()
///     .route(Route::get("/users").key("users:{role}"))
///     .route(Route::get("/users/{id}"))
///     .set(InvalidationSet::named("user").subtree("/users/{id}").path("/users").or_all())
///     .build()?;
///
/// let gym = cache.tenant("4")?;
/// gym.invalidate(&Scope::path("/users")).await?;
/// gym.invalidate_set("user", &[("id", "42")]).await?;
/// gym.invalidate_set_for_all("user").await?;
/// let removed = gym.delete_pattern("users:*").await?;
/// # Ok(())
/// # }
/// ```
///
/// # What does not compile
///
/// A text is no tenant, whoever has checked it:
///
/// ```compile_fail,E0308
/// use tower_response_cache::TenantCache;
///
/// async fn end(gym: TenantCache) {
///     let ended = gym.invalidate_all().await;
/// }
/// let ended = end("4");
/// ```
///
/// Nothing that is one tenant's reaches all of them; only a rule can
/// ([`On::all_tenants`](crate::On::all_tenants)):
///
/// ```compile_fail,E0599
/// use tower_response_cache::{Scope, TenantCache};
///
/// async fn end(gym: TenantCache) {
///     let ended = gym.invalidate(&Scope::all_tenants()).await;
/// }
/// ```
#[derive(Clone)]
pub struct TenantCache {
    shared: Arc<Shared>,
    space: Space,
    tenantless: bool,
}

impl TenantCache {
    pub(crate) fn new(shared: Arc<Shared>, tenant: &str) -> Result<Self, InvalidTenant> {
        let tenant = TenantId::new(tenant).map_err(InvalidTenant)?;
        let space = shared.rules.space(tenant.as_str());
        Ok(Self { shared, space, tenantless: false })
    }

    pub(crate) fn tenantless(shared: Arc<Shared>) -> Self {
        let space = shared.rules.tenantless_space();
        Self { shared, space, tenantless: true }
    }

    /// Invalidates one scope: a path, a subtree, a declared pattern, or a tag.
    ///
    /// It costs one write, whatever the number of entries. Once this has answered `Ok`, no request
    /// that begins later, on any instance, is answered from before.
    ///
    /// # Errors
    ///
    /// [`InvalidateError::Scope`] if no entry can carry the scope, a parameter has no value, or a value
    /// no parameter. [`InvalidateError::Store`] if
    /// the store did not confirm; this instance then passes the cache by for what the scope
    /// covers, and tries again in the background until it is confirmed.
    ///
    /// # Dropping
    ///
    /// The invalidation goes on.
    pub async fn invalidate(&self, scope: &Scope) -> Result<(), InvalidateError> {
        self.confirm(self.names_of(scope)?, Mode::Hard).await
    }

    /// Invalidates one scope softly: what it reaches is served within its route's stale window while
    /// one refresh runs.
    ///
    /// # Errors
    ///
    /// As [`invalidate`](Self::invalidate).
    ///
    /// # Dropping
    ///
    /// The invalidation goes on.
    pub async fn soften(&self, scope: &Scope) -> Result<(), InvalidateError> {
        self.confirm(self.names_of(scope)?, Mode::Soft).await
    }

    /// Invalidates the responses that have named this group, in `Cache-Groups` (RFC 9875) or with
    /// [`ResponseGroups`](crate::ResponseGroups).
    ///
    /// It costs one write, whatever their number, and refuses what the tenant is filling meanwhile,
    /// of which nobody knows yet in which groups it will be. A group that nobody has named is no
    /// error.
    ///
    /// # Errors
    ///
    /// [`InvalidateError::Store`], as [`invalidate`](Self::invalidate).
    ///
    /// # Dropping
    ///
    /// The invalidation goes on.
    pub async fn invalidate_group(&self, group: &str) -> Result<(), InvalidateError> {
        self.confirm(self.group(group), Mode::Hard).await
    }

    /// Invalidates everything that the tenant has.
    ///
    /// # Errors
    ///
    /// [`InvalidateError::Store`], as [`invalidate`](Self::invalidate).
    ///
    /// # Dropping
    ///
    /// The invalidation goes on.
    pub async fn invalidate_all(&self) -> Result<(), InvalidateError> {
        self.confirm(self.everything(), Mode::Hard).await
    }

    /// Invalidates a [named set](crate::InvalidationSet) for these values of its parameters.
    ///
    /// # Errors
    ///
    /// [`InvalidateError::Scope`] if there is no such set, a parameter has no value, or a value no
    /// parameter.
    /// [`InvalidateError::Store`], as [`invalidate`](Self::invalidate).
    ///
    /// # Dropping
    ///
    /// The invalidation goes on.
    pub async fn invalidate_set(
        &self,
        name: &str,
        values: &[(&str, &str)],
    ) -> Result<(), InvalidateError> {
        self.confirm(self.names_of_set(name, values)?, Mode::Hard).await
    }

    /// Invalidates a [named set](crate::InvalidationSet) for all values of its parameters.
    ///
    /// # Errors
    ///
    /// [`InvalidateError::Scope`] if there is no such set, or it was not declared with
    /// [`or_all`](crate::InvalidationSet::or_all). [`InvalidateError::Store`], as
    /// [`invalidate`](Self::invalidate).
    ///
    /// # Dropping
    ///
    /// The invalidation goes on.
    pub async fn invalidate_set_for_all(&self, name: &str) -> Result<(), InvalidateError> {
        self.confirm(self.set_for_all(name)?, Mode::Hard).await
    }

    /// Removes every entry of the tenant whose key text matches a Redis glob, and answers how many
    /// there were.
    ///
    /// For patterns that no rule declares. It searches all keys of the store, in batches, so it
    /// takes time in proportion to them; a declared scope takes one write. It keeps the same
    /// promise: no request that begins after it has answered gets what was filled, or was being
    /// filled, before.
    ///
    /// # Errors
    ///
    /// [`InvalidateError::Glob`] if the pattern is malformed; [`InvalidateError::Store`] if the
    /// store failed midway: some entries may be gone and others not. Call it again.
    ///
    /// # Dropping
    ///
    /// Stops midway, as an error does.
    pub async fn delete_pattern(&self, glob: &str) -> Result<u64, InvalidateError> {
        let glob = Glob::new(glob).map_err(InvalidateError::Glob)?;
        // Under another configuration a key may have another text.
        let mut scopes = ScopeNames::new(&self.space);
        scopes.set_configuration(self.shared.rules.fingerprint);
        let others = flow::long_step(&self.shared, "invalidate", |store| {
            store.invalidate(&scopes, Mode::Hard)
        });
        others.await?;
        let delete = flow::long_step(&self.shared, "delete_pattern", |store| {
            store.delete_pattern(&self.space, &glob)
        });
        Ok(delete.await?)
    }

    /// The tenant's space, or that of what belongs to no tenant.
    #[cfg(any(feature = "admin", feature = "data"))]
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// Whether it is the part that belongs to no tenant.
    #[cfg(any(feature = "admin", feature = "data"))]
    pub(crate) fn is_tenantless(&self) -> bool {
        self.tenantless
    }

    #[cfg(any(feature = "admin", feature = "data"))]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The names of one scope, if entries carry it.
    pub(crate) fn names_of(&self, scope: &Scope) -> Result<ScopeNames, ScopeError> {
        let text = scope.text(&self.shared.rules, self.tenantless)?;
        let mut scopes = ScopeNames::new(&self.space);
        scopes.push(&text);
        Ok(scopes)
    }

    pub(crate) fn group(&self, group: &str) -> ScopeNames {
        ScopeNames::groups(&self.space, [group])
    }

    pub(crate) fn everything(&self) -> ScopeNames {
        let mut scopes = ScopeNames::new(&self.space);
        scopes.push(TENANT);
        scopes
    }

    pub(crate) fn names_of_set(
        &self,
        name: &str,
        values: &[(&str, &str)],
    ) -> Result<ScopeNames, ScopeError> {
        let set = self.find_set(name)?;
        let is_known = |name: &str| {
            set.targets.iter().any(|target| target.params().any(|known| known == name))
        };
        if let Some((parameter, _)) = values.iter().find(|(name, _)| !is_known(name)) {
            let (scope, parameter) = (format!("the set {name:?}"), (*parameter).to_owned());
            return Err(ScopeError::UnknownParameter { scope, parameter });
        }
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| {
                let mut encoded = String::with_capacity(value.len());
                encode(value.as_bytes(), &mut encoded);
                (*name, encoded)
            })
            .collect();
        let value = |name: &str| {
            values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        let mut scopes = self.scopes_of(set);
        let mut text = String::new();
        for target in &set.targets {
            text.clear();
            target
                .bind(value, &mut text)
                .map_err(|error| ScopeError::Unbound(error.to_string()))?;
            scopes.push(&text);
        }
        Ok(scopes)
    }

    pub(crate) fn set_for_all(&self, name: &str) -> Result<ScopeNames, ScopeError> {
        let set = self.find_set(name)?;
        if !set.or_all {
            return Err(ScopeError::NotForAll(name.to_owned()));
        }
        let mut scopes = self.scopes_of(set);
        let mut text = String::new();
        for target in &set.targets {
            text.clear();
            target
                .bind_any(|_| None, &mut text)
                .map_err(|error| ScopeError::Unbound(error.to_string()))?;
            scopes.push(&text);
        }
        Ok(scopes)
    }

    fn find_set(&self, name: &str) -> Result<&Set, ScopeError> {
        let sets = &self.shared.rules.sets;
        sets.get(name).ok_or_else(|| ScopeError::UnknownSet(name.to_owned()))
    }

    fn scopes_of(&self, set: &Set) -> ScopeNames {
        let mut scopes = ScopeNames::new(&self.space);
        if set.tenant {
            scopes.push(TENANT);
        }
        if set.all_tenants {
            scopes.push_all_tenants();
        }
        scopes
    }

    async fn confirm(&self, scopes: ScopeNames, mode: Mode) -> Result<(), InvalidateError> {
        self.carry_out(scopes, mode).await.map(drop)
    }

    /// Invalidates, on a task of its own, and answers what the store has moved.
    pub(crate) async fn carry_out(
        &self,
        scopes: ScopeNames,
        mode: Mode,
    ) -> Result<Invalidated, InvalidateError> {
        let shared = Arc::clone(&self.shared);
        let task =
            self.shared.work.spawn(async move { flow::invalidate(&shared, &scopes, mode).await });
        match task.await {
            Ok(answer) => Ok(answer?),
            Err(gone) => Err(StoreError::new(StoreErrorKind::Unavailable, gone).into()),
        }
    }
}

impl fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantCache").field(&self.space).finish()
    }
}

/// A text that is no tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTenant(TenantError);

impl fmt::Display for InvalidTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a tenant")
    }
}

impl Error for InvalidTenant {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// Why an invalidation from code has not been confirmed.
///
/// ```
/// # use tower_response_cache::{Cache, MemoryStore, Route};
/// use tower_response_cache::{InvalidateError, Scope, TenantCache};
///
/// async fn price_has_changed(gym: &TenantCache) {
///     match gym.invalidate(&Scope::tag("prices")).await {
///         Ok(()) => {}
///         // It is tried again behind the scenes, and passed by here until it is confirmed.
///         Err(InvalidateError::Store(error)) => eprintln!("not confirmed yet: {error}"),
///         Err(mistake) => panic!("{mistake}"),
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let prices = Route::get("/prices").tag("prices").tenantless();
/// # let cache = Cache::builder(MemoryStore::new()).route(prices).build()?;
/// # price_has_changed(&cache.tenantless()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum InvalidateError {
    /// The scope or set is not one that entries carry. Nothing was done.
    Scope(ScopeError),
    /// The glob is malformed. Nothing was done.
    Glob(GlobError),
    /// The store did not confirm.
    Store(StoreError),
}

impl fmt::Display for InvalidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scope(_) => "the scope can't be invalidated",
            Self::Glob(_) => "the pattern is malformed",
            Self::Store(_) => "the invalidation is not confirmed",
        })
    }
}

impl Error for InvalidateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Scope(error) => Some(error),
            Self::Glob(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

impl From<ScopeError> for InvalidateError {
    fn from(error: ScopeError) -> Self {
        Self::Scope(error)
    }
}

impl From<StoreError> for InvalidateError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
