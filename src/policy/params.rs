//! The parameters that a request's path gave to a route's template.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::key::{Malformed, normal_value, normal_value_lossy};

/// A route's parameters as the request spelled them.
#[derive(Debug, Default)]
pub(crate) struct Params<'a>(SmallVec<[(&'a str, &'a str); FEW]>);

/// How many parameters cost no allocation.
const FEW: usize = 4;

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
pub(crate) struct Canonical<'a>(SmallVec<[(&'a str, Cow<'a, str>); FEW]>);

impl<'a> Canonical<'a> {
    /// Of a read: a malformed escape is refused.
    pub(crate) fn strict(params: &Params<'a>) -> Result<Self, Malformed> {
        params
            .0
            .iter()
            .map(|(name, raw)| Ok((*name, normal_value(raw)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Of a write: a malformed escape is taken for the characters that it is made of.
    pub(crate) fn lossy(params: &Params<'a>) -> Self {
        let canonical = params.0.iter().map(|(name, raw)| (*name, normal_value_lossy(raw)));
        Self(canonical.collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }
}
