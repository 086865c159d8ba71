//! Who the server is: its version, its role, and which run of it holds the data.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bb8_redis::redis::{Cmd, Value, cmd};

use crate::entry::RunId;

/// For how long a connection is believed to lead to the primary that it was made to.
///
/// A server whose role changes tells nobody. It refuses writes, but answers reads from what it
/// happens to hold, for as long as somebody asks for nothing else.
const BELIEVED: Duration = Duration::from_secs(1);

/// What `HELLO` answers to anybody, whatever else is permitted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hello {
    /// Empty if it doesn't say.
    pub(super) version: String,
    pub(super) replica: bool,
}

pub(super) fn hello() -> Cmd {
    cmd("HELLO")
}

pub(super) fn info() -> Cmd {
    let mut info = cmd("INFO");
    info.arg("server").arg("replication");
    info
}

impl Hello {
    pub(super) fn read(reply: &Value) -> Option<Self> {
        let Value::Map(fields) = reply else {
            return None;
        };
        let mut hello = Self::default();
        for (name, value) in fields {
            match (text(name), text(value)) {
                (Some("version"), Some(version)) => version.clone_into(&mut hello.version),
                (Some("role"), Some(role)) => hello.replica = is_replica(role),
                _ => {}
            }
        }
        Some(hello)
    }

    /// Whether it is known to lack what the scripts need: their flags came with 7.0.
    ///
    /// A version that can't be read is none that is known to be too old; then the server's answer
    /// to the scripts tells.
    pub(super) fn is_too_old(&self) -> bool {
        let major = self.version.split('.').next().and_then(|major| major.parse::<u32>().ok());
        major.is_some_and(|major| major < 7)
    }
}

/// What `INFO` says of the data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) replica: bool,
    pub(super) run: RunId,
}

impl Info {
    /// The run is that of the process and that of its data: a server that was a replica for a while
    /// and is a primary again is the same process, but what it holds came from another and may be
    /// older than what it had itself. From then on its data has another replication id.
    pub(super) fn read(info: &str) -> Option<Self> {
        let field = |name| info.lines().find_map(|line| line.strip_prefix(name));
        let process = digits(field("run_id:")?)?;
        let data = field("master_replid:").and_then(digits).unwrap_or(0);
        let replica = field("role:").is_some_and(|role| is_replica(role.trim_end()));
        Some(Self { replica, run: RunId((process ^ data).to_be_bytes()) })
    }
}

/// When the server was last seen to be the one that the connection was made to.
#[derive(Debug)]
pub(super) struct Proof {
    trusts_restarts: bool,
    began: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Proof {
    pub(super) fn new(trusts_restarts: bool) -> Self {
        Self { trusts_restarts, began: Instant::now(), last: AtomicU64::new(0) }
    }

    /// Whether only the role matters.
    pub(super) fn trusts_restarts(&self) -> bool {
        self.trusts_restarts
    }

    /// Whether the proof is too old, and it is the caller who has to renew it.
    pub(super) fn is_due(&self) -> bool {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.last.load(Ordering::Relaxed);
        Duration::from_millis(now.saturating_sub(last)) >= BELIEVED
            && self.last.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn is_replica(role: &str) -> bool {
    matches!(role, "slave" | "replica")
}

/// The first 8 bytes of an id of 40 hexadecimal digits.
fn digits(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(..16)?, 16).ok()
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn answer(version: &str, role: &str) -> Hello {
        Hello::read(&Value::Map(vec![
            (bulk("server"), bulk("redis")),
            (bulk("version"), bulk(version)),
            (bulk("proto"), Value::Int(3)),
            (bulk("role"), bulk(role)),
        ]))
        .unwrap()
    }

    #[test]
    fn a_server_before_7_0_is_too_old() {
        for old in ["6.2.14", "6.0", "5.0.7", "2.8.19", "6"] {
            assert!(answer(old, "master").is_too_old(), "{old}");
        }
        for fine in ["7.0.0", "7.0.15", "7.2.4", "8.0.1", "10.1", "255.255.255", "", "df-1.2", "v6"]
        {
            assert!(!answer(fine, "master").is_too_old(), "{fine}");
        }
    }

    #[test]
    fn a_replica_says_so() {
        assert!(answer("7.0.15", "replica").replica);
        assert!(!answer("7.0.15", "master").replica);
        for hostile in [Value::Nil, Value::Int(3), bulk("role"), Value::Array(Vec::new())] {
            assert_eq!(Hello::read(&hostile), None);
        }
        assert_eq!(Hello::read(&Value::Map(Vec::new())), Some(Hello::default()));
    }

    #[test]
    fn the_run_is_that_of_the_process_and_of_its_data() {
        let process = "run_id:00ff00000000000a111111111111111111111111\r\n";
        let of = |info: &str| Info::read(info).unwrap();
        let alone = of(&format!("# Server\r\nredis_version:7.0.15\r\n{process}tcp_port:1\r\n"));
        assert_eq!(alone, Info { replica: false, run: RunId([0, 255, 0, 0, 0, 0, 0, 10]) });
        let data = "role:master\r\nmaster_replid:0100000000000001ffffffffffffffffffffffff\r\n";
        let both = of(&format!("{process}{data}"));
        assert_eq!(both, Info { replica: false, run: RunId([1, 255, 0, 0, 0, 0, 0, 11]) });
        assert!(of(&format!("{process}role:slave\r\n")).replica);
        for hostile in ["", "run_id:", "run_id:12", "run_id:zzzzzzzzzzzzzzzzzzzz", "run_id:é"] {
            assert_eq!(Info::read(hostile), None, "{hostile}");
        }
    }
}
