//! x
pub mod entry;
pub mod key;
pub mod store;
