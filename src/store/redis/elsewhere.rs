//! Generations that are on another node of a cluster than the entry: that of all tenants, which has a
//! slot of its own, and those of a tenant whose entries are spread over slots.
//!
//! A restart of such a node, from an old snapshot for instance, must revive nothing on the others, whose
//! entries carry the runs of their own nodes. So its ids are sealed: what leaves this module is the id
//! with the run of its node mixed in. In another run the same id is another stamp.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use bb8_redis::redis::{Cmd, Value};

use super::RedisStore;
use super::entries::Listed;
use super::failure::{Failure, Sign};
use super::gather::Gathered;
use super::replies::{OTHERS, bytes_of, lifetime, number};
use super::scopes::generation;
use super::script::{Call, Script};
use crate::entry::{Generation, Id, Millis, RunId};
use crate::key::{Names, Space};
use crate::store::near::By;
use crate::store::types::nonce;

/// Where the generations of a key are.
pub(super) struct Places<'a> {
    /// How many are where the entry is: the first of them, or none.
    pub(super) here: usize,
    /// Those of the tenant.
    pub(super) tenant: Option<Place<'a>>,
    /// The one of all tenants.
    pub(super) everybody: Option<Place<'a>>,
}

/// Generations of one slot, which is not the entry's.
#[derive(Clone)]
pub(super) struct Place<'a> {
    names: &'a Names,
    /// Which of the key's scopes.
    scopes: Range<usize>,
    /// The list of configurations is there too.
    is_of_tenant: bool,
}

/// What a place has answered: its generations, sealed, and who it was.
pub(super) type Seen = (Vec<Generation>, By);

impl<'a> Places<'a> {
    /// On a single server all are here.
    pub(super) fn of(names: &'a Names, is_cluster: bool) -> Self {
        let count = names.scope_count();
        let of_all = names.has_all_tenants() && is_cluster;
        let of_tenant = count - usize::from(of_all);
        let is_spread = names.space().is_spread() && is_cluster;
        let place = |scopes, is_of_tenant| Place { names, scopes, is_of_tenant };
        Self {
            here: if is_spread { 0 } else { of_tenant },
            tenant: is_spread.then(|| place(0..of_tenant, true)),
            everybody: of_all.then(|| place(of_tenant..count, false)),
        }
    }

    /// Those that are elsewhere, in the order of the key's scopes.
    pub(super) fn elsewhere(self) -> [Option<Place<'a>>; 2] {
        [self.tenant, self.everybody]
    }
}

impl<'a> Place<'a> {
    fn generations(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.names.scopes().skip(self.scopes.start).take(self.scopes.len())
    }

    /// Whether nothing is looked at there by somebody who only reads.
    fn is_empty(&self) -> bool {
        self.scopes.is_empty()
    }

    /// A name of its slot.
    fn slot(&self) -> String {
        self.generations().next().map_or_else(|| self.names.space().prefix('g'), str::to_owned)
    }

    fn fences(&self) -> impl Iterator<Item = String> + use<'a> {
        self.names.fences().skip(self.scopes.start).take(self.scopes.len())
    }

    fn list(&self) -> Listed {
        if self.is_of_tenant { Listed::of(self.names) } else { Listed::none() }
    }
}

impl RedisStore {
    /// Whether the entries of this space are on other nodes than its generations.
    pub(super) fn is_spread(&self, space: &Space) -> bool {
        space.is_spread() && self.nodes.is_cluster()
    }

    /// The sealed generations, and who has told them.
    pub(super) async fn look_elsewhere(
        &self,
        place: Option<Place<'_>>,
    ) -> Result<Option<Seen>, Failure> {
        let Some(place) = place.filter(|place| !place.is_empty()) else { return Ok(None) };
        let (slot, place) = (&place.slot(), &place);
        // Every look-up of the tenant, or of all tenants, asks here, and much of it for the same.
        let gather = self.nodes.node_of(slot).await?.gather_of(slot);
        let (_under_way, many) = gather.begin();
        if many {
            match gather.read(place.generations().map(|name| (name, false))).await {
                Ok(Some(read)) => return Ok(Some(seen_together(&read, place.scopes.len()))),
                Ok(None) => {}
                // The slot is, or goes, elsewhere.
                Err(failure) if *failure.sign() != Sign::None => {}
                Err(failure) => return Err(failure),
            }
        }
        let seen = self.nodes.at(slot, move |mut link| async move {
            let mut command = Cmd::with_capacity(1 + place.scopes.len(), 64 * place.scopes.len());
            command.arg("MGET");
            for name in place.generations() {
                command.arg(name);
            }
            let Value::Array(values) = link.read(command).await? else {
                return Err(link.nonsense("MGET"));
            };
            if values.len() != place.scopes.len() {
                return Err(link.nonsense("MGET"));
            }
            let run = link.run();
            let generations = values.into_iter().map(|value| sealed(generation(value), run));
            Ok((generations.collect(), By { address: link.address().clone(), run }))
        });
        Ok(Some(seen.await?))
    }

