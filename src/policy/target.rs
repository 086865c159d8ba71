//! What an invalidation reaches, as it is declared.

/// One set of keys, as the app wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Path(String),
    Subtree(String),
    Pattern(String),
    Tag(String),
    Tenant,
    AllTenants,
}

/// The methods that declare targets, the same for a rule and for a named set.
macro_rules! target_methods {
    () => {
        /// Invalidates this path with all of its queries: `/users`, `/users?role=member`.
        pub fn path(mut self, path: impl Into<String>) -> Self {
            self.targets.push($crate::policy::target::Target::Path(path.into()));
            self
        }

        /// Invalidates this path, what lies below it, and all of their queries: of `/users/42` also
        /// `/users/42/stats`, but not `/users/421`.
        pub fn subtree(mut self, path: impl Into<String>) -> Self {
            self.targets.push($crate::policy::target::Target::Subtree(path.into()));
            self
        }

        /// Invalidates the keys whose text matches a Redis glob: `users:*`, `/stats/{id}/*`.
        ///
        /// `?` is a wildcard, so `/users?*` reaches `/users/42` too; [`path`](Self::path) and
        /// [`subtree`](Self::subtree) have no such traps. A parameter must be followed by a
        /// character that its encoded values can't contain, or by the end.
        pub fn pattern(mut self, glob: impl Into<String>) -> Self {
            self.targets.push($crate::policy::target::Target::Pattern(glob.into()));
            self
        }

        /// Invalidates what carries a tag.
        pub fn tag(mut self, tag: impl Into<String>) -> Self {
            self.targets.push($crate::policy::target::Target::Tag(tag.into()));
            self
        }

        /// Invalidates everything of the tenant.
        pub fn tenant(mut self) -> Self {
            self.targets.push($crate::policy::target::Target::Tenant);
            self
        }

        /// Invalidates everything of every tenant in the namespace.
        ///
        /// Every look-up then reads one generation more.
        pub fn all_tenants(mut self) -> Self {
            self.targets.push($crate::policy::target::Target::AllTenants);
            self
        }
    };
}

pub(crate) use target_methods;
