//! The steps that concern one key.

use std::sync::Arc;
use std::time::Instant;

use bb8_redis::redis::{Cmd, Value};
use bytes::Bytes;

use super::RedisStore;
use super::connection::Link;
use super::scopes::generation;
use super::script::{Call, Script};
use crate::entry::{Id, Millis, Snapshot};
use crate::key::{Names, ScopeNames};
use crate::store::near::{Kept, Near};
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

impl RedisStore {
    pub(super) async fn do_lookup(&self, names: &Names) -> Result<Found, StoreError> {
        let count = names.scope_count();
        let bytes = names.entry().len() + names.epoch().len() * (count + 2) + 16;
        let mut command = Cmd::with_capacity(3 + count, bytes);
        command.arg("MGET").arg(names.entry());
        for scope in names.scopes() {
            command.arg(scope);
        }
        command.arg(names.epoch());

        let mut link = self.links.link().await?;
        let Value::Array(values) = link.read(command).await? else {
            return Err(link.nonsense("MGET").into());
        };
        if values.len() != count + 2 {
            return Err(link.nonsense("MGET").into());
        }
        let mut values = values.into_iter();
        let entry = values.next().and_then(bytes_of).map(Bytes::from);
        let generations = values.by_ref().take(count).map(generation).collect();
        let epoch = values.next().and_then(bytes_of).and_then(|stored| Id::from_slice(&stored));
        let (run, source) = (link.run(), link.id());
        Ok(Found { entry, generations, epoch, run, source, near: false })
    }

    /// Looks up, and keeps near what was found.
    pub(super) async fn look_and_keep(
        &self,
        near: &Near,
        names: &Names,
    ) -> Result<Found, StoreError> {
        // Before the server is asked: what moves from now on outdates the answer.
        let asked = near.ask(names);
        let found = self.do_lookup(names).await?;
        if let Some(asked) = asked {
            near.keep(names, asked, &found, self.links.server.clock.now());
        }
        Ok(found)
    }

    /// Asks whether what is kept still holds, and looks up if not.
    pub(super) async fn confirm_near(
        &self,
        near: &Near,
        names: &Names,
        kept: Arc<Kept>,
    ) -> Result<Found, StoreError> {
        let count = names.scope_count();
        let mut command = Cmd::with_capacity(2 + count, names.epoch().len() * (count + 2) + 16);
        command.arg("MGET");
        for scope in names.scopes() {
            command.arg(scope);
        }
        command.arg(names.epoch());
        let mut link = self.links.link().await?;
        let Value::Array(mut values) = link.read(command).await? else {
            return Err(link.nonsense("MGET").into());
        };
        let epoch = values.pop().and_then(bytes_of).and_then(|stored| Id::from_slice(&stored));
        let generations: Vec<_> = values.into_iter().map(generation).collect();
        if epoch == Some(kept.epoch) && generations == kept.generations && link.run() == kept.run {
            return Ok(kept.found());
        }
        near.forget(names);
        self.look_and_keep(near, names).await
    }

