//! A real primary with two replicas, and three sentinels that watch it.

#![allow(dead_code, reason = "each test target uses a part")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::{ask_as, try_ask, until};
use crate::support::redis_server::{RedisServer, free_port};

pub const PASSWORD: &str = "of the sentinels";

/// All of them. Dropping it ends their processes.
pub struct Watched {
    /// The first was the primary at the beginning.
    pub servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
}

struct Sentinel {
    child: Child,
    port: u16,
    _dir: TempDir,
}

impl Watched {
    /// The servers ask for the password `pw`, the sentinels for [`PASSWORD`].
    pub fn start() -> Self {
        let common =
            ["--requirepass", "pw", "--masterauth", "pw", "--repl-diskless-sync-delay", "0"];
        let primary = RedisServer::with_args(&common);
        let port = primary.port().to_string();
        let mut servers = vec![primary];
        for _ in 0..2 {
            let more = ["--replicaof", "127.0.0.1", &port, "--repl-ping-replica-period", "1"];
            let args: Vec<&str> = common.iter().copied().chain(more).collect();
            servers.push(RedisServer::with_args(&args));
        }
        for server in &servers[1..] {
            until("a replica is in step", || {
                info(server.port(), "replication").contains("master_link_status:up")
            });
        }
        let sentinels: Vec<_> = (0..3).map(|_| Sentinel::start(&port)).collect();
        let watched = Self { servers, sentinels };
        for sentinel in &watched.sentinels {
            until("sentinels know each other and the replicas", || {
                let known = sentinel.ask(&["SENTINEL", "MASTER", "gym"]);
                let value = |name: &str| {
                    let mut lines = known.split("\r\n").skip_while(|line| *line != name);
                    lines.nth(2).unwrap_or_default().to_owned()
                };
                value("num-slaves") == "2" && value("num-other-sentinels") == "2"
            });
        }
        watched
    }

    /// `redis+sentinel://…`, with the sentinels and the servers' password.
    pub fn url(&self) -> String {
        let ports: Vec<u16> = self.sentinels.iter().map(|sentinel| sentinel.port).collect();
        format!(
            "redis+sentinel://:pw@127.0.0.1:{},127.0.0.1:{},127.0.0.1:{}/gym",
            ports[0], ports[1], ports[2]
        )
    }

    /// Which of the servers is the primary, as the sentinels see it.
    pub fn primary(&self) -> usize {
        let reply = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "gym"]);
        let port: u16 = reply.split("\r\n").nth(4).unwrap().parse().unwrap();
        self.servers.iter().position(|server| server.port() == port).unwrap()
    }

    /// Waits until all servers run, and all but the primary are replicas in step. One that has come
    /// back as the primary that it was is told after a while: sentinels take their time.
    pub fn settle(&self) {
        let began = Instant::now();
        until("everybody follows the primary", || {
            let primary = self.servers[self.primary()].port();
            self.servers.iter().filter(|server| server.port() != primary).all(|server| {
                let info = info(server.port(), "replication");
                if info.contains("role:master") && began.elapsed() > Duration::from_secs(2) {
                    let port = primary.to_string();
                    ask_as(server.port(), "pw", &["REPLICAOF", "127.0.0.1", &port]);
                }
                info.contains("master_link_status:up")
                    && info.contains(&format!("master_port:{primary}"))
            })
        });
    }

    /// Has another be the primary, while the one that is lives on.
    pub fn fail_over(&self) {
        let was = self.primary();
        until("the sentinels begin a fail-over", || {
            self.sentinels[0].ask(&["SENTINEL", "FAILOVER", "gym"]).starts_with("+OK")
        });
        until("another is the primary", || self.primary() != was);
    }
}

/// A sentinel that does as it is told: nobody agrees with it, so it never fails over.
pub struct Lone(Sentinel);

impl Lone {
    /// One that names the server at this port.
    pub fn start(port: u16) -> Self {
        Self(Sentinel::start(&port.to_string()))
    }

    /// Has it name another.
    pub fn name(&self, port: u16) {
        assert!(self.0.ask(&["SENTINEL", "REMOVE", "gym"]).starts_with("+OK"));
        let monitor = ["SENTINEL", "MONITOR", "gym", "127.0.0.1", &port.to_string(), "2"];
        assert!(self.0.ask(&monitor).starts_with("+OK"));
    }

    /// Freezes it, or wakes it up.
    pub fn pause(&self, is_paused: bool) {
        let signal = if is_paused { "-STOP" } else { "-CONT" };
        let status = Command::new("kill").args([signal, &self.0.child.id().to_string()]).status();
        assert!(status.expect("kill is installed").success());
    }

    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// For servers without a password.
    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/gym", self.0.port)
    }
}

impl Sentinel {
    fn start(primary: &str) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let port = free_port();
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor gym 127.0.0.1 {primary} 2\n\
             sentinel auth-pass gym pw\nsentinel down-after-milliseconds gym 800\n\
             sentinel failover-timeout gym 4000\nrequirepass \"{PASSWORD}\"\n\
             sentinel sentinel-pass \"{PASSWORD}\"\n",
            dir.path().display()
        );
        let file = dir.path().join("sentinel.conf");
        std::fs::write(&file, config).expect("its configuration");
        let sentinel = Self { child: launch(&file), port, _dir: dir };
        until("a sentinel answers", || try_ask(port, &["PING"]).is_some());
        sentinel
    }

    fn ask(&self, command: &[&str]) -> String {
        ask_as(self.port, PASSWORD, command)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(file: &Path) -> Child {
    Command::new("redis-server")
        .arg(file)
        .arg("--sentinel")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed")
}

fn info(port: u16, section: &str) -> String {
    ask_as(port, "pw", &["INFO", section])
}
