//! The routers that find a request's declarations.

use std::collections::BTreeMap;

use crate::key::{PathTemplate, Segment, normalize_value_lossy};
use crate::policy::ConfigError;
use crate::policy::rules::PathTable;

/// The path templates of one table, each with what belongs to it.
#[derive(Default)]
pub(super) struct Table(BTreeMap<String, (String, Vec<usize>)>);

impl Table {
    pub(super) fn push(&mut self, path: &PathTemplate, value: usize) {
        let slot = self.0.entry(path.as_str().to_owned());
        slot.or_insert_with(|| (canonical_template(path), Vec::new())).1.push(value);
    }

    pub(super) fn finish(self) -> Result<PathTable<Vec<usize>>, ConfigError> {
        self.build(|_, values| Ok(values))
    }

    pub(super) fn finish_single(self) -> Result<PathTable<usize>, ConfigError> {
        self.build(|path, values| match *values {
            [only] => Ok(only),
            _ => Err(conflict(path, &"the same path is declared twice")),
        })
    }

    fn build<T: Clone>(
        self,
        value: impl Fn(&str, Vec<usize>) -> Result<T, ConfigError>,
    ) -> Result<PathTable<T>, ConfigError> {
        let (mut raw, mut canonical) = (matchit::Router::new(), matchit::Router::new());
        for (path, (canonical_path, values)) in self.0 {
            let value = value(&path, values)?;
            raw.insert(&path, value.clone()).map_err(|error| conflict(&path, &error))?;
            canonical.insert(canonical_path, value).map_err(|error| conflict(&path, &error))?;
        }
        Ok(PathTable { raw, canonical })
    }
}

fn conflict(path: &str, reason: &dyn ToString) -> ConfigError {
    ConfigError::Conflict { path: path.to_owned(), reason: reason.to_string() }
}

/// The template with its literals as they stand in a normalised path.
fn canonical_template(path: &PathTemplate) -> String {
    let mut template = String::new();
    for segment in path.segments() {
        template.push('/');
        match segment {
            // Canonical text has no braces that would have to be doubled.
            Segment::Literal(text) => normalize_value_lossy(text, &mut template),
            Segment::Param(name) => template.extend(["{", name, "}"]),
            Segment::Rest(name) => template.extend(["{*", name, "}"]),
        }
    }
    template
}
