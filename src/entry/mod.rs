//! The stored response or value, and the bytes it is stored as.
//!
//! A frame begins with a [`Head`] at fixed offsets, which stores and their scripts can read by
//! themselves; what follows is known to [`Entry::encode`] and [`Entry::decode`] alone. Frames of
//! every released version are kept under `tests/golden/`.

mod codec;
mod error;
mod field_code;
mod head;
mod prepared;
mod stamp;
mod stored;
#[cfg(test)]
mod tests;
mod varint;

pub use self::error::DecodeError;
pub use self::head::Head;
pub use self::prepared::Prepared;
pub(crate) use self::prepared::Told;
pub use self::stamp::{Generation, Id, Millis, RunId, Snapshot};
pub use self::stored::{Content, Entry};