    pub(super) async fn do_miss(
        &self,
        names: &Names,
        request: &MissRequest,
    ) -> Result<Miss, StoreError> {
        let lease = names.lease();
        let fences: Vec<String> = names.fences().collect();
        let keep = lifetime(request.keep).to_string();
        let (token, hold) = match &request.lease {
            Some((token, hold)) => (&token.0[..], lifetime(*hold).to_string()),
            None => (&[][..], String::new()),
        };
        let mut keys = Vec::with_capacity(3 + 2 * fences.len());
        keys.extend([names.entry(), &lease, names.epoch()]);
        // The scope of all tenants, if it is among them, is the last of either list: in a cluster
        // it has another slot, and this is where it would become a call of its own, made first.
        keys.extend(names.scopes());
        keys.extend(fences.iter().map(String::as_str));

        let mut link = self.links.link().await?;
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
            ],
        };
        let asked = Instant::now();
        let reply = link.call(&call).await?;
        let answer = read_miss(reply, names.scope_count());
        let (code, now, mut parts) = answer.ok_or_else(|| link.nonsense("the miss script"))?;
        self.links.server.clock.learn(now, asked);
        match code {
            3 => return Ok(Miss::Closed),
            2 => return Ok(Miss::Again),
            _ => {}
        }
        let holder = read_token(parts.pop());
        let snapshot = read_snapshot(&parts, &link);
        let snapshot = snapshot.ok_or_else(|| link.nonsense("the miss script"))?;
        match code {
            0 => Ok(Miss::Granted(snapshot)),
            1 => match holder {
                Some(holder) => Ok(Miss::Wait { snapshot, holder }),
                None => Err(link.nonsense("the miss script").into()),
            },
            _ => Err(link.nonsense("the miss script").into()),
        }
    }

    pub(super) async fn do_stamp(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        groups: &ScopeNames,
        keep: Millis,
    ) -> Result<Stamped, StoreError> {
        let mut link = self.links.link().await?;
        if snapshot.run != link.run() {
            return Ok(Stamped::Refused(Refusal::Run));
        }
        let keep = lifetime(keep).to_string();
        let groups = groups.generations();
        let mut keys = Vec::with_capacity(1 + groups.len());
        keys.push(names.epoch());
        keys.extend(groups.iter().map(String::as_str));
        let nonce = nonce();
        let args = vec![&nonce[..], snapshot.epoch.as_bytes(), keep.as_bytes()];
        let reply = link.call(&Call { script: Script::Stamp, keys, args }).await?;
        read_stamped(&reply, groups.len()).ok_or_else(|| link.nonsense("the stamp script").into())
    }

    pub(super) async fn do_fill(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> Result<Filled, StoreError> {
        let mut link = self.links.link().await?;
        if snapshot.run != link.run() {
            return Ok(Filled::Refused(Refusal::Run));
        }
        if snapshot.stamps.len() != names.scope_count() {
            // It was taken for other scopes, so it vouches for none of these.
            return Ok(Filled::Refused(Refusal::Stamp));
        }
        let transit = format!("{}{:016x}", names.space().prefix('w'), u64::from_be_bytes(nonce()));
        let mut set = Cmd::with_capacity(5, transit.len() + frame.len() + 16);
        set.arg("SET").arg(&transit).arg(&frame[..]).arg("PX").arg(IN_TRANSIT);
        // The command has its own copy now.
        drop(frame);

        let lease = names.lease();
        let ttl = lifetime(ttl).to_string();
        let mut keys = Vec::with_capacity(4 + snapshot.stamps.len());
        keys.extend([&*transit, names.entry(), &lease, names.epoch()]);
        keys.extend(names.scopes());
        let mut args = Vec::with_capacity(3 + snapshot.stamps.len());
        args.push(token.as_ref().map_or(&[][..], |token| &token.0));
        args.push(ttl.as_bytes());
        args.push(snapshot.epoch.as_bytes());
        args.extend(snapshot.stamps.iter().map(|stamp| &stamp.as_bytes()[..]));
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
            _ => return Err(link.nonsense("the fill script").into()),
        })
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
        self.ask(Script::Remove, &[names.epoch(), names.entry()], &[&nonce()]).await
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

    /// Calls a script that answers yes or no.
    async fn ask(&self, script: Script, keys: &[&str], args: &[&[u8]]) -> Result<bool, StoreError> {
        let mut link = self.links.link().await?;
        let call = Call { script, keys: keys.to_vec(), args: args.to_vec() };
        match number(Some(&link.call(&call).await?)) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(link.nonsense(script.name()).into()),
        }
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

fn read_snapshot(parts: &[Value], link: &Link) -> Option<Snapshot> {
    let (epoch, stamps) = parts.split_first()?;
    Some(Snapshot {
        epoch: read_id(epoch)?,
        stamps: stamps.iter().map(read_id).collect::<Option<_>>()?,
        run: link.run(),
    })
}
