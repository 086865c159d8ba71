//! One request, step by step: admit, look up, hit or run, fill; or write and invalidate.
//!
//! | file | step |
//! |---|---|
//! | `matching` | which route |
//! | `admit`, `admit_write` | which tenant, which key, which scopes; or why not |
//! | `keying`, `known_keys` | its names, worked out or remembered |
//! | `variant_text` | what of it stands beside path and query |
//! | `content` | a request's content, where it is part of the key |
//! | `read` | the order of the steps of a read |
//! | `origin` | the service inside, and what a request still has for it |
//! | `lookup` | ask the store, and judge what it has |
//! | `variants` | which of the key's variants, where responses vary |
//! | `search`, `spelling` | which part of a query counts, and how it was spelled |
//! | `freshness` | whether an entry may still answer |
//! | `hit`, `prepared_heads` | an entry becomes a response |
//! | `step`, `breaker` | each step of the store has a time limit, and is not taken while the store is away |
//! | `coalesce` | one run for all who miss together: flights here, leases across instances |
//! | `flights`, `joined` | who waits for whom, and what becomes of who has waited |
//! | `capacity` | how many runs there may be at once |
//! | `run` | the handler on a task of its own |
//! | `solo` | the handler for one client alone |
//! | `ask`, `lease` | the right to run it |
//! | `collect`, `pipe`, `read_ahead` | between the run and its client |
//! | `freshen`, `confirm` | what is stored is brought up to date by a 304 or a HEAD |
//! | `plan` | whether a response is stored, for how long, and as what |
//! | `fill` | it is stored, and given to those who wait |
//! | `value` | the same for a value of the typed data cache |
//! | `write`, `at_end` | a mutating request and its invalidation, whatever becomes of the client |
//! | `status` | what Cache-Status says, and the count of it |
//! | `uncacheable` | whose answers can't be shared, for a while |
//! | `shared` | what all of these work with |
//! | `inspect` | what is stored under a key, for people who want to know |
//! | `invalidation` | an invalidation until it is confirmed |

mod admit;
mod admit_write;
mod ask;
mod at_end;
mod capacity;
mod breaker;
mod coalesce;
mod collect;
mod confirm;
mod content;
mod fill;
mod flights;
mod freshen;
mod freshness;
mod hit;
#[cfg(feature = "admin")]
mod inspect;
mod invalidation;
mod joined;
mod keying;
mod known_keys;
mod lease;
mod lookup;
mod matching;
mod origin;
mod pipe;
mod plan;
mod prepared_heads;
mod read;
mod read_ahead;
mod run;
mod search;
mod shared;
mod solo;
mod spelling;
mod status;
mod step;
mod uncacheable;
#[cfg(feature = "data")]
pub(crate) mod value;
mod variant_text;
mod variants;
mod write;

pub(crate) use self::admit::{Admission, admit, bypass};
pub(crate) use self::at_end::AtEnd;
pub(crate) use self::content::read_content;
#[cfg(feature = "admin")]
pub(crate) use self::inspect::{
    Inspection, StampState, Uninspected, Worth, inspect_stored, inspect_target, list, ping,
};
pub(crate) use self::invalidation::invalidate;
pub(crate) use self::matching::{Mark, Matched, match_head, match_route, with_full_path};
pub(crate) use self::origin::Origin;
pub(crate) use self::pipe::PipeReader;
pub(crate) use self::read::{Read, at_once, read};
#[cfg(feature = "metrics")]
pub(crate) use self::shared::watch_levels;
pub(crate) use self::shared::{Attitude, Settings, Shared};
pub(crate) use self::step::long_step;
#[cfg(feature = "data")]
pub(crate) use self::value::Obtained;
pub(crate) use self::write::{Write, write};
