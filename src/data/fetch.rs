//! Get a value, or have it fetched.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::error::DataError;
use super::key::DataKey;
use super::ttl::DataTtl;
use crate::entry::Entry;
use crate::flow::{Obtained, Read, value};
use crate::tenant::TenantCache;

/// How often what is there may turn out to be of another type before it is not waited for any more.
const TRIES: usize = 3;

impl TenantCache {
    /// The value under this key; if there is none, what `fetch` gives, which is stored for `ttl`.
    ///
    /// Values are stored as JSON. Of those who ask for a key together, in this process and on other
    /// instances, one fetches. `fetch` is polled where this future is, never on a task of its own,
    /// so it may borrow. Once an invalidation that reaches the key is confirmed, nobody who asks
    /// later gets what was fetched before.
    ///
    /// Nothing that is wrong with the cache becomes an error: if the store is away, the key is no key, the
    /// value can't be written as JSON or is too large, `fetch` runs and its value is given. What is
    /// stored and is no `T` counts as absent, and is replaced.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_response_cache::{Cache, MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::builder(MemoryStore::new()).build()?;
    /// # struct Db;
    /// # impl Db { async fn hours(&self, gym: u32) -> Result<Vec<u8>, std::io::Error> { Ok(vec![8, 22]) } }
    /// # let db = Db;
    /// let minute = Duration::from_secs(60);
    /// let hours: Vec<u8> =
    ///     cache.tenant("4")?.get_or_fetch("hours", 60 * minute, async || db.hours(4).await).await?;
    /// # assert_eq!(hours, [8, 22]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What can't be written as JSON does not compile:
    ///
    /// ```compile_fail,E0277
    /// use std::{convert::Infallible, time::Duration};
    /// use tower_response_cache::TenantCache;
    ///
    /// struct Hours;
    ///
    /// async fn hours(gym: TenantCache) -> Result<Hours, Infallible> {
    ///     gym.get_or_fetch("hours", Duration::from_secs(60), async || Ok(Hours)).await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// What `fetch` gives, unchanged. Those who waited for it fetch for themselves.
    ///
    /// # Dropping
    ///
    /// Drops `fetch` if it runs; of those who wait for it one begins anew. Nothing partial is stored.
    pub async fn get_or_fetch<T, E>(
        &self,
        key: impl Into<DataKey>,
        ttl: impl Into<DataTtl>,
        fetch: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
    {
        let (key, ttl) = (key.into(), ttl.into());
        let mut read = match self.read(&key, ttl) {
            Ok(read) => read,
            Err(error) => {
                warn(&error);
                return fetch().await;
            }
        };
        let shared = self.shared();
        let mut tries = 0;
        let mut run = loop {
            match value::obtain(shared, &mut read, tries > 0).await {
                Obtained::Served(entry) => {
                    if let Some(found) = decode(&entry) {
                        return Ok(found);
                    }
                    shared.telemetry.of_another_type();
                    tracing::warn!("a stored value is of another type; it is fetched again");
                }
                Obtained::Run(run) => break run,
            }
            tries += 1;
            if tries == TRIES {
                return fetch().await;
            }
        };
        let began = Instant::now();
        match value::make(shared, &read, &mut run, fetch()).await {
            Ok(made) => {
                match self.encode(&made).ok().and_then(|json| Some((ttl.of(&json)?, json))) {
                    Some((span, json)) => value::finish(shared, read, run, json, span, began),
                    None => value::failed(&mut run),
                }
                Ok(made)
            }
            Err(error) => {
                value::failed(&mut run);
                Err(error)
            }
        }
    }

    /// As [`get_or_fetch`](Self::get_or_fetch), for JSON of any shape.
    ///
    /// # Errors
    ///
    /// What `fetch` gives, unchanged.
    ///
    /// # Dropping
    ///
    /// As [`get_or_fetch`](Self::get_or_fetch).
    pub async fn get_or_fetch_json<E>(
        &self,
        key: impl Into<DataKey>,
        ttl: impl Into<DataTtl>,
        fetch: impl AsyncFnOnce() -> Result<serde_json::Value, E>,
    ) -> Result<serde_json::Value, E> {
        self.get_or_fetch(key, ttl, fetch).await
    }
}

fn warn(error: &DataError) {
    let source = std::error::Error::source(error).map(tracing::field::display);
    tracing::warn!(%error, source, "a value is fetched past the cache");
}

/// What an entry holds, if it is a `T`.
pub(super) fn decode<T: DeserializeOwned>(entry: &Entry) -> Option<T> {
    let body: &Bytes = &entry.body;
    serde_json::from_slice(body).ok()
}

pub(super) type Reading = Box<Read>;