    /// The sealed stamps, of generations that are created if they are missing; `None` if one is closed.
    ///
    /// Comes before the entry's part of a miss, which compares them and puts them under the lease.
    pub(super) async fn ensure_elsewhere(
        &self,
        place: Option<Place<'_>>,
        keep: Millis,
    ) -> Result<Option<Vec<Id>>, Failure> {
        let Some(place) = place else { return Ok(Some(Vec::new())) };
        let (slot, place) = (&place.slot(), &place);
        let (fences, list) = (&place.fences().collect::<Vec<_>>(), &place.list());
        let count = place.scopes.len();
        let keep = &lifetime(keep).to_string();
        self.nodes
            .at(slot, move |mut link| async move {
                let mut keys: Vec<&str> = place.generations().collect();
                keys.extend(fences.iter().map(String::as_str));
                list.push(&mut keys);
                let nonce = nonce();
                let args = vec![&nonce[..], keep.as_bytes(), list.own()];
                let asked = Instant::now();
                let reply = link.call(&Call { script: Script::Ensure, keys, args }).await?;
                let (code, now, ids) =
                    read_ensured(reply, count).ok_or_else(|| link.nonsense("the ensure script"))?;
                self.nodes.shared.kit.clock.learn(now, asked);
                if code & OTHERS != 0 {
                    self.seen_others();
                }
                match code & !OTHERS {
                    1 => Ok(None),
                    0 => read_ids(ids, link.run())
                        .map(Some)
                        .ok_or_else(|| link.nonsense("the ensure script")),
                    _ => Err(link.nonsense("the ensure script")),
                }
            })
            .await
    }

    /// Whether the generations are still those that were stamped; then they live for `ttl` at least.
    pub(super) async fn extend_elsewhere(
        &self,
        place: Option<Place<'_>>,
        stamps: &[Id],
        ttl: Millis,
    ) -> Result<bool, Failure> {
        let Some(place) = place else { return Ok(true) };
        let (slot, place) = (&place.slot(), &place);
        let stamps = &stamps[place.scopes.clone()];
        let list = &place.list();
        let ttl = &lifetime(ttl).to_string();
        self.nodes
            .at(slot, move |mut link| async move {
                let mut keys: Vec<&str> = place.generations().collect();
                list.push(&mut keys);
                // What another run has stamped comes out as something that is nowhere.
                let ids: Vec<Id> = stamps.iter().map(|id| seal(*id, link.run())).collect();
                let mut args = vec![ttl.as_bytes()];
                args.extend(ids.iter().map(|id| &id.as_bytes()[..]));
                args.push(list.own());
                let call = Call { script: Script::Extend, keys, args };
                match number(Some(&link.call(&call).await?)) {
                    Some(0) => Ok(false),
                    Some(1) => Ok(true),
                    _ => Err(link.nonsense("the extend script")),
                }
            })
            .await
    }
}

fn seen_together(read: &Gathered, count: usize) -> Seen {
    let (run, _, address) = read.by();
    let generations = (0..count).map(|at| {
        let generation = read.stamp(at).map_or(Generation::Missing, Generation::parse);
        sealed(generation, run)
    });
    (generations.collect(), By { address: Arc::clone(address), run })
}

fn read_ensured(reply: Value, count: usize) -> Option<(i64, i64, Vec<Value>)> {
    let Value::Array(mut reply) = reply else { return None };
    if reply.len() != count + 2 {
        return None;
    }
    let ids = reply.split_off(2);
    let now = number(reply.pop().as_ref())?;
    Some((number(reply.pop().as_ref())?, now, ids))
}

fn read_ids(ids: Vec<Value>, run: RunId) -> Option<Vec<Id>> {
    ids.into_iter().map(|id| Some(seal(Id::from_slice(&bytes_of(id)?)?, run))).collect()
}

pub(super) fn sealed(generation: Generation, run: RunId) -> Generation {
    match generation {
        Generation::Open { current, behind } => Generation::Open {
            current: seal(current, run),
            behind: behind.map(|id| id.map(|id| seal(id, run))),
        },
        Generation::Missing | Generation::Closed => generation,
    }
}

/// Mixes the run into the random half of the id. Done twice, it is undone.
pub(super) fn seal(id: Id, RunId(run): RunId) -> Id {
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

    #[test]
    fn only_in_a_cluster_is_anything_elsewhere() {
        let namespace = "gym".into();
        for (spread, everybody) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut names = Names::new(&Space::new(&namespace, "4").spread(spread), "GET", "/");
            names.push_scope("tenant");
            names.push_scope("path:/");
            if everybody {
                names.push_all_tenants();
            }
            let places = Places::of(&names, false);
            assert_eq!(places.here, names.scope_count());
            assert!(places.elsewhere().iter().all(Option::is_none));
            let places = Places::of(&names, true);
            assert_eq!(places.here, if spread { 0 } else { 2 });
            let [tenant, all] = places.elsewhere();
            let slot_of = |place: Option<Place<'_>>| place.map(|place| place.slot());
            assert_eq!(slot_of(tenant).as_deref(), spread.then_some("gym:g:{4}:tenant"));
            assert_eq!(slot_of(all).as_deref(), everybody.then_some("gym:a:all"));
        }
    }
}
