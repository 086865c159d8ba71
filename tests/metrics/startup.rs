//! What is said when a cache begins, and what is wrong with its Redis.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tower_response_cache::{MemoryStore, Store};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::script;

/// What has been logged on this thread, which is where all tasks of a test run.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
        let guard = tracing::subscriber::set_default(subscriber.finish());
        (log, guard)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }

    fn warnings(&self) -> Vec<String> {
        let text = self.text();
        text.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
    }

    async fn says(&self, words: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let text = self.text();
            let all = |line: &&str| words.iter().all(|word| line.contains(word));
            if let Some(line) = text.lines().find(all) {
                return line.to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no {words:?} in:\n{text}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn one_line_says_what_is_cached_where_and_how() {
    let (log, _guard) = Log::begin();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let _cache = script::builder(store).build().unwrap();
    let line = log
        .says(&[
            "INFO",
            "the cache is ready: GET /users/{id}, GET /slow, ",
            "namespace=\"gym\"",
            "routes=7",
            "rules=1",
            "store=the memory of this process",
        ])
        .await;
    assert_eq!(log.text().lines().count(), 1, "{line}");
}

#[cfg(feature = "redis")]
mod redis {
    use tower_response_cache::clock::SkewedClock;
    use tower_response_cache::store::RedisStoreBuilder;
    use tower_response_cache::{NearCache, RedisStore};

    use super::*;
    use crate::support::redis_server::RedisServer;

    fn tell(server: &RedisServer, command: &str) -> String {
        let words: Vec<_> = command.split_whitespace().map(str::as_bytes).collect();
        server.raw(&words)
    }

    /// A cache on this store, once it has been looked at.
    async fn begin(builder: RedisStoreBuilder) {
        let store: Arc<dyn Store> = Arc::new(builder.connect_lazy().unwrap());
        let cache = script::builder(Arc::clone(&store)).build().unwrap();
        // The first use connects.
        let _ = store.ping().await;
        // What was sent on the connection before is answered by then.
        for _ in 0..20 {
            let _ = store.ping().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(cache);
    }

    async fn warnings(builder: RedisStoreBuilder) -> Vec<String> {
        let (log, _guard) = Log::begin();
        begin(builder).await;
        log.warnings()
    }

    fn assert_only(warnings: &[String], words: &[&str]) {
        assert_eq!(warnings.len(), 1, "{warnings:#?}");
        for word in words {
            assert!(warnings[0].contains(word), "no {word} in {}", warnings[0]);
        }
    }

    #[tokio::test]
    async fn the_line_names_the_server_and_the_near_cache() {
        let server = RedisServer::start();
        let (log, _guard) = Log::begin();
        begin(RedisStore::builder(&server.url()).near_cache(NearCache::coherent())).await;
        let place =
            format!("store=Redis at 127.0.0.1:{} with a coherent near-cache", server.port());
        log.says(&["the cache is ready", &place]).await;
        assert_eq!(log.warnings(), [""; 0]);
    }

    #[tokio::test]
    async fn a_policy_that_does_harm_is_named() {
        let rows = [
            ("volatile-ttl", "evicts fences and leases first"),
            ("allkeys-random", "evicts at random"),
            ("noeviction", "stores nothing new once it is full"),
        ];
        for (policy, trouble) in rows {
            let server =
                RedisServer::with_args(&["--maxmemory", "64mb", "--maxmemory-policy", policy]);
            let found = warnings(RedisStore::builder(&server.url())).await;
            assert_only(&found, &[trouble, policy, "choose `allkeys-lru`", "127.0.0.1"]);
        }
        let server =
            RedisServer::with_args(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
        assert_eq!(warnings(RedisStore::builder(&server.url())).await, [""; 0]);
    }

    #[tokio::test]
    async fn permissions_that_lack_are_named_with_the_words_that_give_them() {
        let server = RedisServer::start();
        let line = include_str!("../../docs/REDIS.md")
            .lines()
            .find_map(|line| line.strip_prefix("ACL SETUSER"))
            .unwrap();
        tell(&server, &format!("ACL SETUSER {line}"));
        let builder = || RedisStore::builder(&server.url()).credentials("cache", "s3cret");
        // Of the namespace gym, as in the documents: nothing lacks, and nothing was denied.
        assert_eq!(warnings(builder()).await, [""; 0]);
        let denied = tell(&server, "ACL LOG");
        assert!(denied.starts_with("*0"), "{denied}");

        tell(&server, "ACL SETUSER cache -zadd -set");
        let found = warnings(builder()).await;
        assert_only(&found, &["does not permit commands", "SET ZADD", "+set +zadd"]);

        tell(&server, "ACL SETUSER cache +zadd +set resetkeys ~elsewhere:*");
        let found = warnings(builder()).await;
        assert_only(&found, &["does not permit the keys of the namespace", "~gym:*"]);
    }

    #[tokio::test]
    async fn a_command_that_is_renamed_is_named() {
        let server = RedisServer::with_args(&["--rename-command", "UNLINK", "gone"]);
        let found = warnings(RedisStore::builder(&server.url())).await;
        assert_only(&found, &["does not permit commands", "UNLINK", "undo the renaming"]);
    }

    #[tokio::test]
    async fn clocks_that_differ_are_told() {
        let server = RedisServer::start();
        let clock = Arc::new(SkewedClock::default());
        clock.advance(Duration::from_secs(60));
        let builder = RedisStore::builder(&server.url()).clock(Arc::clone(&clock) as _);
        let found = warnings(builder).await;
        assert_only(&found, &["has another time than this machine", "offset_ms=-", "NTP"]);

        let clock = Arc::new(SkewedClock::default());
        clock.advance(Duration::from_secs(3));
        let builder = RedisStore::builder(&server.url()).clock(clock as _);
        assert_eq!(warnings(builder).await, [""; 0]);
    }

    #[tokio::test]
    async fn a_refusal_is_told_once_with_what_to_do() {
        let server = RedisServer::start();
        tell(&server, "ACL SETUSER cache on >other ~* +@all");
        let builder = RedisStore::builder(&server.url()).credentials("cache", "s3cret");
        let found = warnings(builder).await;
        assert_only(
            &found,
            &["the cache's Redis can't be used", "check the user and the password"],
        );
    }
}
