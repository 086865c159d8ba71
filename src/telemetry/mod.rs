//! What happened to a request, in words and in numbers.
//!
//! The flow tells [`Telemetry`] each thing once; what is counted, and for whom, is decided here:
//! [`Stats`] and [`RouteStats`] always, metrics with the feature, spans where a subscriber wants
//! them.

mod answered;
#[cfg_attr(not(feature = "metrics"), path = "no_handle.rs")]
mod handle;
mod meters;
mod names;
mod outcome;
mod recent;
mod route;
mod seam;
#[cfg(feature = "admin")]
mod space_saving;
pub(crate) mod span;
mod stats;
mod tenants;

pub(crate) use self::answered::Answered;
pub(crate) use self::handle::Stopwatch;
pub use self::outcome::Bypass;
#[cfg(feature = "admin")]
pub(crate) use self::recent::Invalidation;
pub(crate) use self::recent::Recent;
pub use self::route::RouteStats;
pub(crate) use self::route::RouteTelemetry;
#[cfg(feature = "metrics")]
pub(crate) use self::seam::Levels;
pub(crate) use self::seam::{Bound, Telemetry};
pub use self::stats::Stats;
pub(crate) use self::tenants::Tenants;
#[cfg(feature = "admin")]
pub(crate) use self::tenants::{TenantLine, Top};
