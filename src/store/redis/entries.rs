//! The steps that concern one key.

use std::sync::Arc;
use std::time::Instant;

use bb8_redis::redis::{Cmd, Value};
use bytes::Bytes;

use super::RedisStore;
use super::connection::Link;
use super::elsewhere::{Places, seal};
use super::failure::Failure;
use super::node::Node;
use super::scopes::generation;
use super::script::{Call, Script};
use crate::entry::{Generation, Id, Millis, RunId, Snapshot};
use crate::key::{Fingerprint, Names, ScopeNames};
use crate::store::near::{By, Kept, Near};
use crate::store::types::nonce;
use crate::store::{Filled, Found, LeaseToken, Miss, MissRequest, Refusal, Stamped, StoreError};

/// How long the bytes of a fill stay under their own name if nothing renames them.
const IN_TRANSIT: u64 = 10_000;

/// The longest lifetime that is set: about ten years. More would overflow in the server.
const LONGEST: Millis = 315_360_000_000;

/// Up to this size `discard` compares an entry as a whole.
const WHOLE: usize = 64 * 1024;

/// How much of either end of a larger entry it compares.
const END: usize = 1024;

/// What the miss script adds to its code if another configuration may have entries of the tenant.
const OTHERS: i64 = 16;

/// What of a key's names is read at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    All,
    /// All but the entry.
    Stamps,
}

/// The answer, and by whom.
struct Answer {
    found: Found,
    by: Vec<By>,
}

impl RedisStore {
    pub(super) async fn do_lookup(&self, names: &Names) -> Result<Found, StoreError> {
        Ok(self.read(names, What::All).await?.found)
    }

    /// Reads it all as of one moment; what of it is on another node of a cluster at the same time, but
    /// not the same moment. Whoever was told of an invalidation before this began finds it in either.
    async fn read(&self, names: &Names, what: What) -> Result<Answer, Failure> {
        let places = self.places(names);
        let here = self.read_here(names, what, places.here);
        let [tenant, everybody] = places.elsewhere();
        if tenant.is_none() && everybody.is_none() {
            return here.await;
        }
        let (mut answer, tenant, everybody) =
            tokio::try_join!(here, self.look_elsewhere(tenant), self.look_elsewhere(everybody))?;
        for (generations, by) in tenant.into_iter().chain(everybody) {
            answer.found.generations.extend(generations);
            answer.by.push(by);
        }
        Ok(answer)
    }

    /// Reads the names of one slot, of the scopes the first `count`.
    async fn read_here(&self, names: &Names, what: What, count: usize) -> Result<Answer, Failure> {
        // In a cluster each name may turn out to be elsewhere.
        if self.nodes.is_cluster() {
            return self.read_alone(names, what, count).await;
        }
        let node = self.nodes.node_of(names.entry()).await?;
        let (_under_way, many) = node.gather.begin();
        if many && let Some(answer) = self.read_gathered(&node, names, what, count).await? {
            return self.nodes.shared.counts(&node).map(|()| answer);
        }
        self.read_alone(names, what, count).await
    }

    async fn read_gathered(
        &self,
        node: &Node,
        names: &Names,
        what: What,
        count: usize,
    ) -> Result<Option<Answer>, Failure> {
        let with_entry = what == What::All;
        let wanted = with_entry.then(|| (names.entry(), true)).into_iter();
        let wanted = wanted.chain(names.scopes().take(count).map(|name| (name, false)));
        let wanted = wanted.chain([(names.epoch(), false)]);
        let Some(read) = node.gather.read(wanted).await? else {
            return Ok(None);
        };
        let first = usize::from(with_entry);
        let entry = if with_entry { read.entry() } else { None };
        let generations = (first..first + count)
            .map(|at| read.stamp(at).map_or(Generation::Missing, Generation::parse))
            .collect();
        let epoch = read.stamp(first + count).and_then(Id::from_slice);
        let (run, source, address) = read.by();
        let by = self.by(address, run);
        let found = Found { entry, decoded: None, generations, epoch, run, source, near: false };
        Ok(Some(Answer { found, by }))
    }

