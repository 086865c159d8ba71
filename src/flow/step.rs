//! A step of the store, within the cache's own time limit.

use std::time::Duration;

use crate::entry::Millis;
use crate::store::{StoreError, StoreErrorKind, StoreFuture};

/// Waits for a step of the store, but not longer than `limit`.
pub(crate) async fn within<T: Unpin>(
    limit: Duration,
    step: StoreFuture<'_, T>,
) -> Result<T, StoreError> {
    match step {
        // No timer for a store that has answered already.
        StoreFuture::Ready(_) => step.await,
        StoreFuture::Pending(_) => tokio::time::timeout(limit, step)
            .await
            .unwrap_or_else(|_| Err(StoreErrorKind::Timeout.into())),
    }
}

/// A span as stores take it.
pub(crate) fn millis(span: Duration) -> Millis {
    Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX)
}
