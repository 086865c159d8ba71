//! The right to run the handler, across instances: kept alive while it runs, given up after.

use std::convert::Infallible;
use std::sync::Arc;

use super::shared::Shared;
use super::step::{millis, within};
use crate::key::Names;
use crate::store::LeaseToken;

/// A lease that may be held. Dropping it gives it up, in the background.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    names: Names,
    token: LeaseToken,
    spent: bool,
}

impl Lease {
    pub(crate) fn new(shared: &Arc<Shared>, names: &Names) -> Self {
        let (shared, names) = (Arc::clone(shared), names.clone());
        Self { shared, names, token: LeaseToken::random(), spent: false }
    }

    pub(crate) fn token(&self) -> LeaseToken {
        self.token
    }

    /// The fill has given it up.
    pub(crate) fn spend(&mut self) {
        self.spent = true;
    }

    /// Keeps the lease alive for as long as this is polled.
    async fn renew(&self) -> Infallible {
        let ttl = self.shared.settings.lease_ttl;
        loop {
            tokio::time::sleep(ttl / 3).await;
            let step = self.shared.store.renew(&self.names, self.token, millis(ttl));
            if let Err(error) = within(self.shared.settings.fill_timeout, step).await {
                self.shared.note_error("renew", &error);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.spent || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (shared, names, token) = (Arc::clone(&self.shared), self.names.clone(), self.token);
        self.shared.work.spawn(async move {
            let step = shared.store.release(&names, token);
            if let Err(error) = within(shared.settings.fill_timeout, step).await {
                shared.note_error("release", &error);
            }
        });
    }
}

/// Keeps the lease, if there is one, alive for as long as this is polled.
pub(crate) async fn keep(lease: Option<&Lease>) -> Infallible {
    match lease {
        Some(lease) => lease.renew().await,
        None => std::future::pending().await,
    }
}
