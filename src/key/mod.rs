//! From tenant, path, query and variant to one injective name.

mod encode;
mod glob;
mod name;

pub use self::encode::encode;
pub use self::glob::{Glob, GlobError};
pub use self::name::{EPOCHS, Names, ScopeNames, Space};
