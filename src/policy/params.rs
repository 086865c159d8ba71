//! The parameters that a request's path gave to a route's template.

use crate::key::{Malformed, normalize_value, normalize_value_lossy};

/// A route's parameters as the request spelled them.
#[derive(Debug)]
pub(crate) struct Params<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Params<'a> {
    pub(crate) fn new(params: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(params.collect())
    }

    /// The value of a parameter, percent-encoded as it came.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// A route's parameters in the one spelling that keys and scopes use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Canonical(Vec<(Box<str>, String)>);

impl Canonical {
    /// Of a read: a malformed escape is refused.
    pub(crate) fn strict(params: &Params<'_>) -> Result<Self, Malformed> {
        let mut canonical = Vec::with_capacity(params.0.len());
        for (name, raw) in &params.0 {
            let mut value = String::with_capacity(raw.len());
            normalize_value(raw, &mut value)?;
            canonical.push(((*name).into(), value));
        }
        Ok(Self(canonical))
    }

    /// Of a write: a malformed escape is taken for the characters that it is made of.
    pub(crate) fn lossy(params: &Params<'_>) -> Self {
        let canonical = params.0.iter().map(|(name, raw)| {
            let mut value = String::with_capacity(raw.len());
            normalize_value_lossy(raw, &mut value);
            ((*name).into(), value)
        });
        Self(canonical.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.as_str())
    }
}
