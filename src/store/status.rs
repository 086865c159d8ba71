//! How a store stands, for those who watch it.

use std::fmt;

/// How a store stands, as far as it can tell without asking anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStatus {
    /// What and where it is, without any password: `Redis at 10.0.0.7:6379`. Empty if unknown.
    pub place: String,
    /// How many connections it has, and how many it wants to have; `None` of a store without any.
    pub connections: Option<(u32, u32)>,
    /// Its near-cache, if it has one.
    pub near: Option<NearStatus>,
}

impl StoreStatus {
    /// That of a store which is at this place and has no more to say.
    pub fn at(place: impl Into<String>) -> Self {
        Self { place: place.into(), ..Self::default() }
    }
}

/// How a near-cache stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NearStatus {
    /// Whether it asks the store before each answer.
    pub strict: bool,
    /// How many bytes it holds.
    pub bytes: u64,
    /// Whether it answers: in the coherent mode, while its feed is proven alive.
    pub alive: bool,
}

impl fmt::Display for StoreStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.place.is_empty() { "a store of its own kind" } else { &self.place })?;
        match &self.near {
            Some(near) if near.strict => f.write_str(" with a strict near-cache"),
            Some(_) => f.write_str(" with a coherent near-cache"),
            None => Ok(()),
        }
    }
}
