//! What servers say of where others are: a node of a cluster of its slots, a sentinel of its primary.

use std::ops::RangeInclusive;
use std::time::Duration;

use bb8_redis::redis::{Cmd, Pipeline, Value, cmd, from_redis_value};

use super::failure::Failure;
use super::replies::bytes_of;
use crate::store::StoreErrorKind;

/// Slots that are served by one primary.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) slots: RangeInclusive<u16>,
    pub(super) host: String,
    pub(super) port: u16,
}

/// The question to a node of a cluster.
pub(super) fn ask_cluster() -> Pipeline {
    let mut both = Pipeline::with_capacity(2);
    both.add_command(cluster_info()).cmd("CLUSTER").arg("SLOTS");
    both
}

pub(super) fn cluster_info() -> Cmd {
    let mut info = cmd("CLUSTER");
    info.arg("INFO");
    info
}

/// The question to a sentinel. The epoch first: what changes in between is taken for older than it is.
pub(super) fn ask_sentinel(service: &str) -> Pipeline {
    let mut question = Pipeline::with_capacity(2);
    question.cmd("SENTINEL").arg("MASTER").arg(service);
    question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    question
}

/// What a sentinel knows of the service, beside the primary's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watch {
    /// Each fail-over has a higher one. 0 if it doesn't say.
    pub(super) epoch: u64,
    /// For how long this has been the primary, as far as this sentinel can tell.
    pub(super) known_for: Duration,
    /// It is failing over: already it names the next primary, and still has the last one's times.
    pub(super) changes: bool,
}

/// Reads what a sentinel says of the service, and whether that is of the primary at this address, too.
pub(super) fn read_watch(reply: &Value, host: &str, port: u16) -> (Watch, bool) {
    let Value::Map(fields) = reply else { return (Watch::default(), true) };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let field = |name| {
        let field = fields.iter().find(|(known, _)| text(known).as_deref() == Some(name));
        field.and_then(|(_, value)| text(value))
    };
    let number = |name| field(name).and_then(|number| number.parse().ok()).unwrap_or(0);
    let changes = field("flags").is_some_and(|flags| flags.contains("failover_in_progress"));
    // After a fail-over the time of the role begins anew.
    let known_for = if changes { 0 } else { number("role-reported-time") };
    let known_for = Duration::from_millis(known_for);
    let is_of_it = field("ip").is_none_or(|ip| ip == host)
        && field("port").is_none_or(|known| known == port.to_string());
    (Watch { epoch: number("config-epoch"), known_for, changes }, is_of_it)
}

/// Sees that the cluster is whole as this node knows it.
///
/// One that isn't may be cut off from the others, and then what it says of the slots is old.
pub(super) fn is_whole(address: &str, info: Value) -> Result<(), Failure> {
    let info: String =
        from_redis_value(info).map_err(|_| Failure::nonsense(address, "CLUSTER INFO"))?;
    if info.lines().any(|line| line.trim_end() == "cluster_state:ok") {
        return Ok(());
    }
    let text =
        format!("Redis at {address} says that its cluster is down, or it is cut off from it");
    Err(Failure::new(StoreErrorKind::Unavailable, text))
}

/// Reads the answer of the node at `host` to `CLUSTER SLOTS`; `None` if it is none.
///
/// A range whose primary's address the node doesn't know is left out.
pub(super) fn read_slots(reply: Value, host: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    let mut read = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Value::Array(parts) = range else { return None };
        let mut parts = parts.into_iter();
        let slots = slot(&parts.next()?)?..=slot(&parts.next()?)?;
        let Value::Array(primary) = parts.next()? else { return None };
        let [name, Value::Int(port), ..] = primary.as_slice() else { return None };
        let name = match name {
            Value::BulkString(name) => std::str::from_utf8(name).ok()?,
            Value::Nil => "",
            _ => return None,
        };
        // Without a name it means its own, and with this one that it has none.
        let host = match name {
            "?" => continue,
            "" => host,
            name => name,
        };
        read.push(Range { slots, host: host.to_owned(), port: u16::try_from(*port).ok()? });
    }
    Some(read)
}

