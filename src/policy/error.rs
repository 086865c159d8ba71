//! What `build()` finds wrong with a configuration.

use std::error::Error;
use std::fmt;

use crate::key::TemplateError;

/// A mistake in a configuration, found when the cache is built.
///
/// `Display` says which declaration it is in, and what to do.
#[non_exhaustive]
pub enum ConfigError {
    /// The namespace is not 1 to 64 of the letters `A-Z a-z 0-9 - _ .`.
    Namespace(String),
    /// A route or rule belongs to a tenant, and no source of tenants is configured.
    NoTenantSource(String),
    /// A header's name is malformed.
    Header(String),
    /// The tenant or identity is read from a path parameter that the path does not have.
    NoSuchParameter {
        /// The path template.
        path: String,
        /// The parameter.
        parameter: String,
    },
    /// A template of a path, a key, a pattern or a tag is malformed.
    Template {
        /// The declaration that it is in.
        declaration: String,
        /// The template.
        template: String,
        /// What is wrong.
        source: TemplateError,
    },
    /// Two declarations can't be told apart by the router.
    Conflict {
        /// The path template.
        path: String,
        /// What the router says.
        reason: String,
    },
    /// A path parameter does not occur in the route's key template, so that different paths would
    /// share an entry.
    UnkeyedParameter {
        /// The path template.
        path: String,
        /// The key template.
        key: String,
        /// The parameter.
        parameter: String,
    },
    /// A route's query is limited to parameters although its key template names them itself.
    QueryWithKey(String),
    /// Two routes can make the same key text.
    AmbiguousKey {
        /// One path template.
        path: String,
        /// The other.
        other: String,
    },
    /// A target has a parameter that its rule's path does not have.
    UnknownParameter {
        /// The rule or set.
        declaration: String,
        /// The target.
        target: String,
        /// The parameter.
        parameter: String,
    },
    /// A target can match no cached route.
    MatchesNothing {
        /// The rule or set.
        declaration: String,
        /// The target.
        target: String,
    },
    /// A rule or a set has no targets.
    NoTargets(String),
    /// A route is for a method whose responses can't be cached.
    RouteMethod {
        /// The path template.
        path: String,
        /// The method.
        method: String,
    },
    /// A rule is for a method that must not change anything (RFC 9110, section 9.2.1).
    SafeMethod(String),
    /// A set of this name exists already.
    DuplicateSet(String),
    /// A duration or number is out of its range.
    OutOfRange {
        /// What it is set for.
        setting: String,
        /// The range.
        allowed: &'static str,
    },
    /// A declaration says two things that exclude each other, or two declarations do: a soft
    /// invalidation and a fence, a cached POST and a rule for it.
    Contradiction {
        /// The declaration.
        path: String,
        /// What excludes what.
        reason: &'static str,
    },
    /// A key would carry more stamps than an entry has room for.
    TooManyScopes(String),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(text) => {
                write!(f, "namespace {text:?}: use 1 to 64 of the letters A-Z a-z 0-9 - _ .")
            }
            Self::NoTenantSource(path) => write!(
                f,
                "{path} belongs to a tenant, and the cache does not know where to read it: call \
                 `.tenant(Tenant::header(…))` on the builder, or `.tenantless()` on the declaration"
            ),
            Self::Header(name) => write!(f, "{name:?} is not the name of a header"),
            Self::NoSuchParameter { path, parameter } => write!(
                f,
                "{path}: tenant or identity is read from the path parameter {{{parameter}}}, which \
                 this path does not have"
            ),
            Self::Template { declaration, template, .. } if declaration == template => {
                write!(f, "{template:?} is malformed")
            }
            Self::Template { declaration, template, .. } => {
                write!(f, "{declaration}: {template:?} is malformed")
            }
            Self::Conflict { path, reason } => {
                write!(f, "{path} is in the way of another: {reason}")
            }
            Self::UnkeyedParameter { path, key, parameter } => write!(
                f,
                "{path}: the key {key:?} lacks {{{parameter}}}, so that different paths would share \
                 an entry: add it"
            ),
            Self::QueryWithKey(path) => write!(
                f,
                "{path}: a key template names its query parameters itself: remove `.query(…)` or \
                 `.ignore_query()`"
            ),
            Self::AmbiguousKey { path, other } => write!(
                f,
                "the key templates of {path} and {other} can give the same text: begin each with a \
                 word of its own"
            ),
            Self::UnknownParameter { declaration, target, parameter } => write!(
                f,
                "{declaration}: {target} has the parameter {{{parameter}}}, which has no value there"
            ),
            Self::MatchesNothing { declaration, target } => write!(
                f,
                "{declaration}: {target} can match no key of any cached route: check its spelling, \
                 and that the route is declared before `build()` and with the same tenancy"
            ),
            Self::NoTargets(declaration) => write!(
                f,
                "{declaration} invalidates nothing: add `.path(…)`, `.subtree(…)` or another target"
            ),
            Self::RouteMethod { path, method } => write!(
                f,
                "{method} {path}: responses to GET, QUERY and POST can be cached, to no other method"
            ),
            Self::SafeMethod(declaration) => write!(
                f,
                "{declaration}: a request with this method must not change anything (RFC 9110, \
                 section 9.2.1): invalidate from code"
            ),
            Self::DuplicateSet(name) => write!(f, "there are two invalidation sets named {name:?}"),
            Self::OutOfRange { setting, allowed } => write!(f, "{setting}: use {allowed}"),
            Self::Contradiction { path, reason } => write!(f, "{path}: {reason}"),
            Self::TooManyScopes(path) => write!(
                f,
                "{path}: more than 255 rules and tags can reach one key: use fewer, wider ones"
            ),
        }
    }
}

/// What `main` prints of an error that it returns: the advice, not the fields.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        match self.source() {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Template { source, .. } => Some(source),
            _ => None,
        }
    }
}
