//! Clients: they read, write, invalidate groups, and leave when they have waited for too long.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use parking_lot::Mutex;

use crate::fleet::{Fleet, IDS, TENANTS, send};
use crate::support::app::Answer;

/// How many clients there are at once.
const CLIENTS: usize = 24;

/// What came of all requests.
#[derive(Default)]
pub struct Seen {
    reads: AtomicU64,
    hits: AtomicU64,
    writes: AtomicU64,
    left: AtomicU64,
    failed: AtomicU64,
    wrong: Mutex<Vec<String>>,
    /// By instance and row: the newest write that this instance has answered.
    answered: Mutex<HashMap<(usize, String), u64>>,
}

impl Seen {
    pub fn assert_right(&self) {
        let wrong = self.wrong.lock();
        assert!(wrong.is_empty(), "{} wrong answers, such as {}", wrong.len(), wrong[0]);
        let hits = self.hits.load(Ordering::Relaxed);
        assert!(hits > 0, "the cache was not in it: {self}");
    }

    fn answered(&self, at: usize, row: &str) -> u64 {
        self.answered.lock().get(&(at, row.to_owned())).copied().unwrap_or(0)
    }

    fn note_write(&self, at: usize, row: String, number: u64) {
        let mut answered = self.answered.lock();
        let newest = answered.entry((at, row)).or_default();
        *newest = number.max(*newest);
    }

    /// Compares an answer with what it is to be the answer to. `least` is the newest write that the
    /// same instance had answered before the request began.
    fn judge(&self, row: &str, least: u64, answer: &Answer) {
        let mut words = answer.text().split(' ');
        let is_of = words.next() == Some(row);
        let number = words.next().and_then(|number| number.parse().ok());
        let is_whole = words.next().is_some_and(|rest| rest.bytes().all(|byte| byte == b'x'));
        if !is_of || !is_whole || number.is_none_or(|number: u64| number < least) {
            let status = answer.cache_status();
            let head = answer.text().chars().take(80).collect::<String>();
            let wrong = format!("{row} from write {least}: {head:?} ({status})");
            self.wrong.lock().push(wrong);
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        write!(
            f,
            "{} reads answered, {} of them hits, {} writes, {} requests given up, {} failed, {} wrong",
            load(&self.reads),
            load(&self.hits),
            load(&self.writes),
            load(&self.left),
            load(&self.failed),
            self.wrong.lock().len()
        )
    }
}

/// All clients, until then.
pub async fn traffic(fleet: &Fleet, seen: &Arc<Seen>, until: Instant) {
    let clients = (0..CLIENTS).map(|_| async {
        while Instant::now() < until {
            act(fleet, seen).await;
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..1500))).await;
        }
    });
    futures_util::future::join_all(clients).await;
}

/// One request.
async fn act(fleet: &Fleet, seen: &Seen) {
    let at = fastrand::usize(0..fleet.instances.len());
    let instance = &fleet.instances[at];
    let gym = TENANTS[fastrand::usize(0..TENANTS.len())];
    let kind = if fastrand::bool() { "users" } else { "teams" };
    let id = fastrand::u64(0..IDS);
    let row = format!("{gym}/{kind}/{id}");
    let target = format!("/{kind}/{id}");
    let patience = (fastrand::u8(..) < 80).then(|| Duration::from_micros(fastrand::u64(0..20_000)));
    let least = seen.answered(at, &row);
    let method = match fastrand::u8(..) {
        0..12 => Method::PUT,
        12..18 if kind == "users" => Method::DELETE,
        18..24 => {
            let group = format!("{kind}-{id}");
            let tenant = instance.cache.tenant(gym).unwrap();
            // What it does not confirm it goes on trying.
            let _ = tenant.invalidate_group(&group).await;
            return;
        }
        24..40 => Method::HEAD,
        _ => Method::GET,
    };
    let is_read = method == Method::GET;
    let is_write = !is_read && method != Method::HEAD;
    let Some(answer) = send(instance, method, gym, &target, patience).await else {
        seen.left.fetch_add(1, Ordering::Relaxed);
        return;
    };
    if !answer.status.is_success() {
        seen.failed.fetch_add(1, Ordering::Relaxed);
    } else if is_write {
        seen.writes.fetch_add(1, Ordering::Relaxed);
        seen.note_write(at, row, answer.text().parse().unwrap());
    } else if is_read {
        seen.reads.fetch_add(1, Ordering::Relaxed);
        seen.hits.fetch_add(u64::from(answer.is_hit()), Ordering::Relaxed);
        // What is stale may be served where the handler has failed, and says so.
        let may_be_old = answer.cache_status().contains("fwd=stale");
        seen.judge(&row, if may_be_old { 0 } else { least }, &answer);
    }
}
