//! `gym_api`, two processes on one Redis and one database file: a write on one is seen on both.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::redis_server::RedisServer;
use crate::server::{Answer, Server, create, send, write};

const GYM: (&str, &str) = ("x-gym-id", "4");

/// What user 1 shows in.
const ABOUT_USER_1: [&str; 4] = ["/users/1", "/users", "/users/1/stats", "/participants"];

/// The routes of these.
const TEMPLATES: [&str; 4] = ["/users/{id}", "/users", "/users/{id}/stats", "/participants"];

/// How long the slow read's handler waits with what it read.
const SLOW: Duration = Duration::from_millis(400);

const DATABASE: &str = "gym.sqlite";

struct Fleet {
    a: Arc<Server>,
    b: Arc<Server>,
    _redis: RedisServer,
    folder: TempDir,
}

impl Fleet {
    async fn start() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let redis = RedisServer::start();
        let folder = TempDir::new().expect("a folder");
        let database = folder.path().join(DATABASE);
        let url = redis.url();
        let mut settings = vec![
            ("REDIS_URL", url.as_ref()),
            ("DATABASE", database.to_str().expect("UTF-8")),
            ("DEMO_DELAYS", "1"),
        ];
        settings.extend(more);
        // At once: two processes may create one database.
        let (a, b) =
            tokio::join!(Server::start("gym_api", &settings), Server::start("gym_api", &settings));
        Self { a: Arc::new(a), b: Arc::new(b), _redis: redis, folder }
    }

    /// Waits until the database holds this name of user 1.
    async fn committed(&self, name: &str) {
        let database = rusqlite::Connection::open(self.folder.path().join(DATABASE)).unwrap();
        database.busy_timeout(Duration::from_secs(5)).unwrap();
        let query = "SELECT name FROM users WHERE gym = '4' AND id = 1";
        eventually("the write is committed", async || {
            database.query_row(query, [], |row| row.get::<_, String>(0)).unwrap() == name
        })
        .await;
    }
}

#[tokio::test]
async fn what_one_stores_the_other_serves() {
    let fleet = Fleet::start().await;
    create(&fleet.a, "4", "Ada").await;

    let stored = fleet.a.settle(GYM, "/users/1").await;
    let other = fleet.b.get(GYM, "/users/1").await;
    assert!(other.is_hit(), "{other:?}");
    assert_eq!(other.text, stored.text);
    assert_eq!(fleet.b.runs("/users/{id}").await, 0);
}

#[tokio::test]
async fn a_write_on_one_is_seen_on_the_other() {
    let fleet = Fleet::start().await;
    for id in 1..=10 {
        create(if id % 2 == 0 { &fleet.a } else { &fleet.b }, "4", "first").await;
    }
    for round in 0..5 {
        for path in ABOUT_USER_1 {
            fleet.b.settle(GYM, path).await;
        }
        fleet.b.settle(GYM, "/users/10").await;
        let name = format!("round {round}");
        rename(&fleet.a, &name).await;
        for path in ABOUT_USER_1 {
            let fresh = fleet.b.get(GYM, path).await;
            assert!(fresh.text.contains(&name), "{path}: {fresh:?}");
        }
        assert!(fleet.b.get(GYM, "/users/10").await.is_hit());
    }

    fleet.a.settle(GYM, "/operating-hours").await;
    write(&fleet.b, Method::PUT, "4", "/operating-hours", json!({ "monday": "never" })).await;
    assert_eq!(fleet.a.get(GYM, "/operating-hours").await.json(), json!({ "monday": "never" }));
    write(&fleet.b, Method::DELETE, "4", "/users/1", Value::Null).await;
    assert_eq!(fleet.a.get(GYM, "/users/1").await.status, StatusCode::NOT_FOUND);
}

/// The race that a cache with plain deletes loses: a read takes the old value from the database,
/// a write commits and invalidates, and then the read stores what it took.
#[tokio::test]
async fn a_slow_read_never_outlives_the_write_that_overtook_it() {
    let fleet = Fleet::start().await;
    create(&fleet.a, "4", "Ada").await;
    for round in 1..=3 {
        let (old, new) = (format!("old {round}"), format!("new {round}"));
        rename(&fleet.a, &old).await;
        let slow = slow_reads(&[&fleet.a, &fleet.b]).await;
        rename(if round % 2 == 0 { &fleet.a } else { &fleet.b }, &new).await;

        let until = Instant::now() + 2 * SLOW;
        while Instant::now() < until {
            for server in [&fleet.a, &fleet.b] {
                for path in ABOUT_USER_1 {
                    let answer = server.get(GYM, path).await;
                    assert!(answer.text.contains(&new), "{path} is outdated: {answer:?}");
                }
            }
        }
        let mut overtaken = 0;
        for read in slow {
            let answer = read.await.expect("the read ends");
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            overtaken += usize::from(answer.text.contains(&old));
        }
        // One instance may wait for the other's run, and find that it was for nothing.
        assert!(overtaken >= ABOUT_USER_1.len(), "the race took place: {overtaken}");
        assert!(fleet.a.settle(GYM, "/users/1").await.text.contains(&new));
    }
}

