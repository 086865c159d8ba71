//! What is to be invalidated, as it is asked for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::access::Access;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::key::{Glob, ScopeNames, Space};
use crate::policy::Scope;
use crate::store::Mode;
use crate::tenant::InvalidateError;
use crate::{ScopeError, TenantCache};

/// The body of an invalidation. One of `path` to `glob` says what.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a field of the API")]
pub(super) struct Order {
    /// Whose keys.
    pub(super) tenant: Option<String>,
    /// Those that belong to no tenant.
    pub(super) tenantless: bool,
    pub(super) path: Option<String>,
    pub(super) subtree: Option<String>,
    pub(super) pattern: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) group: Option<String>,
    pub(super) set: Option<String>,
    /// All that the tenant has.
    pub(super) everything: bool,
    /// For `delete`: the entries whose key text matches.
    pub(super) glob: Option<String>,
    /// The values of the parameters of a scope or a set.
    pub(super) with: BTreeMap<String, String>,
    /// A set for all values of its parameters.
    pub(super) for_all: bool,
    /// What it reaches is stale, and not gone.
    pub(super) soft: bool,
}

/// What can be chosen in the form, as it is called in the API and for people.
pub(super) const KINDS: [(&str, &str); 8] = [
    ("path", "Path, with all its queries"),
    ("subtree", "Path and what lies below it"),
    ("pattern", "Declared pattern"),
    ("tag", "Tag"),
    ("group", "Group named by responses"),
    ("set", "Named set"),
    ("everything", "Everything of the tenant"),
    ("glob", "Delete by a pattern of the moment (searches)"),
];

/// The fields of the form.
pub(super) const FIELDS: [&str; 8] =
    ["tenant", "tenantless", "kind", "value", "with", "for_all", "soft", "token"];

/// An order that makes sense.
pub(super) enum Plan {
    Invalidate(ScopeNames, Mode),
    Delete(String),
}

impl Order {
    /// What a form says: `kind` and `value`, and `with` in lines of `name=value`.
    pub(super) fn of_form(form: &Parameters) -> Result<Self, Problem> {
        let value = form.get("value").map(str::to_owned);
        let mut order = Self {
            tenant: form.get("tenant").map(str::to_owned),
            tenantless: form.flag("tenantless")?,
            for_all: form.flag("for_all")?,
            soft: form.flag("soft")?,
            ..Self::default()
        };
        for line in form.get("with").unwrap_or_default().lines().map(str::trim) {
            if line.is_empty() {
                continue;
            }
            let pair = line.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
            let (name, value) = pair.ok_or_else(|| {
                Problem::bad("write the values of parameters as `id=42`, each in a line of its own")
            })?;
            order.with.insert(name.to_owned(), value.to_owned());
        }
        let kind = form.get("kind").unwrap_or_default();
        if kind == "everything" {
            order.everything = true;
            return Ok(order);
        }
        let place = match kind {
            "path" => &mut order.path,
            "subtree" => &mut order.subtree,
            "pattern" => &mut order.pattern,
            "tag" => &mut order.tag,
            "group" => &mut order.group,
            "set" => &mut order.set,
            "glob" => &mut order.glob,
            _ => return Err(Problem::bad("choose what is to be invalidated")),
        };
        *place = Some(value.ok_or_else(|| {
            Problem::bad(
                "write what is to be invalidated into the field, such as /users or users:*",
            )
        })?);
        Ok(order)
    }

