//! P21: the feed is silent, late or cut, and what the near-cache may serve meanwhile.

use std::time::{Duration, Instant};

use tower_response_cache::NearCache;

use super::feed_proxy::{Disturbance, FeedProxy};
use super::{Instance, reads, until};
use crate::support::app::Source;
use crate::support::redis_server::RedisServer;

const LIVENESS: Duration = Duration::from_millis(400);

struct Pair {
    server: RedisServer,
    proxy: FeedProxy,
    source: Source,
    /// Whose feed is disturbed.
    here: Instance,
    /// Who writes, and keeps nothing near.
    there: Instance,
}

impl Pair {
    async fn new() -> Self {
        let server = RedisServer::start();
        let proxy = FeedProxy::before(server.port()).await;
        let source = Source::default();
        let near = NearCache::coherent().liveness(LIVENESS);
        let here = Instance::alive(&proxy.url(), near, &source).await;
        let there = Instance::new(&server.url(), None, &source).await;
        Self { server, proxy, source, here, there }
    }

    /// Writes, and answers for how long after the confirmation the old value was served. Reads go on
    /// until the new one is.
    async fn write(&self, value: &str) -> Duration {
        self.there.app.put("4", "/users/42", value).await;
        let confirmed = Instant::now();
        let expected = format!("4/42={value}");
        loop {
            let began = Instant::now();
            let answer = self.here.app.get("4", "/users/42").await;
            if answer.text() == expected {
                return began - confirmed;
            }
            assert!(began - confirmed < Duration::from_secs(20), "never seen: {answer:?}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The bound, and what a busy machine may add between a look at the clock and the answer.
fn assert_within(bound: Duration, stale: Duration, what: &str) {
    assert!(stale < bound + Duration::from_millis(250), "{what}: stale for {stale:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_feed_that_is_well_a_write_is_seen_within_the_bound() {
    let pair = Pair::new().await;
    let mut spans = Vec::new();
    for round in 0..50 {
        pair.here.until_near().await;
        spans.push(pair.write(&round.to_string()).await);
    }
    spans.sort_unstable();
    println!("stale after a write elsewhere: median {:?}, worst {:?}", spans[25], spans[49]);
    assert_within(LIVENESS, spans[49], "well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_feed_is_believed_no_longer_than_its_proof_holds() {
    let pair = Pair::new().await;
    pair.here.until_near().await;
    pair.proxy.set(Disturbance::Frozen);
    assert_within(LIVENESS, pair.write("frozen").await, "frozen");
    until("it is not alive", || !pair.here.store.is_near_alive()).await;
    // Hits go on, by way of the server.
    pair.here.app.get_settled("4", "/users/42").await;
    let asked = reads(&pair.server);
    for _ in 0..10 {
        pair.here.app.get("4", "/users/42").await.assert_hit();
    }
    assert!(reads(&pair.server) >= asked + 10);
    assert_within(Duration::ZERO, pair.write("still frozen").await, "still frozen");
    pair.proxy.set(Disturbance::None);
    until("it is alive again", || pair.here.store.is_near_alive()).await;
    pair.here.until_near().await;
    assert_within(LIVENESS, pair.write("well").await, "well again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_lags_is_believed_within_the_bound() {
    let pair = Pair::new().await;
    for lag in [50, 150, 300] {
        pair.proxy.set(Disturbance::Late(Duration::from_millis(lag)));
        tokio::time::sleep(LIVENESS).await;
        for round in 0..3 {
            // With a lag near to the bound it may not be alive at every moment.
            pair.here.app.get_settled("4", "/users/42").await;
            pair.here.app.get_settled("4", "/users/42").await;
            let stale = pair.write(&format!("{lag} {round}")).await;
            assert_within(LIVENESS, stale, &format!("{lag} ms late"));
        }
    }
    // Later than the bound it proves nothing.
    pair.proxy.set(Disturbance::Late(2 * LIVENESS));
    until("it is not alive", || !pair.here.store.is_near_alive()).await;
    let stale = pair.write("too late").await;
    assert!(stale < Duration::from_millis(250), "not alive, and stale for {stale:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_that_is_cut_takes_all_with_it() {
    let pair = Pair::new().await;
    for round in 0..5 {
        pair.here.until_near().await;
        let feeds = pair.proxy.feeds();
        pair.proxy.set(Disturbance::Cut);
        until("it is not alive", || !pair.here.store.is_near_alive()).await;
        // What moves now is told to nobody.
        pair.there.app.put("4", "/users/42", &format!("cut {round}")).await;
        let answer = pair.here.app.get("4", "/users/42").await;
        assert_eq!(answer.text(), format!("4/42=cut {round}"));
        pair.proxy.set(Disturbance::None);
        until("it is alive again", || pair.here.store.is_near_alive()).await;
        assert!(pair.proxy.feeds() > feeds);
        let answer = pair.here.app.get("4", "/users/42").await;
        assert_eq!(answer.text(), format!("4/42=cut {round}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_and_a_restart_leave_nothing_near() {
    let mut pair = Pair::new().await;
    pair.source.put("4", "42", "old");
    pair.here.until_near().await;
    pair.source.put("4", "42", "new");
    pair.server.raw(&[b"FLUSHALL"]);
    let flushed = Instant::now();
    loop {
        let began = Instant::now();
        if pair.here.app.get("4", "/users/42").await.text() == "4/42=new" {
            break;
        }
        assert_within(LIVENESS, began - flushed, "a flush");
    }
    pair.here.until_near().await;
    pair.source.put("4", "42", "newer");
    pair.server.restart();
    until("the new one is seen", || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current()
                .block_on(pair.here.app.get("4", "/users/42"))
                .text()
                .ends_with("newer")
        })
    })
    .await;
    until("it is alive again", || pair.here.store.is_near_alive()).await;
    pair.here.until_near().await;
    assert_eq!(pair.here.app.get("4", "/users/42").await.text(), "4/42=newer");
}

/// The user of docs/REDIS.md, with what it says is needed beside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_few_permissions_has_a_feed() {
    let page = include_str!("../../docs/REDIS.md");
    let line = page.lines().find_map(|line| line.trim().strip_prefix("ACL SETUSER cache "));
    let mut command: Vec<&[u8]> = vec![b"ACL", b"SETUSER", b"cache"];
    command.extend(line.unwrap().split(' ').map(str::as_bytes));
    command.push(b"+client|tracking");
    let server = RedisServer::start();
    assert_eq!(server.raw(&command).trim(), "+OK");
    let url = format!("redis://cache:s3cret@127.0.0.1:{}", server.port());
    let source = Source::default();
    let here = Instance::alive(&url, NearCache::coherent(), &source).await;
    here.until_near().await;
    let there = Instance::new(&server.url(), None, &source).await;
    there.app.put("4", "/users/42", "new").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(here.app.get("4", "/users/42").await.text(), "4/42=new");
}

/// Where the server forbids it, there is no feed, and all else works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_permission_to_track_hits_ask_the_server() {
    let server = RedisServer::start();
    server.raw(&[b"ACL", b"SETUSER", b"default", b"-client|tracking"]);
    let source = Source::default();
    let here = Instance::new(&server.url(), Some(NearCache::coherent()), &source).await;
    here.app.warm("4", "/users/42").await;
    let asked = reads(&server);
    here.app.get("4", "/users/42").await.assert_hit();
    assert!(reads(&server) > asked && !here.store.is_near_alive());
}
