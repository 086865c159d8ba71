//! What happened to a request, in words and in numbers.
//!
//! The flow tells [`Telemetry`] each thing once; what is counted, and for whom, is decided here.

mod answered;
mod outcome;
mod recent;
mod route;
mod seam;
mod stats;

pub(crate) use self::answered::Answered;
pub use self::outcome::Bypass;
#[cfg(feature = "admin")]
pub(crate) use self::recent::Invalidation;
pub(crate) use self::recent::Recent;
pub use self::route::RouteStats;
pub(crate) use self::route::RouteTelemetry;
pub(crate) use self::seam::{Bound, Telemetry};
pub use self::stats::Stats;
