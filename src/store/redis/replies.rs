//! What scripts and commands have answered.

use bb8_redis::redis::Value;

use super::connection::Link;
use crate::entry::{Id, Millis, Snapshot};
use crate::store::{LeaseToken, Refusal, Stamped};

/// What the scripts of a miss add to their code if another configuration may have entries of the tenant.
pub(super) const OTHERS: i64 = 16;

/// The longest lifetime that is set: about ten years. More would overflow in the server.
const LONGEST: Millis = 315_360_000_000;

/// A lifetime that the server accepts.
pub(super) fn lifetime(millis: Millis) -> Millis {
    millis.clamp(1, LONGEST)
}

pub(super) fn number(reply: Option<&Value>) -> Option<i64> {
    match reply {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

pub(super) fn bytes_of(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

pub(super) fn read_miss(reply: Value, scopes: usize) -> Option<(i64, i64, Vec<Value>)> {
    let Value::Array(mut reply) = reply else {
        return None;
    };
    if reply.len() != scopes + 4 {
        return None;
    }
    let parts = reply.split_off(2);
    let now = number(reply.pop().as_ref())?;
    Some((number(reply.pop().as_ref())?, now, parts))
}

pub(super) fn read_stamped(reply: &Value, groups: usize) -> Option<Stamped> {
    let Value::Array(reply) = reply else {
        return None;
    };
    let (code, ids) = reply.split_first()?;
    match number(Some(code))? {
        0 if ids.len() == groups => {
            Some(Stamped::Stamps(ids.iter().map(read_id).collect::<Option<_>>()?))
        }
        2 => Some(Stamped::Refused(Refusal::Epoch)),
        3 => Some(Stamped::Refused(Refusal::Stamp)),
        _ => None,
    }
}

fn read_id(value: &Value) -> Option<Id> {
    match value {
        Value::BulkString(bytes) => Id::from_slice(bytes),
        _ => None,
    }
}

pub(super) fn read_token(value: Option<Value>) -> Option<LeaseToken> {
    match value {
        Some(Value::BulkString(bytes)) => bytes.try_into().ok().map(LeaseToken),
        _ => None,
    }
}

pub(super) fn read_snapshot(parts: &[Value], elsewhere: &[Id], link: &Link) -> Option<Snapshot> {
    let (epoch, stamps) = parts.split_first()?;
    Some(Snapshot {
        epoch: read_id(epoch)?,
        stamps: stamps
            .iter()
            .map(read_id)
            .chain(elsewhere.iter().copied().map(Some))
            .collect::<Option<_>>()?,
        run: link.run(),
    })
}
