//! What rules, sets and scopes may move, held against what is cached.

use super::checks::{check_bound, check_effect, check_reads, check_tenancy, malformed, parse_path};
use super::draft::Draft;
use crate::key::ScopeTemplate;
use crate::policy::compile::Declarations;
use crate::policy::rules::{Declared, Set, WriteRule};
use crate::policy::scopes::Scope;
use crate::policy::set::InvalidationSet;
use crate::policy::target::Target;
use crate::policy::{ConfigError, On};

/// What is known so far of what can move.
pub(super) struct Known<'a> {
    pub(super) drafts: &'a [Draft<'a>],
    pub(super) declared: Vec<Declared>,
    /// Values may have any key and any tag.
    pub(super) values: bool,
}

impl Known<'_> {
    pub(super) fn rule(
        &mut self,
        rule: &On,
        declarations: &Declarations,
    ) -> Result<WriteRule, ConfigError> {
        let declaration = format!("{} {}", rule.method, rule.path);
        if rule.method.is_safe() || rule.method.as_str() == "QUERY" {
            return Err(ConfigError::SafeMethod(declaration));
        }
        check_effect(&declaration, &rule.effect)?;
        let path = parse_path(&rule.path)?;
        check_reads(&declaration, &rule.method, &path, self.drafts)?;
        check_tenancy(&path, rule.tenantless, declarations)?;
        let targets = self.targets(&declaration, &rule.targets, rule.tenantless, false)?;
        for target in &targets {
            let has = |name: &str| path.params().any(|param| param == name);
            check_bound(&declaration, target.as_str(), target, has)?;
            if path.rest().is_some_and(|rest| target.params().any(|param| param == rest))
                && self.drafts.iter().any(|draft| draft.has_segments_of(target))
            {
                return Err(ConfigError::Contradiction {
                    path: declaration,
                    reason: "a catch-all stands for several segments, and a parameter of a target \
                             for one, so that nothing below the first would be reached: name a \
                             subtree above it, or a tag",
                });
            }
        }
        Ok(WriteRule {
            targets,
            tenant: rule.targets.contains(&Target::Tenant),
            all_tenants: rule.targets.contains(&Target::AllTenants),
            ..WriteRule::new(&declaration, rule.tenantless, rule.effect.clone())
        })
    }

    pub(super) fn set(&mut self, set: &InvalidationSet) -> Result<Set, ConfigError> {
        let declaration = format!("the set {:?}", set.name);
        Ok(Set {
            targets: self.targets(&declaration, &set.targets, false, set.or_all)?,
            tenant: set.targets.contains(&Target::Tenant),
            all_tenants: set.targets.contains(&Target::AllTenants),
            or_all: set.or_all,
        })
    }

    pub(super) fn scope(&mut self, scope: &Scope) -> Result<(), ConfigError> {
        let template = scope.template().map_err(malformed("a scope", "a scope"))?;
        if scope.has_values() {
            return Err(ConfigError::Contradiction {
                path: format!("the scope {}", template.as_str()),
                reason: "a scope is declared for all values of its parameters: give them, \
                         `.with(…)`, when it is invalidated",
            });
        }
        let mut reached = false;
        for tenantless in [false, true] {
            if self.is_reached(template, tenantless) {
                self.declare(template, false, tenantless);
                reached = true;
            }
        }
        if reached {
            return Ok(());
        }
        Err(ConfigError::MatchesNothing {
            declaration: "a scope".to_owned(),
            target: template.as_str().to_owned(),
        })
    }

    fn targets(
        &mut self,
        declaration: &str,
        targets: &[Target],
        tenantless: bool,
        or_all: bool,
    ) -> Result<Vec<ScopeTemplate>, ConfigError> {
        if targets.is_empty() {
            return Err(ConfigError::NoTargets(declaration.to_owned()));
        }
        let mut templates = Vec::new();
        for target in targets {
            let (template, text) = match target {
                Target::Path(path) => (ScopeTemplate::path(path), path),
                Target::Subtree(path) => (ScopeTemplate::subtree(path), path),
                Target::Pattern(glob) => (ScopeTemplate::pattern(glob), glob),
                Target::Tag(tag) => (ScopeTemplate::tag(tag), tag),
                Target::Tenant | Target::AllTenants => continue,
            };
            let template = template.map_err(malformed(declaration, text))?;
            if !self.is_reached(&template, tenantless) {
                return Err(ConfigError::MatchesNothing {
                    declaration: declaration.to_owned(),
                    target: template.as_str().to_owned(),
                });
            }
            self.declare(&template, false, tenantless);
            if or_all && template.params().len() > 0 {
                self.declare(&template, true, tenantless);
            }
            templates.push(template);
        }
        Ok(templates)
    }

    fn is_reached(&self, target: &ScopeTemplate, tenantless: bool) -> bool {
        self.values || self.drafts.iter().any(|draft| draft.is_reached(target, tenantless))
    }

    fn declare(&mut self, template: &ScopeTemplate, open: bool, tenantless: bool) {
        let declared = Declared { template: template.clone(), open, tenantless };
        if !self.declared.contains(&declared) {
            self.declared.push(declared);
        }
    }
}