/// The write has committed, its answer is under way, and its client is gone.
#[tokio::test]
async fn a_write_whose_client_leaves_is_seen_all_the_same() {
    let fleet = Fleet::start().await;
    create(&fleet.a, "4", "Ada").await;
    for path in ABOUT_USER_1 {
        fleet.b.settle(GYM, path).await;
    }
    let put = fleet.a.request(Method::PUT, "/users/1").header("x-gym-id", "4");
    let put = put.json(&json!({ "name": "new" })).header("x-demo-delay-ms", "60000");
    let put = tokio::spawn(put.send());
    fleet.committed("new").await;
    put.abort();

    let deadline = Instant::now() + Duration::from_secs(5);
    for path in ABOUT_USER_1 {
        while !fleet.b.get(GYM, path).await.text.contains("new") {
            assert!(Instant::now() < deadline, "{path} stays outdated");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A process is killed after its commit and before its invalidation. Answers whether the other one
/// ever serves the old value after that.
async fn is_outdated_after_a_crash(more: &[(&str, &str)]) -> bool {
    let fleet = Fleet::with(more).await;
    create(&fleet.a, "4", "old").await;
    for path in ABOUT_USER_1 {
        fleet.b.settle(GYM, path).await;
    }
    let put = fleet.a.request(Method::PUT, "/users/1").header("x-gym-id", "4");
    let put = put.json(&json!({ "name": "new" })).header("x-demo-delay-ms", "60000");
    let put = tokio::spawn(put.send());
    fleet.committed("new").await;
    fleet.a.kill();
    assert!(put.await.expect("the client lives").is_err(), "nobody answered the write");

    // While the fence stands, and after it has passed its deadline.
    let until = Instant::now() + Duration::from_secs(3);
    let mut outdated = false;
    while Instant::now() < until {
        for path in ABOUT_USER_1 {
            outdated |= fleet.b.get(GYM, path).await.text.contains("old");
        }
        sleep(Duration::from_millis(20)).await;
    }
    fleet.b.settle(GYM, "/users/1").await;
    outdated
}

#[tokio::test]
async fn p10_with_a_fence_a_crash_between_commit_and_invalidation_leaves_nothing_outdated() {
    assert!(!is_outdated_after_a_crash(&[("FENCE_MS", "2000")]).await);
}

/// The same without the fence, so that the test above is known to be able to fail.
#[tokio::test]
async fn without_a_fence_a_crash_leaves_the_old_value() {
    assert!(is_outdated_after_a_crash(&[]).await);
}

#[tokio::test]
async fn the_same_race_in_one_process() {
    let server = Arc::new(Server::start("gym_api", &[("DEMO_DELAYS", "1")]).await);
    create(&server, "4", "old").await;
    let slow = slow_reads(&[&server]).await;
    rename(&server, "new").await;

    let until = Instant::now() + 2 * SLOW;
    while Instant::now() < until {
        for path in ABOUT_USER_1 {
            let answer = server.get(GYM, path).await;
            assert!(answer.text.contains("new"), "{path} is outdated: {answer:?}");
        }
    }
    for read in slow {
        assert!(read.await.expect("the read ends").text.contains("old"), "it began before");
    }
}

/// Begins a slow read of each path about user 1 on each server, and answers when each handler has read
/// what it will answer with, on one server or another.
async fn slow_reads(servers: &[&Arc<Server>]) -> Vec<tokio::task::JoinHandle<Answer>> {
    let before = runs(servers).await;
    let mut reads = Vec::new();
    for server in servers {
        for path in ABOUT_USER_1 {
            let request = server.request(Method::GET, path).header("x-gym-id", "4");
            let request = request.header("x-demo-delay-ms", SLOW.as_millis().to_string());
            reads.push(tokio::spawn(send(request)));
        }
    }
    eventually("each handler runs", async || {
        runs(servers).await.iter().zip(&before).all(|(now, before)| now > before)
    })
    .await;
    // It is counted right before it reads.
    sleep(SLOW / 4).await;
    reads
}

/// How often the handlers of what user 1 shows in have run.
async fn runs(servers: &[&Arc<Server>]) -> Vec<u64> {
    let mut sums = vec![0; ABOUT_USER_1.len()];
    for server in servers {
        let runs = server.all_runs().await;
        for (sum, template) in sums.iter_mut().zip(TEMPLATES) {
            *sum += runs[template].as_u64().expect("it is counted");
        }
    }
    sums
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn rename(server: &Server, name: &str) {
    let answer = write(server, Method::PUT, "4", "/users/1", json!({ "name": name })).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}
