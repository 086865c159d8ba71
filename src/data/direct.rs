//! Get, set and remove a value.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{DataError, DataErrorKind};
use super::fetch::{Reading, decode};
use super::key::DataKey;
use super::ttl::DataTtl;
use crate::flow::{Read, value};
use crate::tenant::TenantCache;

impl TenantCache {
    /// The value under this key, if there is one and it is a `T`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_response_cache::{Cache, MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::builder(MemoryStore::new()).build()?;
    /// let gym = cache.tenant("4")?;
    /// gym.set("visits", Duration::from_secs(60), &17).await?;
    /// let visits: Option<u32> = gym.get("visits").await?;
    /// assert_eq!(visits, Some(17));
    /// assert!(gym.remove("visits").await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::Key`] and [`DataErrorKind::Store`].
    ///
    /// # Dropping
    ///
    /// Stops the asking and nothing else.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: impl Into<DataKey>,
    ) -> Result<Option<T>, DataError> {
        let mut read = self.read(&key.into(), Duration::ZERO.into())?;
        let found = value::look(self.shared(), &mut read).await?;
        Ok(found.and_then(|entry| decode(&entry)))
    }

    /// The values under these keys, in their order; they are asked for together.
    ///
    /// ```
    /// # use tower_response_cache::{Cache, DataKey, MemoryStore};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let cache = Cache::builder(MemoryStore::new()).build()?;
    /// let keys = ["1", "2"].map(|id| DataKey::template("visits:{user}").with("user", id));
    /// let visits: Vec<Option<u32>> = cache.tenant("4")?.get_many(keys).await?;
    /// assert_eq!(visits, [None, None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); the first one counts.
    ///
    /// # Dropping
    ///
    /// Stops the asking and nothing else.
    pub async fn get_many<T, K>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Option<T>>, DataError>
    where
        T: DeserializeOwned,
        K: Into<DataKey>,
    {
        let lookups: Vec<_> =
            keys.into_iter().map(|key| Box::pin(self.get::<T>(key.into()))).collect();
        together(lookups).await.into_iter().collect()
    }

    /// Stores a value for `ttl`, in the place of what was there.
    ///
    /// An invalidation that is confirmed before this begins does not reach the value; one that comes
    /// during it or later does. So a value that was read before an invalidation must not be set after
    /// it: for values that are read, [`get_or_fetch`](Self::get_or_fetch) keeps that order.
    ///
    /// # Errors
    ///
    /// All kinds of [`DataErrorKind`]. With [`DataErrorKind::Refused`], what was there before is there
    /// still, unless it was invalidated.
    ///
    /// # Dropping
    ///
    /// The value is stored, or is not.
    pub async fn set<T: Serialize + ?Sized>(
        &self,
        key: impl Into<DataKey>,
        ttl: impl Into<DataTtl>,
        value: &T,
    ) -> Result<(), DataError> {
        let (key, ttl) = (key.into(), ttl.into());
        let read = self.read(&key, ttl)?;
        let json = self.encode(value)?;
        let Some(span) = ttl.of(&json) else {
            value::remove(self.shared(), &read.names).await?;
            return Ok(());
        };
        match value::set(self.shared(), &read, json, span).await? {
            None => Ok(()),
            Some(why) => Err(DataError::refused(why)),
        }
    }

    /// Removes a value, and answers whether there was one.
    ///
    /// Once this has answered, nobody who asks later gets what was stored, or was being fetched,
    /// before: fetches under way are not stored.
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::Key`] and [`DataErrorKind::Store`]. Unlike an
    /// [invalidation](Self::invalidate) it is not tried again.
    ///
    /// # Dropping
    ///
    /// The value is removed, or is not.
    pub async fn remove(&self, key: impl Into<DataKey>) -> Result<bool, DataError> {
        let read = self.read(&key.into(), Duration::ZERO.into())?;
        Ok(value::remove(self.shared(), &read.names).await?)
    }

    pub(super) fn read(&self, key: &DataKey, ttl: DataTtl) -> Result<Reading, DataError> {
        let shared = self.shared();
        let tenant = (self.space(), self.is_tenantless());
        let names = key.names(&shared.rules, tenant, shared.settings.max_key)?;
        Ok(Box::new(Read::of_value(shared, names, ttl.longest())))
    }

    pub(super) fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes, DataError> {
        let json = serde_json::to_vec(value)
            .map_err(|error| DataError::new(DataErrorKind::Encode, error))?;
        if json.len() > self.shared().settings.max_body {
            return Err(DataErrorKind::TooLarge.into());
        }
        Ok(json.into())
    }
}

/// Polls all of these until each has answered.
async fn together<F: Future>(futures: Vec<Pin<Box<F>>>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.into_iter().map(Some).collect();
    let mut answers: Vec<Option<F::Output>> = pending.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (slot, answer) in pending.iter_mut().zip(&mut answers) {
            let Some(future) = slot else { continue };
            match future.as_mut().poll(cx) {
                Poll::Ready(done) => {
                    *answer = Some(done);
                    *slot = None;
                }
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers.into_iter().flatten().collect()
}
