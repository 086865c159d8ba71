//! Since when, and until when, the primary that sentinels name is believed.
//!
//! Sentinels may fail over past a primary that lives, and each instance hears of the next one in its
//! own time. Were each to follow at once, one would still confirm invalidations with the old primary
//! while others store with the new one, and read from the old one what others have invalidated with
//! the new one. So there is a span in which nobody uses either:
//!
//! - A primary is used only as long as the sentinels have been asked within [`TRUST`], and named no
//!   other. What comes from it later counts for nothing.
//! - Another one is used only once it has been named for [`SETTLE`], which is longer.
//!
//! Let the next primary be named for the first time, by any sentinel, at some moment. Whoever asked
//! that sentinel before has stopped using the old one `TRUST` after it at the latest; nobody uses the
//! new one before `SETTLE` after it. What is left of `SETTLE` is for instances that can't reach that
//! sentinel, and hear of it from another that has heard of it.
//!
//! An instance that is cut off for longer, together with the old primary, is not covered. When it
//! hears at last, what it has moved [lately](super::lately) is moved on the new primary once more,
//! before it is used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::failure::Failure;
use super::node::Node;
use super::nodes::Shared;
use super::scopes::moving;
use crate::store::StoreErrorKind;
use crate::store::types::nonce;

/// For how long the answer of sentinels vouches for a primary, from when they were asked. They are
/// asked after 1.1 s at the latest.
pub(super) const TRUST: Duration = Duration::from_secs(2);

/// How long a primary has to be named before it is used.
pub(super) const SETTLE: Duration = Duration::from_secs(3);

/// How many names one call of a script moves.
const BATCH: usize = 500;

/// When the sentinels last vouched for the primary that is used.
#[derive(Debug)]
pub(super) struct Tenure {
    began: Instant,
    /// Milliseconds since then.
    vouched: AtomicU64,
}

/// Whom the sentinels name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) host: String,
    pub(super) port: u16,
    /// Of the fail-over that it came from.
    pub(super) epoch: u64,
    /// Since when it has been the primary to one of them at least.
    pub(super) since: Instant,
}

/// A primary that is named and not used yet.
#[derive(Debug)]
pub(super) struct Heir {
    address: Arc<str>,
    /// From when on it may be used.
    from: Instant,
}

impl Tenure {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, vouched: AtomicU64::new(0) }
    }

    /// Sentinels that were asked at this moment named the primary that is used, or nobody else.
    fn vouch(&self, asked: Instant) {
        let asked = asked.saturating_duration_since(self.began).as_millis();
        self.vouched.store(u64::try_from(asked).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn is_vouched(&self, now: Instant) -> bool {
        let vouched = Duration::from_millis(self.vouched.load(Ordering::Acquire));
        now.saturating_duration_since(self.began).saturating_sub(vouched) < TRUST
    }
}

impl Heir {
    /// How long it has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.from.saturating_duration_since(now)
    }
}

impl Shared {
    /// Whether what this node has answered counts: it is still the one that is used. Of servers that
    /// no sentinel watches everything counts.
    pub(super) fn counts(&self, node: &Arc<Node>) -> Result<(), Failure> {
        let Some(tenure) = &self.tenure else { return Ok(()) };
        // In this order: whoever is vouched for now and used after that is used now.
        let is_vouched = tenure.is_vouched(Instant::now());
        let is_used = self.map().nodes.first().is_some_and(|used| Arc::ptr_eq(used, node));
        if is_vouched && is_used {
            return Ok(());
        }
        let text =
            format!("nobody vouches any more for Redis at {} as the primary", node.address());
        Err(Failure::new(StoreErrorKind::Unavailable, text))
    }

    /// Whether answers that are at hand may be given without asking a server.
    pub(super) fn stands(&self) -> bool {
        let Some(tenure) = &self.tenure else { return true };
        tenure.is_vouched(Instant::now()) && !self.map().nodes.is_empty()
    }

    /// Sentinels that were asked at this moment could say nothing new.
    pub(super) fn stay(&self, asked: Instant) {
        if let Some(tenure) = &self.tenure {
            tenure.vouch(asked);
        }
    }

    /// Sentinels that were asked at this moment name this primary. Another one than before is used
    /// once it may be and has moved what was moved lately; until then there is none.
    pub(super) async fn point(
        &self,
        named: &Named,
        asked: Instant,
        heir: &mut Option<Heir>,
    ) -> Result<(), Failure> {
        if self.is_used(&named.host, named.port) {
            *heir = None;
            self.stay(asked);
            return Ok(());
        }
        let address: Arc<str> = format!("{}:{}", named.host, named.port).into();
        // Its feed tells of nothing from here on.
        self.kit.near.iter().for_each(|near| near.told_all());
        let from = named.since + SETTLE;
        let heir = match heir {
            Some(known) if known.address == address => {
                known.from = known.from.min(from);
                known
            }
            other => {
                let (epoch, known_for) = (named.epoch, named.since.elapsed());
                let known = "the sentinels name another primary of Redis";
                tracing::info!(%address, epoch, ?known_for, "{known}");
                other.insert(Heir { address: Arc::clone(&address), from })
            }
        };
        let wait = heir.wait(Instant::now());
        if !wait.is_zero() {
            let text = format!(
                "Redis at {address} is the primary since a moment ago, and used in {wait:?}"
            );
            return Err(self.withdraw(Failure::new(StoreErrorKind::Unavailable, text)));
        }
        let text = format!("Redis at {address} is being told what has moved lately");
        self.withdraw(Failure::new(StoreErrorKind::Unavailable, text));
        let node = self.node_at(&named.host, named.port)?;
        self.keep_only(&address);
        self.move_again(&node).await.inspect_err(|failure| {
            self.withdraw(failure.clone());
        })?;
        tracing::info!(%address, "this is the primary of Redis now");
        self.stay(asked);
        self.publish(Ok(node));
        Ok(())
    }

    /// From here on there is no primary, and this is why.
    fn withdraw(&self, why: Failure) -> Failure {
        self.publish(Err(why.clone()));
        why
    }

    /// Moves what has moved lately on another primary, which may not have heard of it.
    ///
    /// Whoever noted a tenant before this reads what is noted is served by it; whoever notes one
    /// later finds no primary, or this one. Either way nothing is confirmed that this one lacks.
    async fn move_again(&self, node: &Node) -> Result<(), Failure> {
        let names = self.lately.names();
        if names.is_empty() {
            return Ok(());
        }
        let mut link = node.sure().link().await?;
        for batch in names.chunks(BATCH) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            link.call(&moving(&batch).call(&nonce())).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_is_vouched_for_as_long_as_the_question_is_young() {
        let began = Instant::now();
        let tenure = Tenure::new(began);
        let at = |millis| began + Duration::from_millis(millis);
        tenure.vouch(at(500));
        assert!(tenure.is_vouched(at(2499)));
        assert!(!tenure.is_vouched(at(2500)));
        tenure.vouch(at(2400));
        assert!(tenure.is_vouched(at(2500)));
    }

    #[test]
    fn nobody_uses_the_next_before_everybody_has_left_the_last() {
        // Who hears last has asked just before the first was told.
        assert!(SETTLE >= TRUST + Duration::from_secs(1));
    }
}