/// Reads the answer of a sentinel: `Some(None)` if it knows no such service.
#[allow(clippy::option_option, reason = "no answer, and the answer that there is none")]
pub(super) fn read_primary(reply: Value) -> Option<Option<(String, u16)>> {
    let parts = match reply {
        Value::Nil => return Some(None),
        Value::Array(parts) => parts,
        _ => return None,
    };
    let [host, port] = <[Value; 2]>::try_from(parts).ok()?.map(bytes_of);
    let port = std::str::from_utf8(&port?).ok()?.parse().ok()?;
    Some(Some((String::from_utf8(host?).ok()?, port)))
}

fn slot(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok().filter(|slot| *slot < 16_384),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let primary = Value::Array(vec![host, Value::Int(port), bulk("id"), Value::Array(vec![])]);
        let replica = Value::Array(vec![bulk("replica"), Value::Int(1)]);
        Value::Array(vec![Value::Int(first), Value::Int(last), primary, replica])
    }

    #[test]
    fn slots_are_those_of_primaries() {
        let reply = Value::Array(vec![
            range(0, 99, bulk("one"), 7000),
            range(100, 100, bulk(""), 7001),
            range(101, 102, Value::Nil, 7002),
            range(103, 16_383, bulk("?"), 7003),
        ]);
        let read = read_slots(reply, "here").unwrap();
        let of = |slots, host: &str, port| Range { slots, host: host.to_owned(), port };
        let expected =
            [of(0..=99, "one", 7000), of(100..=100, "here", 7001), of(101..=102, "here", 7002)];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_makes_no_sense_is_no_answer() {
        for odd in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
            Value::Array(vec![range(0, 16_384, bulk("h"), 1)]),
            Value::Array(vec![range(-1, 3, bulk("h"), 1)]),
            Value::Array(vec![range(0, 3, bulk("h"), 70_000)]),
            Value::Array(vec![range(0, 3, Value::Int(4), 1)]),
        ] {
            assert_eq!(read_slots(odd.clone(), "here"), None, "{odd:?}");
        }
        for odd in [Value::Int(1), Value::Array(vec![]), Value::Array(vec![bulk("h"), bulk("x")])] {
            assert_eq!(read_primary(odd), None);
        }
    }

    #[test]
    fn a_sentinel_names_the_primary_or_knows_none() {
        let reply = Value::Array(vec![bulk("::1"), bulk("6379")]);
        assert_eq!(read_primary(reply), Some(Some(("::1".to_owned(), 6379))));
        assert_eq!(read_primary(Value::Nil), Some(None));
        let known =
            Value::Map(vec![(bulk("name"), bulk("gym")), (bulk("config-epoch"), bulk("7"))]);
        let watch = Watch { epoch: 7, ..Watch::default() };
        assert_eq!(read_watch(&known, "one", 1), (watch, true));
        for odd in
            [Value::Nil, Value::Map(vec![]), Value::Map(vec![(bulk("config-epoch"), bulk("x"))])]
        {
            assert_eq!(read_watch(&odd, "one", 1), (Watch::default(), true));
        }
    }

    #[test]
    fn a_sentinel_says_since_when_only_of_the_primary_that_it_names() {
        let said = |flags, port| {
            Value::Map(vec![
                (bulk("ip"), bulk("one")),
                (bulk("port"), bulk(port)),
                (bulk("flags"), bulk(flags)),
                (bulk("role-reported-time"), bulk("5000")),
            ])
        };
        let (watch, is_of_it) = read_watch(&said("master", "1"), "one", 1);
        assert_eq!((watch.known_for, is_of_it), (Duration::from_secs(5), true));
        assert!(!read_watch(&said("master", "2"), "one", 1).1);
        let (watch, is_of_it) = read_watch(&said("master,failover_in_progress", "2"), "one", 1);
        assert!(watch.changes && !is_of_it);
        assert_eq!(watch.known_for, Duration::ZERO);
    }

    #[test]
    fn a_node_that_is_cut_off_is_not_believed() {
        assert!(is_whole("here", bulk("cluster_state:ok\r\ncluster_slots_ok:1\r\n")).is_ok());
        for not in ["cluster_state:fail\r\n", "", "cluster_state:okay"] {
            assert!(is_whole("here", bulk(not)).is_err(), "{not}");
        }
    }
}
