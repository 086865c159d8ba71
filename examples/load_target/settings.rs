//! What the environment says.

use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The settings of one server.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `MODE`: which cache, if any.
    pub(crate) mode: String,
    /// `PORT`: 0 takes a free one.
    pub(crate) port: u16,
    /// `SIZE`: of an item's body, in bytes; 0 for as many as the item's number.
    pub(crate) size: usize,
    /// `WORKERS`: threads that serve.
    pub(crate) workers: usize,
    /// `REDIS_URL`.
    pub(crate) redis_url: String,
    /// `CONNECTIONS`: to Redis.
    #[allow(dead_code, reason = "not every server can have several")]
    pub(crate) connections: u32,
    /// `MISS_MS`: how long an item takes to be made.
    pub(crate) miss: Duration,
    /// `EVERYBODY`: whether a rule moves all tenants at once, so that each key has that scope.
    #[allow(dead_code, reason = "not every server has tenants")]
    pub(crate) everybody: bool,
    /// `TTL_MS`: for how long an item is fresh.
    pub(crate) ttl: Duration,
}

impl Settings {
    /// Reads them; an unset one has the value of a laptop's first try.
    ///
    /// # Errors
    ///
    /// Names the first variable that does not parse.
    pub(crate) fn from_env() -> Result<Self, String> {
        Ok(Self {
            mode: read("MODE", "redis".to_owned())?,
            port: read("PORT", 3000)?,
            size: read("SIZE", 1024)?,
            workers: read("WORKERS", 1)?,
            redis_url: read("REDIS_URL", "redis://127.0.0.1".to_owned())?,
            connections: read("CONNECTIONS", 1)?,
            miss: Duration::from_millis(read("MISS_MS", 5)?),
            everybody: read("EVERYBODY", false)?,
            ttl: Duration::from_millis(read("TTL_MS", 3_600_000)?),
        })
    }
}

fn read<T: FromStr<Err: Display>>(name: &str, unset: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}={text}: {error}")),
        Err(_) => Ok(unset),
    }
}
