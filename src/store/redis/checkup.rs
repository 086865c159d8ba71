//! Whether the server is what it should be: looked at once for each namespace, as soon as there is a
//! connection. What it finds is a warning that says what to do; nothing depends on it.

use std::sync::Arc;

use bb8_redis::redis::{Cmd, RedisError, Value, cmd, from_redis_value};

use super::connection::Link;
use super::server::Server;

/// An offset of the clocks that is no accident of the network, in milliseconds.
const OFFSET: u64 = 5000;

/// Looks at the server through this connection.
pub(super) async fn check(server: &Server, mut link: Link, namespace: &str) {
    let address = &*server.address;
    let offset = server.clock.offset();
    if offset.unsigned_abs() > OFFSET {
        tracing::warn!(
            address,
            offset_ms = offset,
            advice = "the cache goes by the server's clock, so answers are right; but dates in \
                      responses and logs differ: let NTP set both clocks",
            "the cache's Redis has another time than this machine"
        );
    }
    let probes = probes(&format!("{namespace}:check-up"));
    let mut commands: Vec<_> = probes.iter().map(|(_, command)| command.clone()).collect();
    commands.push(memory());
    let Ok((mut replies, _)) = link.together(commands, &[]).await else { return };
    let memory = replies.pop().unwrap_or_default();
    let names = probes.iter().map(|(name, _)| *name);
    let lacking = lacking(names, replies);
    if lacking.is_everything_of(&probes) {
        tracing::warn!(
            address,
            advice = format!("permit the namespace's keys, `~{namespace}:*` (docs/REDIS.md)"),
            "the cache's Redis does not permit the keys of the namespace"
        );
    } else if !lacking.commands.is_empty() {
        let permit: Vec<_> = lacking.commands.iter().map(|n| format!("+{n}")).collect();
        let advice = format!(
            "permit them, `ACL SETUSER … {}`, or undo the renaming (docs/REDIS.md)",
            permit.join(" ").to_lowercase()
        );
        tracing::warn!(
            address,
            commands = lacking.commands.join(" "),
            advice,
            "the cache's Redis does not permit commands that the cache needs"
        );
    }
    let memory: Option<String> = from_redis_value(memory).ok();
    if let Some((policy, trouble, advice)) = memory.as_deref().and_then(eviction) {
        tracing::warn!(address, policy, advice, "the cache's Redis {trouble}");
    }
}

fn memory() -> Cmd {
    let mut info = cmd("INFO");
    info.arg("memory");
    info
}

/// Each command that the cache needs, in a form that changes nothing: the key is not there. SCAN is for
/// `delete_pattern` alone, which says itself if it is not permitted.
fn probes(key: &str) -> Vec<(&'static str, Cmd)> {
    let of = |name: &'static str, more: &[&str]| {
        let mut command = cmd(name);
        command.arg(key).arg(more);
        (name, command)
    };
    let without_key = |name: &'static str, arguments: &[&str]| {
        let mut command = cmd(name);
        command.arg(arguments);
        (name, command)
    };
    let nobody = "0000000000000000000000000000000000000000";
    vec![
        of("MGET", &[]),
        of("GET", &[]),
        of("SET", &["", "XX", "PX", "1"]),
        of("DEL", &[]),
        of("UNLINK", &[]),
        of("EXISTS", &[]),
        of("TYPE", &[]),
        // There is nothing to rename, which is an error of another kind.
        of("RENAME", &[key]),
        of("STRLEN", &[]),
        of("GETRANGE", &["0", "0"]),
        of("PEXPIRE", &["1"]),
        of("PEXPIREAT", &["1"]),
        of("PTTL", &[]),
        of("ZADD", &["XX", "0", ""]),
        of("ZCARD", &[]),
        of("ZREM", &[""]),
        of("ZREVRANGE", &["0", "0"]),
        of("ZREMRANGEBYSCORE", &["0", "0"]),
        without_key("EVALSHA", &[nobody, "0"]),
        without_key("EVAL", &["#!lua flags=no-writes\nreturn 1", "0"]),
        without_key("PING", &[]),
    ]
}

/// What a user may not do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lacking {
    commands: Vec<&'static str>,
    /// How many of them for their key.
    of_keys: usize,
}

impl Lacking {
    /// Whether it is the keys that are not permitted.
    fn is_everything_of(&self, probes: &[(&str, Cmd)]) -> bool {
        // Three of them have no key.
        self.of_keys > 0 && self.of_keys + 3 >= probes.len()
    }
}

fn lacking(names: impl Iterator<Item = &'static str>, replies: Vec<Value>) -> Lacking {
    let mut lacking = Lacking::default();
    for (name, reply) in names.zip(replies) {
        let Err(error) = reply.extract_error() else { continue };
        if is_lacking(&error) {
            lacking.commands.push(name);
            let detail = error.detail().unwrap_or_default();
            lacking.of_keys += usize::from(detail.contains("keys") || detail.contains("key "));
        }
    }
    lacking
}

fn is_lacking(error: &RedisError) -> bool {
    error.code() == Some("NOPERM") || error.to_string().contains("unknown command")
}

/// What is wrong with the server's eviction, by its `INFO memory`: the policy, what it does, and
/// what to do.
fn eviction(info: &str) -> Option<(&str, &'static str, &'static str)> {
    let field = |name| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_end);
    let policy = field("maxmemory_policy:")?;
    let is_limited = field("maxmemory:").is_some_and(|bytes| bytes != "0");
    let (trouble, advice) = match policy {
        _ if !is_limited => return None,
        "volatile-ttl" => (
            "evicts fences and leases first",
            "choose `allkeys-lru`, or `volatile-lru` where it holds more than the cache; with this \
             policy no rule may have a `fence`",
        ),
        "allkeys-random" | "volatile-random" => (
            "evicts at random",
            "choose `allkeys-lru` or `volatile-lru`: a generation that goes takes every entry with \
             it that carries it",
        ),
        "noeviction" => (
            "evicts nothing, and stores nothing new once it is full",
            "choose `allkeys-lru`, or `volatile-lru` where it holds more than the cache",
        ),
        _ => return None,
    };
    Some((policy, trouble, advice))
}

/// The namespaces that are still to be looked at.
#[derive(Debug, Default)]
pub(super) struct Unchecked(parking_lot::Mutex<Vec<Arc<str>>>);

impl Unchecked {
    pub(super) fn push(&self, namespace: &str) {
        self.0.lock().push(namespace.into());
    }

    pub(super) fn take(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_named_only_where_it_does_harm() {
        let info = |policy, bytes| format!("maxmemory:{bytes}\r\nmaxmemory_policy:{policy}\r\n");
        let said = |policy, bytes| eviction(&info(policy, bytes)).map(|(_, trouble, _)| trouble);
        for harmless in ["allkeys-lru", "volatile-lru", "allkeys-lfu", "volatile-lfu", "another"] {
            assert_eq!(said(harmless, 1 << 20), None, "{harmless}");
        }
        for harmful in ["volatile-ttl", "allkeys-random", "volatile-random", "noeviction"] {
            assert!(said(harmful, 1 << 20).is_some(), "{harmful}");
            assert_eq!(said(harmful, 0), None, "{harmful} without a limit");
        }
        for hostile in ["", "maxmemory_policy:", "maxmemory_policy", "maxmemory:1"] {
            assert_eq!(eviction(hostile), None, "{hostile}");
        }
    }
}