    /// What is to be done, if that is one thing, known, and within reach.
    pub(super) fn plan(&self, access: &Access) -> Result<(TenantCache, Plan), Problem> {
        let part = access.part(self.tenant.as_deref(), self.tenantless)?;
        let kinds = self.kinds();
        let [(kind, value)] = kinds[..] else {
            return Err(Problem::bad(
                "say one thing to be invalidated: `path`, `subtree`, `pattern`, `tag`, `group`, \
                 `set`, `everything`, or for `delete`, `glob`",
            ));
        };
        if self.for_all && kind != "set" {
            return Err(Problem::bad("`for_all` is for a `set`"));
        }
        if self.soft && matches!(kind, "group" | "glob") {
            return Err(Problem::bad(format!("a `{kind}` can't be invalidated softly")));
        }
        let takes_values = matches!(kind, "path" | "subtree" | "pattern" | "tag" | "set");
        if !self.with.is_empty() && (!takes_values || self.for_all) {
            return Err(Problem::bad("`with` is for the parameters of a scope or a set"));
        }
        if kind == "glob" {
            Glob::new(value)
                .map_err(|error| Problem::of_invalidation(&InvalidateError::Glob(error)))?;
            return Ok((part, Plan::Delete(value.to_owned())));
        }
        let scopes = self
            .scopes(&part, kind, value)
            .map_err(|error| Problem::of_invalidation(&InvalidateError::Scope(error)))?;
        if !access.admits(&scopes) {
            return Err(Problem::confined());
        }
        let mode = if self.soft { Mode::Soft } else { Mode::Hard };
        Ok((part, Plan::Invalidate(scopes, mode)))
    }

    /// What is to be done, as the log and receipts call it.
    pub(super) fn action(&self) -> &'static str {
        if self.glob.is_some() { "delete-pattern" } else { "invalidate" }
    }

    /// What is asked for, in words.
    pub(super) fn words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for (kind, value) in self.kinds() {
            words.push(match kind {
                "everything" => kind.to_owned(),
                kind => format!("{kind} {value}"),
            });
        }
        words.extend(self.with.iter().map(|(name, value)| format!("{name}={value}")));
        if self.for_all {
            words.push("for all values".to_owned());
        }
        words.join(", ")
    }

    fn scopes(
        &self,
        part: &TenantCache,
        kind: &str,
        value: &str,
    ) -> Result<ScopeNames, ScopeError> {
        let scope = match kind {
            "path" => Scope::path(value),
            "subtree" => Scope::subtree(value),
            "pattern" => Scope::pattern(value),
            "tag" => Scope::tag(value),
            "group" => return Ok(part.group(value)),
            "set" if self.for_all => return part.set_for_all(value),
            "set" => {
                let pairs: Vec<(&str, &str)> =
                    self.with.iter().map(|(name, value)| (&**name, &**value)).collect();
                return part.names_of_set(value, &pairs);
            }
            _ => return Ok(part.everything()),
        };
        let with = |scope: Scope, (name, value): (&String, &String)| scope.with(name, value);
        part.names_of(&self.with.iter().fold(scope, with))
    }

    fn kinds(&self) -> Vec<(&'static str, &str)> {
        let texts = [
            ("path", &self.path),
            ("subtree", &self.subtree),
            ("pattern", &self.pattern),
            ("tag", &self.tag),
            ("group", &self.group),
            ("set", &self.set),
            ("glob", &self.glob),
        ];
        let given = texts.into_iter().filter_map(|(kind, text)| Some((kind, text.as_deref()?)));
        given.chain(self.everything.then_some(("everything", ""))).collect()
    }
}

impl Plan {
    pub(super) fn mode(&self) -> &'static str {
        match self {
            Self::Invalidate(_, Mode::Soft) => "soft",
            Self::Invalidate(_, Mode::Hard) | Self::Delete(_) => "hard",
        }
    }

    /// The texts of the scopes, or the pattern.
    pub(super) fn scopes(&self, part: &TenantCache) -> Vec<String> {
        match self {
            Self::Invalidate(scopes, _) => texts(part.space(), scopes),
            Self::Delete(glob) => vec![format!("keys like {glob}")],
        }
    }
}

fn texts(space: &Space, scopes: &ScopeNames) -> Vec<String> {
    let own = space.prefix('g');
    let names = scopes.generations().iter();
    let texts = names.map(|name| name.strip_prefix(&own).unwrap_or(name).to_owned());
    texts.chain(scopes.all_tenants().map(|_| "all tenants".to_owned())).collect()
}
