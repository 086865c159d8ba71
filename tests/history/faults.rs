//! What goes wrong with the server while the fleet is at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use fastrand::Rng;

use crate::checker::History;
use crate::support::redis_server::RedisServer;

/// A sort of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server is full, and throws out what was used longest ago.
    Evict,
    /// A generation, epoch, fence, lease, entry, or bytes on their way in vanish.
    Lose,
    /// The same, but for fences: with a crash, their loss is not covered.
    LoseAllButFences,
    /// An entry's bytes are replaced: by another key's, by its own from earlier, by rubbish.
    Replace,
    KillConnections,
    RestartEmpty,
    RestartFromOldSnapshot,
    /// The server stops answering for a while.
    Pause,
    ForgetScripts,
    Flush,
}

impl Fault {
    pub const ALL: [Self; 9] = [
        Self::Evict,
        Self::Lose,
        Self::Replace,
        Self::KillConnections,
        Self::RestartEmpty,
        Self::RestartFromOldSnapshot,
        Self::Pause,
        Self::ForgetScripts,
        Self::Flush,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Evict => "evict",
            Self::Lose | Self::LoseAllButFences => "lose",
            Self::Replace => "replace",
            Self::KillConnections => "kill",
            Self::RestartEmpty => "restart",
            Self::RestartFromOldSnapshot => "old-snapshot",
            Self::Pause => "pause",
            Self::ForgetScripts => "scripts",
            Self::Flush => "flush",
        }
    }

    /// The longest pause after one, in milliseconds: what costs much comes seldom.
    fn rest(self) -> u64 {
        match self {
            Self::Lose | Self::LoseAllButFences | Self::Replace => 8,
            Self::Evict | Self::ForgetScripts => 40,
            Self::KillConnections | Self::Flush => 120,
            Self::RestartEmpty | Self::RestartFromOldSnapshot | Self::Pause => 400,
        }
    }
}

/// The faults under way. Dropping it lets them go on; [`end`](Self::end) gives the server back.
pub struct Faults {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<RedisServer>,
}

impl Faults {
    /// Begins to do harm, on a thread of its own.
    pub fn begin(
        server: RedisServer,
        faults: &'static [Fault],
        history: Arc<History>,
        rng: Rng,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut harm = Harm { server, history, rng, stop: Arc::clone(&stop), saved: false };
        let thread = std::thread::spawn(move || {
            while !harm.stop.load(Ordering::Relaxed) && !faults.is_empty() {
                if harm.history.is_lull() {
                    sleep(Duration::from_millis(5));
                    continue;
                }
                let fault = faults[harm.rng.usize(..faults.len())];
                harm.history.fault(fault.name());
                harm.inflict(fault);
                let rest = harm.rng.u64(..fault.rest());
                sleep(Duration::from_millis(rest));
            }
            harm.limit("0");
            harm.server
        });
        Self { stop, thread }
    }

    /// Waits for the last one, and leaves the server in good health.
    pub fn end(self) -> RedisServer {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct Harm {
    server: RedisServer,
    history: Arc<History>,
    rng: Rng,
    stop: Arc<AtomicBool>,
    saved: bool,
}

impl Harm {
    fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::Evict => self.fill_up(),
            Fault::Lose => self.lose(&["g:", "g:", "g:*!", "a:", "b:", "l:", "e:", "f:", "w:"]),
            Fault::LoseAllButFences => {
                self.lose(&["g:*tag", "g:*tag", "g:", "a:", "l:", "e:", "w:"]);
            }
            Fault::Replace => self.replace(),
            Fault::KillConnections => {
                self.command(&["CLIENT", "KILL", "TYPE", "normal"]);
            }
            Fault::RestartEmpty => {
                let _ = std::fs::remove_file(self.server.snapshot());
                self.saved = false;
                self.server.restart();
            }
            Fault::RestartFromOldSnapshot => {
                // One from a while ago, or the first of several restarts from the same one.
                if !self.saved || self.rng.u8(..4) == 0 {
                    self.command(&["SAVE"]);
                    self.saved = true;
                    let gap = self.rng.u64(20..200);
                    sleep(Duration::from_millis(gap));
                }
                self.server.restart();
            }
            Fault::Pause => {
                self.server.pause();
                let length = self.rng.u64(20..900);
                sleep(Duration::from_millis(length));
                self.server.resume();
            }
            Fault::ForgetScripts => {
                self.command(&["SCRIPT", "FLUSH"]);
            }
            Fault::Flush => {
                self.command(&["FLUSHALL"]);
            }
        }
    }

    fn command(&self, command: &[&str]) -> String {
        let parts: Vec<&[u8]> = command.iter().map(|part| part.as_bytes()).collect();
        self.server.raw(&parts)
    }

    fn limit(&self, most: &str) {
        self.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
        self.command(&["CONFIG", "SET", "maxmemory", most]);
    }

    fn fill_up(&mut self) {
        // A restart has forgotten it.
        self.limit("3mb");
        let ballast = "x".repeat(40_000);
        for _ in 0..40 {
            let name = format!("ballast:{}", self.rng.u32(..));
            self.command(&["SET", &name, &ballast, "PX", "500"]);
        }
    }

    /// Some name of these kinds. The loss of a fence alone opens nothing, and a write that is
    /// confirmed is covered even if its scope's generation goes with it.
    fn lose(&mut self, kinds: &[&str]) {
        let kind = kinds[self.rng.usize(..kinds.len())];
        let script = "local names = redis.call('KEYS', ARGV[1]) \
                      if #names == 0 then return 0 end \
                      return redis.call('DEL', names[1 + ARGV[2] % #names])";
        let pattern = format!("history:{kind}*");
        let which = self.rng.u16(..).to_string();
        self.command(&["EVAL", script, "0", &pattern, &which]);
    }

    fn replace(&mut self) {
        let script = "local names = redis.call('KEYS', 'history:e:*') \
                      if #names == 0 then return 0 end \
                      local one = names[1 + ARGV[1] % #names] \
                      local other = names[1 + ARGV[2] % #names] \
                      if ARGV[3] == '0' then return redis.call('COPY', one, 'old:' .. one, 'REPLACE') end \
                      if ARGV[3] == '1' then return redis.call('COPY', 'old:' .. one, one, 'REPLACE') end \
                      if ARGV[3] == '2' then return redis.call('COPY', other, one, 'REPLACE') end \
                      return redis.call('SETRANGE', one, ARGV[1] % 200, ARGV[2])";
        let numbers = [self.rng.u16(..), self.rng.u16(..)].map(|number| number.to_string());
        let way = self.rng.u8(..4).to_string();
        self.command(&["EVAL", script, "0", &numbers[0], &numbers[1], &way]);
    }
}
