//! A store in Redis that any number of instances share.
//!
//! What must be one step is one script, hits are one `MGET`, and bodies never pass through a
//! script. Each connection knows which run of the server it talks to and notices its own end, so
//! nothing has to be asked before a command. A single server, 7.0 or later. `docs/REDIS.md` says what
//! it needs, and what happens when something is wrong with it.

mod address;
mod builder;
mod checkup;
mod clock;
mod connection;
mod entries;
mod failure;
mod feed;
mod identity;
mod patterns;
mod pool;
mod scopes;
mod script;
mod server;
mod store;
#[cfg(feature = "tls")]
mod tls;

pub use self::builder::RedisStoreBuilder;
pub use self::store::RedisStore;
