//! Request bodies that are read for their key and handed on to the handler.

mod body;
mod read;
mod replayers;

pub use self::body::ReplayBody;
pub(crate) use self::read::{Limits, Unread};
pub(crate) use self::replayers::{Replayer, Replayers};
