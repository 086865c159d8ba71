//! What the cache does, in words: for a configuration, and for one request.
//!
//! Nothing here asks the store. What is said of a request is worked out by the very functions that
//! admit requests, so that it can't say otherwise than what happens.

mod config;
mod hint;
mod request;
mod words;

pub(crate) use self::config::explain;
pub use self::config::{Explanation, RouteExplanation, RuleExplanation};
pub use self::hint::Hint;
pub(crate) use self::request::explain_request;
pub use self::request::{
    LookupExplanation, NotCached, RequestExplanation, Treatment, WriteExplanation,
};
