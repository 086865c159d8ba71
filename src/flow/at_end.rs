//! An invalidation when a streamed answer to a write has ended.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::invalidation::{invalidate_by, mark_dirty};
use super::shared::Shared;
use super::write::Move;
use crate::store::Mode;

/// Invalidates when it is polled, or at the latest when it is dropped.
pub(crate) struct AtEnd {
    shared: Arc<Shared>,
    moves: Vec<Move>,
    under_way: Option<JoinHandle<()>>,
}

impl AtEnd {
    /// What of these moves is to be done again, if any is.
    pub(crate) fn of(shared: &Arc<Shared>, moves: &[Move]) -> Option<Self> {
        let moves: Vec<_> = moves.iter().filter(|known| known.effect.after_body).cloned().collect();
        let shared = Arc::clone(shared);
        (!moves.is_empty()).then_some(Self { shared, moves, under_way: None })
    }

    /// Whether it has been polled already.
    pub(crate) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Ready once the invalidation is confirmed, or noted as not confirmed.
    pub(crate) fn poll_done(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.start();
        if let Some(task) = &mut self.under_way {
            let _ = ready!(Pin::new(task).poll(cx));
            self.under_way = None;
        }
        Poll::Ready(())
    }

    fn start(&mut self) {
        let moves = std::mem::take(&mut self.moves);
        if moves.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.under_way = Some(self.shared.work.spawn(async move {
            let since = Instant::now();
            let deadline = since + shared.settings.invalidate_timeout;
            for known in moves {
                if shared.dirty.covers_any(&known.scopes) {
                    // The store was waited for in vain before the answer's head was sent.
                    mark_dirty(&shared, &known.scopes, since);
                    continue;
                }
                // A failure is noted, and goes on being tried, where it occurs.
                let _ = invalidate_by(&shared, &known.scopes, Mode::Hard, deadline, since).await;
            }
        }));
    }
}

impl Drop for AtEnd {
    fn drop(&mut self) {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.start();
        }
    }
}
