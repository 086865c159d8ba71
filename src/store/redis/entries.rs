//! The steps that concern one key, but for look-ups.

use std::time::{Duration, Instant};

use bb8_redis::redis::{Cmd, Value, cmd};
use bytes::Bytes;

use super::RedisStore;
use super::connection::Link;
use super::elsewhere::seal;
use super::failure::{Failure, Sign};
use super::replies::{
    OTHERS, bytes_of, lifetime, number, read_miss, read_snapshot, read_stamped, read_token,
};
use super::script::{Call, Script};
use crate::entry::{Millis, Snapshot};
use crate::key::{Fingerprint, Names, ScopeNames};
use crate::store::types::nonce;
use crate::store::{
    Filled, LeaseToken, Miss, MissRequest, Refusal, Stamped, StoreError, StoreErrorKind,
};

/// How long the bytes of a fill stay under their own name if nothing renames them.
const IN_TRANSIT: u64 = 10_000;

/// Up to this size `discard` compares an entry as a whole.
const WHOLE: usize = 64 * 1024;

/// How much of either end of a larger entry it compares.
const END: usize = 1024;

/// How often the removal of what is too large is asked for, and how long it is waited for each time: all
/// that has to end within what [`Store::trim`](crate::Store::trim) is given.
const ATTEMPTS: usize = 4;
/// How often where something too large is known to be there.
const PATIENT: usize = 8;
const ATTEMPT: Duration = Duration::from_secs(1);
const BETWEEN: Duration = Duration::from_millis(100);

impl RedisStore {
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

    /// The connection may be one on which the very value is on its way: the answer stands behind it
    /// then, and is lost with it if the connection is given up, while what was asked for is done. So
    /// the value is measured first, and it is asked for again, on another connection: what was too
    /// large and is gone, after nobody answered, has been removed.
    pub(super) async fn do_trim(&self, names: &Names, most: u64) -> Result<bool, StoreError> {
        let limit = &most.to_string();
        let mut unanswered = false;
        let mut attempt = 1;
        loop {
            let mut is_larger = false;
            let trimmed = tokio::time::timeout(ATTEMPT, async {
                is_larger = self.length_of(names.entry()).await? > most;
                self.ask(Script::Trim, &[names.entry()], &[limit.as_bytes()]).await
            });
            let failure = match trimmed.await {
                Ok(Ok(trimmed)) => return Ok(trimmed || unanswered),
                Ok(Err(error)) => error,
                Err(_) => StoreErrorKind::Timeout.into(),
            };
            unanswered |= is_larger;
            let attempts = if unanswered { PATIENT } else { ATTEMPTS };
            if failure.kind() == StoreErrorKind::Refused || attempt >= attempts {
                return Err(failure);
            }
            attempt += 1;
            // Whoever fails to connect is not let try again at once.
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// How many bytes the string has.
    async fn length_of(&self, name: &str) -> Result<u64, StoreError> {
        let mut command = cmd("STRLEN");
        command.arg(name);
        let command = &command;
        let length = self.nodes.at(name, move |mut link| async move {
            match link.command(command).await {
                Ok(length) => Ok(number(Some(&length)).and_then(|length| length.try_into().ok())),
                // It is none; but where it is to be asked for elsewhere, it may be one.
                Err(failure)
                    if failure.kind == StoreErrorKind::Refused && *failure.sign() == Sign::None =>
                {
                    Ok(Some(0))
                }
                Err(failure) => Err(failure),
            }
        });
        Ok(length.await?.unwrap_or(0))
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
