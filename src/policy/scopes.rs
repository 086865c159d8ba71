//! Which scopes a key has, and which a caller names.

use std::error::Error;
use std::fmt;

use super::Canonical;
use super::rules::{Declared, Rules};
pub(crate) use crate::key::TENANT;
use crate::key::{Binding, Reach, ScopeKind, ScopeTemplate, TemplateError, encode};

/// How a route's keys get one of the declared scopes.
#[derive(Clone, Debug)]
pub(crate) struct ScopePlan {
    template: Option<ScopeTemplate>,
    open: bool,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    /// Every key has it, with these values.
    Bound(Vec<Binding>),
    /// It is matched against each request's path.
    MatchPath,
    /// It is matched against each key's text.
    MatchText,
    /// The route declares the tag, with parameters of its own path.
    Tagged,
    /// It is the request's own path with all of its queries.
    OwnPath,
}

impl ScopePlan {
    /// The plan for a scope of this reach, or `None` if the route's keys never have it.
    pub(crate) fn of(declared: &Declared, reach: &Reach) -> Option<Self> {
        let is_text = declared.template.kind() == ScopeKind::Pattern;
        let how = match reach {
            Reach::Never => return None,
            Reach::Always(bindings) => How::Bound(bindings.clone()),
            Reach::Sometimes if is_text => How::MatchText,
            Reach::Sometimes => How::MatchPath,
        };
        // The key text of a path is in canonical spelling, and so are the parameters; but a key
        // template's parameters may come from the query, so they are found in the text itself.
        let how = match how {
            How::Bound(bindings) if is_text && !bindings.is_empty() => How::MatchText,
            how => how,
        };
        Some(Self { template: Some(declared.template.clone()), open: declared.open, how })
    }

    /// The plan for a tag that the route itself declares.
    pub(crate) fn tagged(template: ScopeTemplate) -> Self {
        Self { template: Some(template), open: false, how: How::Tagged }
    }

    /// The plan for the scope of the request's own path.
    pub(crate) fn own_path() -> Self {
        Self { template: None, open: false, how: How::OwnPath }
    }

    pub(crate) fn is_own_path(&self) -> bool {
        matches!(self.how, How::OwnPath)
    }

    /// The scope's template; `None` for that of a request's own path.
    #[cfg(feature = "admin")]
    pub(crate) fn template(&self) -> Option<&ScopeTemplate> {
        self.template.as_ref()
    }

    /// Whether a key's text decides if it has the scope.
    pub(super) fn looks_at_text(&self) -> bool {
        matches!(self.how, How::MatchText)
    }

    /// The tag, if it is one.
    pub(super) fn tag(&self) -> Option<&ScopeTemplate> {
        self.template.as_ref().filter(|_| matches!(self.how, How::Tagged))
    }

    /// What puts the scopes of a key in one order, however they were declared.
    pub(crate) fn order(&self) -> (Option<(u8, String)>, bool) {
        let template = self.template.as_ref();
        let order = template.map(|known| (known.kind() as u8, known.as_str().to_owned()));
        (order, self.open)
    }

    /// Appends the scope's text and answers `true`, if this key has it.
    pub(crate) fn write(
        &self,
        path: &str,
        key_text: &str,
        params: &Canonical<'_>,
        out: &mut String,
    ) -> bool {
        let Some(template) = &self.template else {
            out.push_str("path:");
            out.push_str(path);
            return true;
        };
        let captures = match &self.how {
            How::OwnPath => None,
            How::Tagged => return template.bind(|name| params.get(name), out).is_ok(),
            How::Bound(bindings) => {
                let names: Vec<_> = template.params().collect();
                let value = |name: &str| {
                    let index = names.iter().position(|known| *known == name)?;
                    match bindings.get(index)? {
                        Binding::Param(param) => params.get(param),
                        Binding::Constant(text) => Some(text.as_str()),
                    }
                };
                return if self.open {
                    template.bind_any(|_| None, out).is_ok()
                } else {
                    template.bind(value, out).is_ok()
                };
            }
            How::MatchPath => template.bind_from_path(path),
            How::MatchText => template.bind_from_text(key_text),
        };
        captures
            .is_some_and(|captures| template.bind_captures(&captures, |_| self.open, out).is_ok())
    }
}