    /// Who has answered, if that matters.
    fn by(&self, address: &Arc<str>, run: RunId) -> Vec<By> {
        let by = self.near.as_ref().map(|_| By { address: Arc::clone(address), run });
        by.into_iter().collect()
    }

    async fn read_alone(&self, names: &Names, what: What, count: usize) -> Result<Answer, Failure> {
        self.nodes
            .at(names.entry(), move |mut link| async move {
                let bytes = names.entry().len() + names.epoch().len() * (count + 2) + 16;
                let mut command = Cmd::with_capacity(3 + count, bytes);
                command.arg("MGET");
                if what == What::All {
                    command.arg(names.entry());
                }
                for scope in names.scopes().take(count) {
                    command.arg(scope);
                }
                command.arg(names.epoch());
                let Value::Array(values) = link.read(command).await? else {
                    return Err(link.nonsense("MGET"));
                };
                if values.len() != count + 1 + usize::from(what == What::All) {
                    return Err(link.nonsense("MGET"));
                }
                let mut values = values.into_iter();
                let entry = match what {
                    What::All => values.next().and_then(bytes_of).map(Bytes::from),
                    What::Stamps => None,
                };
                // Room for those that other nodes have.
                let mut generations = Vec::with_capacity(names.scope_count());
                generations.extend(values.by_ref().take(count).map(generation));
                let epoch = values.next().and_then(bytes_of);
                let epoch = epoch.and_then(|stored| Id::from_slice(&stored));
                let (run, source) = (link.run(), link.id());
                let by = self.by(link.address(), run);
                let found =
                    Found { entry, decoded: None, generations, epoch, run, source, near: false };
                Ok(Answer { found, by })
            })
            .await
    }

