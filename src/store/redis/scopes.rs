//! The steps that concern scopes: invalidation, fences, and reading them by themselves.

use bb8_redis::redis::{Cmd, Value};

use super::RedisStore;
use super::entries::{bytes_of, lifetime, number};
use super::script::{Call, Script};
use crate::entry::{Generation, Millis};
use crate::key::ScopeNames;
use crate::store::types::nonce;
use crate::store::{Generations, Invalidated, LeaseToken, Mode, StoreError};

/// How long a generation that a lifted fence opens lives at least; fills extend it.
const OPENED: &[u8] = b"3600000";

impl RedisStore {
    pub(super) async fn do_invalidate(
        &self,
        scopes: &ScopeNames,
        mode: Mode,
    ) -> Result<Invalidated, StoreError> {
        let mode: &[u8] = match mode {
            Mode::Soft if !scopes.has_epochs() => b"soft",
            Mode::Hard | Mode::Soft => b"hard",
        };
        let all = scopes.all_tenants();
        let nonces = [nonce(), nonce()];
        let epochs: Vec<String> = scopes.epochs().collect();
        let count = scopes.generations().len().to_string();
        let tenant = scopes.generations().iter().chain(&epochs).map(String::as_str).collect();
        let everybody = all.as_deref().into_iter().collect::<Vec<_>>();
        // The scope of all tenants is moved by a call of its own, since in a cluster it has
        // another slot.
        let calls = [(tenant, count.as_bytes()), (everybody, b"1")]
            .into_iter()
            .zip(&nonces)
            .filter(|((keys, _), _)| !keys.is_empty())
            .map(|((keys, count), nonce)| Call {
                script: Script::Move,
                keys,
                args: vec![nonce, mode, count],
            })
            .collect::<Vec<_>>();
        let mut moved = 0;
        for count in self.apply(&calls).await? {
            moved += usize::try_from(count).unwrap_or(0);
        }
        Ok(Invalidated { moved })
    }

    pub(super) async fn do_fence(
        &self,
        scopes: &ScopeNames,
        token: LeaseToken,
        deadline: Millis,
    ) -> Result<(), StoreError> {
        debug_assert!(!scopes.has_epochs(), "a group can't be fenced");
        let deadline = lifetime(deadline).to_string();
        self.guard(Script::Fence, scopes, token, deadline.as_bytes()).await
    }

    pub(super) async fn do_lift(
        &self,
        scopes: &ScopeNames,
        token: LeaseToken,
    ) -> Result<(), StoreError> {
        self.guard(Script::Lift, scopes, token, OPENED).await
    }

    /// The generations of the tenant's scopes, and none of all tenants.
    pub(super) async fn do_generations(
        &self,
        scopes: &ScopeNames,
    ) -> Result<Generations, StoreError> {
        let names = scopes.generations();
        let mut link = self.links.link().await?;
        if names.is_empty() {
            // A server takes an `MGET` of nothing for a mistake.
            return Ok(Generations { generations: Vec::new(), run: link.run() });
        }
        let bytes = names.iter().map(String::len).sum::<usize>();
        let mut command = Cmd::with_capacity(1 + names.len(), 4 + bytes);
        command.arg("MGET");
        for name in names {
            command.arg(name);
        }
        let reply = link.read(command).await?;
        match reply {
            Value::Array(values) if values.len() == names.len() => {
                let generations = values.into_iter().map(generation).collect();
                Ok(Generations { generations, run: link.run() })
            }
            _ => Err(link.nonsense("MGET").into()),
        }
    }

    /// Calls a script over the fences and generations of the tenant, and over those of all tenants.
    async fn guard(
        &self,
        script: Script,
        scopes: &ScopeNames,
        token: LeaseToken,
        last: &[u8],
    ) -> Result<(), StoreError> {
        let fences: Vec<String> = scopes.fences().collect();
        let all = scopes.all_tenants();
        let all_fence = all.as_deref().map(fence_of_all);
        let nonces = [nonce(), nonce()];
        let tenant = fences.iter().chain(scopes.generations()).map(String::as_str).collect();
        let calls = [tenant, all_fence.iter().chain(&all).map(String::as_str).collect::<Vec<_>>()]
            .into_iter()
            .zip(&nonces)
            .filter(|(keys, _)| !keys.is_empty())
            .map(|(keys, nonce)| Call { script, keys, args: vec![nonce, &token.0, last] })
            .collect::<Vec<_>>();
        self.apply(&calls).await.map(drop)
    }

    /// Makes calls in one round trip and answers their numbers.
    async fn apply(&self, calls: &[Call<'_>]) -> Result<Vec<i64>, StoreError> {
        if calls.is_empty() {
            return Ok(Vec::new());
        }
        let mut link = self.links.link().await?;
        let (_, replies) = link.together(Vec::new(), calls).await?;
        replies
            .into_iter()
            .zip(calls)
            .map(|(reply, call)| {
                number(Some(&reply)).ok_or_else(|| link.nonsense(call.script.name()).into())
            })
            .collect()
    }
}

/// A name of another type reads as nothing, which is how `MGET` has it too.
pub(super) fn generation(value: Value) -> Generation {
    bytes_of(value).map_or(Generation::Missing, |stored| Generation::parse(&stored))
}

/// `gym:a:all` to `gym:b:all`: a namespace holds no colon.
fn fence_of_all(generation: &str) -> String {
    generation.replacen(":a:", ":b:", 1)
}
