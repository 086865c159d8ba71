//! The steps that concern scopes: invalidation and fences.

use super::RedisStore;
use super::entries::{lifetime, number};
use super::script::{Call, Script};
use crate::entry::Millis;
use crate::key::ScopeNames;
use crate::store::types::nonce;
use crate::store::{Invalidated, LeaseToken, Mode, StoreError};

/// How long a generation that a lifted fence opens lives at least; fills extend it.
const OPENED: &[u8] = b"3600000";

impl RedisStore {
    pub(super) async fn do_invalidate(
        &self,
        scopes: &ScopeNames,
        mode: Mode,
    ) -> Result<Invalidated, StoreError> {
        let mode: &[u8] = match mode {
            Mode::Hard => b"hard",
            Mode::Soft => b"soft",
        };
        let all = scopes.all_tenants();
        let nonces = [nonce(), nonce()];
        let tenant = scopes.generations().iter().map(String::as_str).collect();
        // The scope of all tenants is moved by a call of its own, since in a cluster it has
        // another slot.
        let calls = [tenant, all.as_deref().into_iter().collect::<Vec<_>>()]
            .into_iter()
            .zip(&nonces)
            .filter(|(keys, _)| !keys.is_empty())
            .map(|(keys, nonce)| Call { script: Script::Move, keys, args: vec![nonce, mode] })
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

/// `gym:a:all` to `gym:b:all`: a namespace holds no colon.
fn fence_of_all(generation: &str) -> String {
    generation.replacen(":a:", ":b:", 1)
}
