//! What is served: items, which take a while to make.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;

/// The largest item, whatever a request asks for.
const LARGEST: usize = 16 << 20;

/// The source of all items, and how often it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Items {
    size: usize,
    takes: Duration,
    runs: Arc<AtomicU64>,
}

impl Items {
    pub(crate) fn new(size: usize, takes: Duration) -> Self {
        Self { size, takes, runs: Arc::default() }
    }

    /// Makes an item, as slowly as a query to a database would.
    pub(crate) async fn make(&self, n: u64) -> Bytes {
        self.runs.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.takes).await;
        self.ready(n)
    }

    /// An item without the wait: JSON of exactly so many bytes, or a few more if they are too few.
    /// Of size 0 each is as large as its number says.
    pub(crate) fn ready(&self, n: u64) -> Bytes {
        let mut text = format!(r#"{{"id":{n},"text":""#);
        let size = if self.size == 0 { usize::try_from(n).unwrap_or(0) } else { self.size };
        let fill = size.min(LARGEST).saturating_sub(text.len() + 2);
        text.extend("the quick brown fox jumps over the lazy dog ".chars().cycle().take(fill));
        text.push_str(r#""}"#);
        Bytes::from(text)
    }

    /// How often an item was made.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }
}
