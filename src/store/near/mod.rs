//! What a process keeps of a shared store, so that a hit asks nobody.
//!
//! | file | what |
//! |---|---|
//! | `config` | the choice of a mode and its limits |
//! | `positions` | what has moved, and since when it is known |
//! | `kept` | the answers that are kept, and whether they still hold |
//!
//! An answer of a look-up holds as long as none of the names has moved that it was read with. Before
//! the store is asked, the position of each name is noted; whatever moves a name advances its
//! position; an answer whose positions have advanced is none. So nothing has to be found and removed
//! when something moves, and an answer that was under way meanwhile is never taken.

mod config;
mod kept;
mod positions;

pub(super) use self::config::Mode;
pub use self::config::NearCache;
pub(super) use self::kept::{By, Kept, Near, Told};
pub(super) use self::positions::Moving;