/// A set of keys to invalidate from code: one that a route, a rule or a set has declared.
///
/// ```
/// use tower_response_cache::Scope;
///
/// let user = Scope::subtree("/users/{id}").with("id", "42");
/// let hours = Scope::tag("hours");
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Scope {
    template: Result<ScopeTemplate, TemplateError>,
    values: Vec<(String, String)>,
}

impl Scope {
    /// A path with all of its queries.
    pub fn path(path: &str) -> Self {
        Self::new(ScopeTemplate::path(path))
    }

    /// A path, what lies below it, and their queries.
    pub fn subtree(path: &str) -> Self {
        Self::new(ScopeTemplate::subtree(path))
    }

    /// The keys whose text matches a glob, written as it was declared.
    pub fn pattern(glob: &str) -> Self {
        Self::new(ScopeTemplate::pattern(glob))
    }

    /// What carries a tag.
    pub fn tag(tag: &str) -> Self {
        Self::new(ScopeTemplate::tag(tag))
    }

    /// Gives a parameter its value, which is any text and matches only itself. A value for a parameter
    /// that the scope does not have is an error when it is invalidated.
    pub fn with(mut self, parameter: &str, value: impl AsRef<str>) -> Self {
        let mut encoded = String::new();
        encode(value.as_ref().as_bytes(), &mut encoded);
        self.values.push((parameter.to_owned(), encoded));
        self
    }

    fn new(template: Result<ScopeTemplate, TemplateError>) -> Self {
        Self { template, values: Vec::new() }
    }

    pub(super) fn template(&self) -> Result<&ScopeTemplate, TemplateError> {
        self.template.as_ref().map_err(Clone::clone)
    }

    /// Whether a parameter has a value.
    pub(super) fn has_values(&self) -> bool {
        !self.values.is_empty()
    }

    /// The scope's text, if it is one of those that entries carry.
    pub(crate) fn text(&self, rules: &Rules, tenantless: bool) -> Result<String, ScopeError> {
        let template =
            self.template.as_ref().map_err(|error| ScopeError::Template(error.clone()))?;
        let value = |name: &str| {
            self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        let mut text = String::new();
        template.bind(value, &mut text).map_err(|error| ScopeError::Unbound(error.to_string()))?;
        let is_known = |name: &str| template.params().any(|known| known == name);
        if let Some((name, _)) = self.values.iter().find(|(name, _)| !is_known(name)) {
            let scope = template.as_str().to_owned();
            return Err(ScopeError::UnknownParameter { scope, parameter: name.clone() });
        }
        if rules.carries(template, &text, tenantless) {
            Ok(text)
        } else {
            Err(ScopeError::UnknownScope(template.as_str().to_owned()))
        }
    }
}

/// Why a scope can't be invalidated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScopeError {
    /// Its template is malformed.
    Template(TemplateError),
    /// One of its parameters has no value.
    Unbound(String),
    /// A value was given for a parameter that it does not have.
    UnknownParameter {
        /// The scope's template, or the set's name.
        scope: String,
        /// The parameter.
        parameter: String,
    },
    /// No route, rule or set declares it, so that no entry carries its stamp.
    UnknownScope(String),
    /// There is no set with this name.
    UnknownSet(String),
    /// The set was not declared with `or_all()`.
    NotForAll(String),
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template(_) => f.write_str("the scope is malformed"),
            Self::Unbound(what) => write!(f, "the scope lacks a value: {what}"),
            Self::UnknownParameter { scope, parameter } => write!(
                f,
                "{scope} has no parameter {{{parameter}}}: check its spelling, or leave the value out"
            ),
            Self::UnknownScope(template) => write!(
                f,
                "no cached route, rule or set declares the scope {template}: declare it with \
                 `CacheBuilder::scope`, or use `delete_pattern` for a glob of the moment"
            ),
            Self::UnknownSet(name) => write!(f, "there is no invalidation set named {name:?}"),
            Self::NotForAll(name) => {
                write!(f, "the set {name:?} is for one at a time: declare it with `or_all()`")
            }
        }
    }
}

impl Error for ScopeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Template(error) => Some(error),
            _ => None,
        }
    }
}
