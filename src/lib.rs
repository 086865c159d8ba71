//! x
pub mod entry;
pub mod key;
pub mod protocol;
pub mod store;
