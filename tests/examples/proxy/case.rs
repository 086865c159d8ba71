//! In what setting a test runs, and the processes of one run.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::client::{Answer, ask};
use super::origin::{Origin, Reply};
use crate::redis_server::RedisServer;
use crate::server::Server;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Who decides what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attitude {
    Routes,
    Rfc9111,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    InMemory,
    InRedis,
}

/// One square of the matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) attitude: Attitude,
    pub(crate) store: Stored,
}

/// Runs each function as tests, one for each attitude and store.
macro_rules! in_each_case {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            tests_of_attitude!($name, by_routes_in_memory, Routes, InMemory);
            tests_of_attitude!($name, by_routes_in_redis, Routes, InRedis);
            tests_of_attitude!($name, by_rfc9111_in_memory, Rfc9111, InMemory);
            tests_of_attitude!($name, by_rfc9111_in_redis, Rfc9111, InRedis);
        })+
    };
}

/// The same for what the app's routes decide.
macro_rules! by_routes {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            tests_of_attitude!($name, by_routes_in_memory, Routes, InMemory);
            tests_of_attitude!($name, by_routes_in_redis, Routes, InRedis);
        })+
    };
}

/// The same for what RFC 9111 decides.
macro_rules! by_rfc9111 {
    ($($name:ident),+ $(,)?) => {
        $(mod $name {
            tests_of_attitude!($name, by_rfc9111_in_memory, Rfc9111, InMemory);
            tests_of_attitude!($name, by_rfc9111_in_redis, Rfc9111, InRedis);
        })+
    };
}

macro_rules! tests_of_attitude {
    ($name:ident, $test:ident, $attitude:ident, $store:ident) => {
        #[tokio::test]
        async fn $test() {
            use $crate::proxy::case::{Attitude, Case, Stored};
            super::$name(Case { attitude: Attitude::$attitude, store: Stored::$store }).await;
        }
    };
}

/// An origin and a proxy before it. Dropping it ends both.
pub(crate) struct Running {
    pub(crate) origin: Origin,
    pub(crate) proxy: Server,
    pub(crate) is_rfc9111: bool,
    _redis: Option<RedisServer>,
}

impl Case {
    pub(crate) async fn start(self) -> Running {
        self.start_with(&[]).await
    }

    /// With further arguments for the proxy.
    pub(crate) async fn start_with(self, more: &[&str]) -> Running {
        let origin = Origin::start().await;
        let redis = (self.store == Stored::InRedis).then(RedisServer::start);
        let upstream = origin.url();
        let url = redis.as_ref().map(RedisServer::url);
        // Under load a look-up may take longer than a service would wait for it.
        let mut arguments = vec!["--upstream", &upstream, "--lookup-timeout", "2000"];
        if let Some(url) = &url {
            arguments.extend(["--redis", url]);
        }
        if self.attitude == Attitude::Rfc9111 {
            arguments.push("--rfc9111");
        }
        arguments.extend(more);
        let proxy = Server::start_with("caching_proxy", &arguments, &[]).await;
        let is_rfc9111 = self.attitude == Attitude::Rfc9111;
        Running { origin, proxy, is_rfc9111, _redis: redis }
    }
}

impl Running {
    /// `GET target` with these fields.
    pub(crate) async fn get(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("GET", target, fields, "").await
    }

    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        ask(self.proxy.address(), method, target, fields, body.as_ref()).await
    }

    /// Repeats the GET until it is a hit: an entry appears soon after the first answer has ended,
    /// not always before the client's next request.
    pub(crate) async fn settle(&self, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.until(target, fields, Answer::is_hit).await
    }

    /// Repeats the GET until `is_it`.
    pub(crate) async fn until(
        &self,
        target: &str,
        fields: &[(&str, &str)],
        is_it: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(target, fields).await;
            if is_it(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{target} never comes to it: {answer:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Scripts one reply, has it stored, and answers what is served from then on.
    pub(crate) async fn stored(&self, target: &str, reply: Reply) -> Answer {
        self.origin.on(target, [reply]);
        let answer = self.settle(target, &[]).await;
        assert_eq!(self.origin.count(target), 1, "{target} is asked for once");
        answer
    }

    /// Scripts one reply and sees to it that it is never served twice.
    pub(crate) async fn never_stored(&self, target: &str, reply: Reply, fields: &[(&str, &str)]) {
        self.origin.on(target, [reply]);
        for round in 1..=3 {
            let answer = self.get(target, fields).await;
            assert!(!answer.is_hit(), "{target} in round {round}: {answer:?}");
            assert_eq!(self.origin.count(target), round, "{target} in round {round}: {answer:?}");
            // Time for what should not be stored to be stored.
            sleep(Duration::from_millis(30)).await;
        }
    }
}
