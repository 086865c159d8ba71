//! The typed data cache: values of the app's own, under the tenants, scopes and guarantees of the
//! responses.
//!
//! | file | what |
//! |---|---|
//! | `key` | the key of a value, and its tags |
//! | `ttl` | for how long it is kept |
//! | `fetch` | get it, or have it fetched |
//! | `direct` | get, set and remove it |
//! | `error` | why that has failed |

mod direct;
mod error;
mod fetch;
mod key;
mod ttl;

pub use self::error::{DataError, DataErrorKind};
pub use self::key::DataKey;
pub use self::ttl::DataTtl;