    fn places<'a>(&self, names: &'a Names) -> Places<'a> {
        Places::of(names, self.nodes.is_cluster())
    }

    /// Looks up, and keeps near what was found.
    pub(super) async fn look_and_keep(
        &self,
        near: &Near,
        names: &Names,
    ) -> Result<Found, StoreError> {
        // Before the server is asked: what moves from now on outdates the answer.
        let asked = near.ask(names);
        let mut answer = self.read(names, What::All).await?;
        if let Some(asked) = asked {
            let now = self.nodes.shared.kit.clock.now();
            near.keep(names, asked, &mut answer.found, &answer.by, now);
        }
        Ok(answer.found)
    }

    /// Asks whether what is kept still holds, and looks up if not.
    pub(super) async fn confirm_near(
        &self,
        near: &Near,
        names: &Names,
        kept: Arc<Kept>,
    ) -> Result<Found, StoreError> {
        let now = self.read(names, What::Stamps).await?.found;
        if now.epoch == Some(kept.epoch)
            && now.generations == kept.generations
            && now.run == kept.run
        {
            return Ok(kept.found());
        }
        near.forget(names);
        self.look_and_keep(near, names).await
    }

    /// In a cluster the generations that are on other nodes are read before the rest, and created if they
    /// are missing: what the rest does depends on them, and either comes before the handler.
    pub(super) async fn do_miss(
        &self,
        names: &Names,
        request: &MissRequest,
    ) -> Result<Miss, StoreError> {
        let places = self.places(names);
        let (count, is_spread) = (places.here, places.tenant.is_some());
        let [tenant, everybody] = places.elsewhere();
        let (tenant, everybody) = tokio::try_join!(
            self.ensure_elsewhere(tenant, request.keep),
            self.ensure_elsewhere(everybody, request.keep)
        )?;
        let (Some(mut elsewhere), Some(everybody)) = (tenant, everybody) else {
            return Ok(Miss::Closed);
        };
        elsewhere.extend(everybody);
        let elsewhere = &elsewhere;
        let others: &Vec<u8> = &elsewhere.iter().flat_map(|id| *id.as_bytes()).collect();
        let lease = &names.lease();
        let fences = &names.fences().take(count).collect::<Vec<_>>();
        let keep = &lifetime(request.keep).to_string();
        let list = &if is_spread { Listed::none() } else { Listed::of(names) };
        let hold = &request.lease.map_or(String::new(), |(_, hold)| lifetime(hold).to_string());
        let miss = self.nodes.at(names.entry(), move |mut link| async move {
            let token = request.lease.as_ref().map_or(&[][..], |(token, _)| &token.0[..]);
            let mut keys = Vec::with_capacity(3 + 2 * fences.len());
            keys.extend([names.entry(), lease, names.epoch()]);
            keys.extend(names.scopes().take(count));
            keys.extend(fences.iter().map(String::as_str));
            list.push(&mut keys);
            let (nonce, run) = (nonce(), link.run());
            let call = Call {
                script: Script::Miss,
                keys,
                args: vec![
                    &nonce,
                    keep.as_bytes(),
                    &run.0,
                    &request.scopes,
                    if request.ignore_entry { b"1" } else { b"0" },
                    token,
                    hold.as_bytes(),
                    others,
                    list.own(),
                ],
            };
            let asked = Instant::now();
            let reply = link.call(&call).await?;
            let (code, now, mut parts) =
                read_miss(reply, count).ok_or_else(|| link.nonsense("the miss script"))?;
            self.nodes.shared.kit.clock.learn(now, asked);
            if code & OTHERS != 0 {
                self.seen_others();
            }
            let code = code & !OTHERS;
            match code {
                3 => return Ok(Miss::Closed),
                2 => return Ok(Miss::Again),
                _ => {}
            }
            let holder = read_token(parts.pop());
            let snapshot = read_snapshot(&parts, elsewhere, &link);
            let snapshot = snapshot.ok_or_else(|| link.nonsense("the miss script"))?;
            match (code, holder) {
                (0, _) => Ok(Miss::Granted(snapshot)),
                (1, Some(holder)) => Ok(Miss::Wait { snapshot, holder }),
                _ => Err(link.nonsense("the miss script")),
            }
        });
        Ok(miss.await?)
    }

    /// Where the epoch is on another node than the groups it is compared first, in a step of its own.
    /// Whoever invalidates a group moves the epochs before it: if that begins in between, and the stamp
    /// is of after it, the fill finds the epoch moved.
    pub(super) async fn do_stamp(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        groups: &ScopeNames,
        keep: Millis,
    ) -> Result<Stamped, StoreError> {
        let keep = &lifetime(keep).to_string();
        let groups = groups.generations();
        let is_spread = self.is_spread(names.space());
        if is_spread && let Some(refusal) = self.epoch_stands(names, snapshot).await? {
            return Ok(Stamped::Refused(refusal));
        }
        let slot = if is_spread { groups.first().map(String::as_str) } else { None };
        let slot = slot.unwrap_or_else(|| names.epoch());
        let stamped = self.nodes.at(slot, move |mut link| async move {
            if !is_spread && snapshot.run != link.run() {
                return Ok(Stamped::Refused(Refusal::Run));
            }
            let mut keys = Vec::with_capacity(1 + groups.len());
            if !is_spread {
                keys.push(names.epoch());
            }
            keys.extend(groups.iter().map(String::as_str));
            let epoch = if is_spread { &[][..] } else { snapshot.epoch.as_bytes() };
            let nonce = nonce();
            let args = vec![&nonce[..], epoch, keep.as_bytes()];
            let reply = link.call(&Call { script: Script::Stamp, keys, args }).await?;
            let stamped = read_stamped(&reply, groups.len());
            let stamped = stamped.ok_or_else(|| link.nonsense("the stamp script"))?;
            Ok(match stamped {
                Stamped::Stamps(ids) if is_spread => {
                    Stamped::Stamps(ids.iter().map(|id| seal(*id, link.run())).collect())
                }
                stamped => stamped,
            })
        });
        Ok(stamped.await?)
    }

    /// Why nothing may be stored under the epoch of this snapshot any more.
    async fn epoch_stands(
        &self,
        names: &Names,
        snapshot: &Snapshot,
    ) -> Result<Option<Refusal>, Failure> {
        self.nodes
            .at(names.epoch(), move |mut link| async move {
                if snapshot.run != link.run() {
                    return Ok(Some(Refusal::Run));
                }
                let mut command = Cmd::new();
                command.arg("MGET").arg(names.epoch());
                let Value::Array(mut values) = link.read(command).await? else {
                    return Err(link.nonsense("MGET"));
                };
                let epoch = values.pop().and_then(bytes_of);
                let stands = epoch.as_deref() == Some(&snapshot.epoch.as_bytes()[..]);
                Ok((!stands).then_some(Refusal::Epoch))
            })
            .await
    }

    /// In a cluster the generations that are on other nodes can't be compared in the same step as the
    /// rest. They need not be: their stamps are in the entry, and outdated if one moves in between.
    pub(super) async fn do_fill(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> Result<Filled, StoreError> {
        if snapshot.stamps.len() != names.scope_count() {
            // It was taken for other scopes, so it vouches for none of these.
            return Ok(Filled::Refused(Refusal::Stamp));
        }
        let places = self.places(names);
        let is_spread = places.tenant.is_some();
        let stamps = &snapshot.stamps[..places.here];
        let [tenant, everybody] = places.elsewhere();
        let (tenant, everybody) = tokio::try_join!(
            self.extend_elsewhere(tenant, &snapshot.stamps, ttl),
            self.extend_elsewhere(everybody, &snapshot.stamps, ttl)
        )?;
        if !(tenant && everybody) {
            return Ok(Filled::Refused(Refusal::Stamp));
        }
        let lease = &names.lease();
        let ttl = &lifetime(ttl).to_string();
        let list = &if is_spread { Listed::none() } else { Listed::of(names) };
        let (token, frame) = (token.as_ref(), &frame);
        let filled = self.nodes.at(names.entry(), move |mut link| async move {
            if snapshot.run != link.run() {
                return Ok(Filled::Refused(Refusal::Run));
            }
            let transit = names.in_transit(u64::from_be_bytes(nonce()));
            let mut set = Cmd::with_capacity(5, transit.len() + frame.len() + 16);
            set.arg("SET").arg(&transit).arg(&frame[..]).arg("PX").arg(IN_TRANSIT);

            let mut keys = Vec::with_capacity(4 + stamps.len());
            keys.extend([&*transit, names.entry(), lease, names.epoch()]);
            keys.extend(names.scopes().take(stamps.len()));
            list.push(&mut keys);
            let mut args = Vec::with_capacity(4 + stamps.len());
            args.push(token.map_or(&[][..], |token| &token.0));
            args.push(ttl.as_bytes());
            args.push(snapshot.epoch.as_bytes());
            args.extend(stamps.iter().map(|stamp| &stamp.as_bytes()[..]));
            args.push(list.own());
            let call = Call { script: Script::Fill, keys, args };

            let (set, done) = link.together(vec![set], std::slice::from_ref(&call)).await?;
            for reply in set {
                match reply {
                    Value::ServerError(error) if error.code() == "OOM" => {
                        return Ok(Filled::Refused(Refusal::Space));
                    }
                    reply => drop(link.refusal(reply)?),
                }
            }
            Ok(match number(done.first()) {
                Some(0) => Filled::Stored,
                Some(1) => Filled::Refused(Refusal::Space),
                Some(2) => Filled::Refused(Refusal::Epoch),
                Some(3) => Filled::Refused(Refusal::Stamp),
                Some(4) => Filled::Refused(Refusal::Lease),
                _ => return Err(link.nonsense("the fill script")),
            })
        });
        Ok(filled.await?)
    }

    pub(super) async fn do_renew(
        &self,
        names: &Names,
        token: LeaseToken,
        ttl: Millis,
    ) -> Result<bool, StoreError> {
        let ttl = lifetime(ttl).to_string();
        self.ask(Script::Renew, &[&names.lease()], &[&token.0, ttl.as_bytes()]).await
    }

    pub(super) async fn do_release(
        &self,
        names: &Names,
        token: LeaseToken,
    ) -> Result<bool, StoreError> {
        self.ask(Script::Release, &[&names.lease()], &[&token.0]).await
    }

    pub(super) async fn do_remove(&self, names: &Names) -> Result<bool, StoreError> {
        self.nodes.note_tenant(names.space())?;
        let removed = self.nodes.surely_at(names.entry(), move |mut link| async move {
            let nonce = nonce();
            let keys = vec![names.epoch(), names.entry()];
            let call = Call { script: Script::Remove, keys, args: vec![&nonce] };
            let removed = yes_or_no(&link.call(&call).await?, call.script, &link)?;
            self.nodes.replicated(&mut link).await?;
            Ok(removed)
        });
        Ok(removed.await?)
    }

    pub(super) async fn do_discard(&self, names: &Names, seen: &[u8]) -> Result<bool, StoreError> {
        let length = seen.len().to_string();
        let (first, last) = if seen.len() <= WHOLE {
            (seen, &[][..])
        } else {
            (&seen[..END], &seen[seen.len() - END..])
        };
        self.ask(Script::Discard, &[names.entry()], &[length.as_bytes(), first, last]).await
    }

    pub(super) async fn do_trim(&self, names: &Names, most: u64) -> Result<bool, StoreError> {
        self.ask(Script::Trim, &[names.entry()], &[most.to_string().as_bytes()]).await
    }

    /// Calls a script that mints nothing and answers yes or no.
    async fn ask(&self, script: Script, keys: &[&str], args: &[&[u8]]) -> Result<bool, StoreError> {
        let answer = self.nodes.at(keys[0], move |mut link| async move {
            let call = Call { script, keys: keys.to_vec(), args: args.to_vec() };
            yes_or_no(&link.call(&call).await?, script, &link)
        });
        Ok(answer.await?)
    }
}

