//! The stored response or value, and the bytes it is stored as.

mod head;
mod stamp;

pub use self::head::Head;
pub use self::stamp::{Generation, Id, Millis, RunId, Snapshot};
