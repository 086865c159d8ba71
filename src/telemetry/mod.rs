//! What happened to a request, in words and in numbers.

mod outcome;
mod stats;

pub use self::outcome::Bypass;
pub(crate) use self::stats::Counters;
pub use self::stats::Stats;
