//! What HTTP says: pure rules over `http` types, without I/O and without a clock.
//!
//! Each rule stands beside the section of the RFC that it obeys. Where an RFC leaves a choice, the
//! rule takes the one that serves or stores less.

mod age;
mod cache_control;
mod cache_status;
pub mod conditional;
mod date;
pub mod etag;
pub mod freshness;
mod glance;
pub mod groups;
mod hop_by_hop;
pub mod invalidation;
mod lifetime;
mod list;
pub mod no_vary_search;
pub mod permission;
pub mod range;
mod request;
pub mod serve;
mod storable;
pub mod targeted;
pub mod vary;

pub use self::age::{MAX_SECONDS, age, initial_age};
pub use self::cache_control::{CacheControl, Extent};
pub(crate) use self::cache_status::HitStatus;
pub use self::cache_status::{CacheStatus, Forwarded, Fwd, Outcome};
pub use self::date::http_date;
pub(crate) use self::glance::{Glance, Several};
pub use self::hop_by_hop::strip;
pub use self::lifetime::lifetime;
pub use self::request::{
    Credentials, RequestBypass, bypass_beside_content, bypass_by_request, has_credentials,
    is_ambiguous,
};
pub use self::storable::{StorableRules, Uncacheable, body_refusal, head_size, response_refusal};
