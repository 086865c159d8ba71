//! The scope of all tenants, where it is on a node of its own: in a cluster it has another slot than
//! what a tenant has.
//!
//! A restart of that node, from an old snapshot for instance, must revive nothing on the others, whose
//! entries carry the runs of their own nodes. So its id is sealed: what leaves this module is the id
//! with the run of the node mixed in. In another run the same id is another stamp.

use std::time::Instant;

use bb8_redis::redis::{Cmd, Value};

use super::RedisStore;
use super::entries::{bytes_of, lifetime, number};
use super::failure::Failure;
use super::scopes::generation;
use super::script::{Call, Script};
use crate::entry::{Generation, Id, Millis, RunId};
use crate::key::Space;
use crate::store::near::By;
use crate::store::types::nonce;

impl RedisStore {
    /// The sealed generation, and who has told it.
    pub(super) async fn look_at_everybody(
        &self,
        space: &Space,
    ) -> Result<(Generation, By), Failure> {
        let name = &Space::all_tenants(space.namespace());
        self.nodes
            .at(name, move |mut link| async move {
                let mut command = Cmd::new();
                command.arg("MGET").arg(name);
                let Value::Array(values) = link.read(command).await? else {
                    return Err(link.nonsense("MGET"));
                };
                let [value] = <[Value; 1]>::try_from(values).map_err(|_| link.nonsense("MGET"))?;
                let run = link.run();
                Ok((sealed(generation(value), run), By { address: link.address().clone(), run }))
            })
            .await
    }

    /// The sealed stamp, of a generation that is created if it is missing; `None` if it is closed.
    ///
    /// Comes before the tenant's part of a miss, which compares it and puts it under the lease.
    pub(super) async fn ensure_everybody(
        &self,
        space: &Space,
        keep: Millis,
    ) -> Result<Option<Id>, Failure> {
        let name = &Space::all_tenants(space.namespace());
        let fence = &Space::all_tenants_fence(space.namespace());
        let keep = &lifetime(keep).to_string();
        self.nodes
            .at(name, move |mut link| async move {
                let nonce = nonce();
                let args = vec![&nonce[..], keep.as_bytes()];
                let call = Call { script: Script::Ensure, keys: vec![name, fence], args };
                let asked = Instant::now();
                let reply = link.call(&call).await?;
                let read = read_ensured(reply).ok_or_else(|| link.nonsense("the ensure script"))?;
                self.nodes.shared.kit.clock.learn(read.1, asked);
                Ok(read.0.map(|id| seal(id, link.run())))
            })
            .await
    }

    /// Whether the generation is still the one that was stamped; then it lives for `ttl` at least.
    pub(super) async fn extend_everybody(
        &self,
        space: &Space,
        stamp: Id,
        ttl: Millis,
    ) -> Result<bool, Failure> {
        let name = &Space::all_tenants(space.namespace());
        let ttl = &lifetime(ttl).to_string();
        self.nodes
            .at(name, move |mut link| async move {
                // What another run has stamped comes out as something that is nowhere.
                let id = seal(stamp, link.run());
                let args = vec![&id.as_bytes()[..], ttl.as_bytes()];
                let call = Call { script: Script::Extend, keys: vec![name], args };
                match number(Some(&link.call(&call).await?)) {
                    Some(0) => Ok(false),
                    Some(1) => Ok(true),
                    _ => Err(link.nonsense("the extend script")),
                }
            })
            .await
    }
}

fn read_ensured(reply: Value) -> Option<(Option<Id>, i64)> {
    let Value::Array(parts) = reply else { return None };
    let [closed, id, now] = <[Value; 3]>::try_from(parts).ok()?;
    let now = number(Some(&now))?;
    match number(Some(&closed))? {
        0 => Some((Some(Id::from_slice(&bytes_of(id)?)?), now)),
        1 => Some((None, now)),
        _ => None,
    }
}

fn sealed(generation: Generation, run: RunId) -> Generation {
    match generation {
        Generation::Open { current, behind } => Generation::Open {
            current: seal(current, run),
            behind: behind.map(|id| id.map(|id| seal(id, run))),
        },
        Generation::Missing | Generation::Closed => generation,
    }
}

/// Mixes the run into the random half of the id. Done twice, it is undone.
fn seal(id: Id, RunId(run): RunId) -> Id {
    let mut bytes = *id.as_bytes();
    for (byte, run) in bytes[8..].iter_mut().zip(run) {
        *byte ^= run;
    }
    Id::from_slice(&bytes).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_another_run_the_same_id_is_another_stamp() {
        let id = Id::mint(5_000, *b"nonce-01");
        let (one, other) = (RunId(*b"run-0001"), RunId(*b"run-0002"));
        assert_ne!(seal(id, one), seal(id, other));
        assert_eq!(seal(seal(id, one), one), id);
        assert_eq!(seal(id, one).minted_at(), id.minted_at());
        // Of servers that are trusted nothing is told apart.
        assert_eq!(seal(id, RunId([0; 8])), id);
        let soft = Generation::Open { current: id, behind: [Some(id), None, None] };
        let Generation::Open { current, behind } = sealed(soft, one) else { panic!("open") };
        assert_eq!((Some(current), behind), (behind[0], [Some(seal(id, one)), None, None]));
        assert_eq!(sealed(Generation::Closed, one), Generation::Closed);
    }
}
