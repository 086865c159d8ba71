//! The right to run the handler, across instances: kept alive while it runs, given up after.

use std::convert::Infallible;
use std::sync::Arc;

use super::shared::Shared;
use super::step::{after, is_away, millis, step};
use crate::key::Names;
use crate::store::{LeaseToken, StoreError};

/// A lease that may be held. Dropping it gives it up, in the background.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    names: Names,
    token: LeaseToken,
    /// The store may hold it for us.
    held: bool,
}

impl Lease {
    pub(crate) fn new(shared: &Arc<Shared>, names: &Names) -> Self {
        let (shared, names) = (Arc::clone(shared), names.clone());
        Self { shared, names, token: LeaseToken::random(), held: false }
    }

    pub(crate) fn token(&self) -> LeaseToken {
        self.token
    }

    /// It is being asked for, or was granted: from now on it has to be given up.
    pub(crate) fn take(&mut self) {
        self.held = true;
    }

    /// It was refused, or the fill has given it up.
    pub(crate) fn lose(&mut self) {
        self.held = false;
    }

    /// Keeps the lease alive for as long as this is polled.
    async fn renew(&self) -> Infallible {
        let ttl = self.shared.settings.lease_ttl;
        loop {
            tokio::time::sleep(ttl / 3).await;
            let deadline = after(self.shared.settings.fill_timeout);
            let (names, token) = (&self.names, self.token);
            let renew = step(&self.shared, "renew", deadline, |store| {
                store.renew(names, token, millis(ttl))
            });
            let _ = renew.await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.held || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (shared, names, token) = (Arc::clone(&self.shared), self.names.clone(), self.token);
        self.shared.work.spawn(async move {
            if let Err(error) = release(&shared, &names, token).await
                && is_away(&error)
                && shared.gate.is_shut()
            {
                // Nobody waits for this, and after its end there is nothing to give up.
                tokio::spawn(release_later(shared, names, token));
            }
        });
    }
}

async fn release(shared: &Shared, names: &Names, token: LeaseToken) -> Result<bool, StoreError> {
    let deadline = after(shared.settings.fill_timeout);
    step(shared, "release", deadline, |store| store.release(names, token)).await
}

/// A lease that was taken just before the store went away would hold others up once it is back.
async fn release_later(shared: Arc<Shared>, names: Names, token: LeaseToken) {
    if tokio::time::timeout(shared.settings.lease_ttl, shared.gate.passable()).await.is_ok() {
        let _ = release(&shared, &names, token).await;
    }
}

/// Keeps the lease, if there is one, alive for as long as this is polled.
pub(crate) async fn keep(lease: Option<&Lease>) -> Infallible {
    match lease {
        Some(lease) => lease.renew().await,
        None => std::future::pending().await,
    }
}