/// The list of configurations that may have entries of a tenant, and the one that is to be on it.
pub(super) struct Listed(Option<(Fingerprint, [String; 2])>);

impl Listed {
    pub(super) fn of(names: &Names) -> Self {
        let space = names.space();
        let own = names.configured().fingerprint;
        Self(own.map(|own| (own, [space.configurations(), space.whole_tenant()])))
    }

    /// Where it is for another step to see to.
    pub(super) fn none() -> Self {
        Self(None)
    }

    pub(super) fn push<'a>(&'a self, keys: &mut Vec<&'a str>) {
        keys.extend(self.0.iter().flat_map(|(_, names)| names).map(String::as_str));
    }

    pub(super) fn own(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |(own, _)| own.as_bytes())
    }
}

fn yes_or_no(reply: &Value, script: Script, link: &Link) -> Result<bool, Failure> {
    match number(Some(reply)) {
        Some(0) => Ok(false),
        Some(1) => Ok(true),
        _ => Err(link.nonsense(script.name())),
    }
}

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

fn read_miss(reply: Value, scopes: usize) -> Option<(i64, i64, Vec<Value>)> {
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

fn read_stamped(reply: &Value, groups: usize) -> Option<Stamped> {
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

fn read_token(value: Option<Value>) -> Option<LeaseToken> {
    match value {
        Some(Value::BulkString(bytes)) => bytes.try_into().ok().map(LeaseToken),
        _ => None,
    }
}

fn read_snapshot(parts: &[Value], elsewhere: &[Id], link: &Link) -> Option<Snapshot> {
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
