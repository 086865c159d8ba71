//! A store in Redis that any number of instances share.
//!
//! What must be one step is one script, hits are one `MGET`, and bodies never pass through a
//! script. Each connection knows which run of the server it talks to and notices its own end, so
//! nothing has to be asked before a command. A server, 7.0 or later, or a cluster of them, or those
//! that sentinels watch. `docs/REDIS.md` says what it needs, and what happens when something is
//! wrong with it.
//!
//! | file | what |
//! |---|---|
//! | `store`, `builder`, `target` | what an app holds, and what it is told |
//! | `reading`, `entries`, `scopes`, `patterns`, `elsewhere` | the steps |
//! | `script`, `replies` | scripts, and what they answer |
//! | `gather` | look-ups that are sent together |
//! | `nodes`, `lookout`, `watchers`, `view` | which server a step goes to, and how that is learned |
//! | `tenure`, `lately`, `handed_over` | when another primary is used, and what it is told first |
//! | `node`, `pool`, `server`, `connection`, `address`, `tls` | one server, and the ways to it |
//! | `checkup` | whether the server is what it should be |
//! | `identity`, `clock`, `feed`, `failure` | what it says: who it is, the time, what moves, what is wrong |

mod address;
mod builder;
mod checkup;
mod clock;
mod connection;
mod elsewhere;
mod entries;
mod failure;
mod feed;
mod gather;
mod handed_over;
mod identity;
mod lately;
mod lookout;
mod node;
mod nodes;
mod patterns;
mod pool;
mod reading;
mod replies;
mod scopes;
mod script;
mod server;
mod store;
mod target;
mod tenure;
#[cfg(feature = "tls")]
mod tls;
mod view;
mod watchers;

pub use self::builder::RedisStoreBuilder;
pub use self::store::RedisStore;
