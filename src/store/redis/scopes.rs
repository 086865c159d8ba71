//! The steps that concern scopes: invalidation, fences, and reading them by themselves.

use bb8_redis::redis::{Cmd, Value};

use super::RedisStore;
use super::elsewhere::sealed;
use super::failure::{Failure, Sign};
use super::replies::{bytes_of, lifetime, number};
use super::script::{Call, Script};
use crate::entry::{Generation, Millis};
use crate::key::{Fingerprint, ScopeNames, Space};
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
        self.nodes.note(scopes)?;
        let epochs: Vec<String> = scopes.epochs().collect();
        let all = scopes.all_tenants();
        let whole = Whole::of(scopes);
        let (groups, declared): (Vec<&str>, Vec<&str>) =
            scopes.generations().iter().map(String::as_str).partition(|name| scopes.is_group(name));
        let everybody: Vec<&str> = all.as_deref().into_iter().collect();
        let everybody = Moving { names: &everybody, generations: 1, whole: None };
        if self.is_spread(scopes.space()) {
            let generations = declared.len();
            let declared = Moving { names: &declared, generations, whole: whole.as_ref() };
            return Ok(self.move_spread(&groups, &epochs, [declared, everybody], mode).await?);
        }
        let tenant: Vec<&str> =
            scopes.generations().iter().chain(&epochs).map(String::as_str).collect();
        let generations = scopes.generations().len();
        let tenant = Moving { names: &tenant, generations, whole: whole.as_ref() };
        Ok(Invalidated { moved: self.move_all(&[tenant, everybody], mode).await? })
    }

    /// Moves what is in many slots: first the epochs, and beside them all scopes but groups; then the
    /// groups.
    ///
    /// A response that is stamped with what a group becomes here was stamped after every epoch had
    /// moved. If its handler began before, so did its miss, and its fill finds another epoch. In the
    /// other order it could be stored before its epoch moves. If an epoch can't be moved the groups stand,
    /// and the whole is not confirmed.
    async fn move_spread(
        &self,
        groups: &[&str],
        epochs: &[String],
        others: [Moving<'_>; 2],
        mode: &[u8],
    ) -> Result<Invalidated, Failure> {
        let (epochs, others) =
            tokio::join!(self.move_epochs_apart(epochs), self.move_all(&others, mode));
        epochs?;
        let others = others?;
        let groups = Moving { names: groups, generations: groups.len(), whole: None };
        Ok(Invalidated { moved: others + self.move_all(&[groups], mode).await? })
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
        let is_spread = self.is_spread(scopes.space());
        let slot = names.first().map_or_else(|| scopes.space().prefix('g'), String::clone);
        let read = self.nodes.at(&slot, move |mut link| async move {
            if names.is_empty() {
                // A server takes an `MGET` of nothing for a mistake.
                let run = (!is_spread).then(|| link.run());
                return Ok(Generations { generations: Vec::new(), run });
            }
            let bytes = names.iter().map(String::len).sum::<usize>();
            let mut command = Cmd::with_capacity(1 + names.len(), 4 + bytes);
            command.arg("MGET");
            for name in names {
                command.arg(name);
            }
            match link.read(command).await? {
                Value::Array(values) if values.len() == names.len() => {
                    let generations = values.into_iter().map(generation);
                    if is_spread {
                        let generations = generations.map(|known| sealed(known, link.run()));
                        return Ok(Generations { generations: generations.collect(), run: None });
                    }
                    Ok(Generations { generations: generations.collect(), run: Some(link.run()) })
                }
                _ => Err(link.nonsense("MGET")),
            }
        });
        Ok(read.await?)
    }

    /// Moves names, each set of which is in one slot.
    async fn move_all(&self, sets: &[Moving<'_>], mode: &[u8]) -> Result<usize, Failure> {
        let calls = sets.iter().filter(|set| !set.names.is_empty() || set.whole.is_some());
        let calls: Vec<Job<'_>> = calls.map(|set| set.job(mode)).collect();
        match self.apply(&calls).await {
            Err(failure) if *failure.sign() == Sign::Divided => self.move_each(sets, mode).await,
            moved => {
                let moved = moved?.into_iter().map(|count| self.without_others(count));
                Ok(moved.filter_map(|count| usize::try_from(count).ok()).sum())
            }
        }
    }

    /// Moves names one by one: while a slot goes from one node to another nothing can be done to
    /// several names of which one is missing.
    ///
    /// The epochs go first. A group must not have moved while an epoch stands: the fill of a response
    /// from before would be stamped with what the group has become. Who else has entries of the tenant
    /// can't be asked in the same step, so all of it moves.
    async fn move_each(&self, sets: &[Moving<'_>], mode: &[u8]) -> Result<usize, Failure> {
        let mut moved = 0;
        for set in sets {
            let (generations, epochs) = set.names.split_at(set.generations.min(set.names.len()));
            for (part, generations) in [(epochs, 0), (generations, 1)] {
                for name in part.chunks(1) {
                    let job = Moving { names: name, generations, whole: None }.job(mode);
                    let count = self.apply(std::slice::from_ref(&job)).await?;
                    moved += count.first().and_then(|n| usize::try_from(*n).ok()).unwrap_or(0);
                }
            }
            if let Some(whole) = set.whole {
                let names = [whole.generation.as_str()];
                let job = Moving { names: &names, generations: 0, whole: None }.job(b"hard");
                self.apply(std::slice::from_ref(&job)).await?;
            }
        }
        Ok(moved)
    }

    /// Moves epochs, each of which has a slot of its own.
    async fn move_epochs_apart(&self, epochs: &[String]) -> Result<(), Failure> {
        let names: Vec<&str> = epochs.iter().map(String::as_str).collect();
        let jobs =
            names.chunks(1).map(|names| Moving { names, generations: 0, whole: None }.job(b"hard"));
        self.apply(&jobs.collect::<Vec<_>>()).await.map(drop)
    }

    /// Moves the epochs of a tenant.
    pub(super) async fn move_epochs(
        &self,
        space: &Space,
        epochs: &[String],
    ) -> Result<(), Failure> {
        if self.is_spread(space) {
            return self.move_epochs_apart(epochs).await;
        }
        let names: Vec<&str> = epochs.iter().map(String::as_str).collect();
        let moving = Moving { names: &names, generations: 0, whole: None };
        self.move_all(&[moving], b"hard").await.map(drop)
    }

    /// Calls a script over the fences and generations of the tenant, and over those of all tenants.
    async fn guard(
        &self,
        script: Script,
        scopes: &ScopeNames,
        token: LeaseToken,
        last: &[u8],
    ) -> Result<(), StoreError> {
        self.nodes.note(scopes)?;
        let fences: Vec<String> = scopes.fences().collect();
        let all = scopes.all_tenants();
        let namespace = scopes.space().namespace();
        let all_fence = all.as_ref().map(|_| Space::all_tenants_fence(namespace));
        let whole = Whole::of(scopes);
        let whole_fence = scopes.space().whole_tenant_fence();
        let mut tenant: Vec<&str> =
            fences.iter().chain(scopes.generations()).map(String::as_str).collect();
        if let Some(whole) = &whole {
            tenant.extend([whole.list.as_str(), &whole_fence, &whole.generation]);
        }
        let own = whole.as_ref().map_or(Vec::new(), |whole| whole.own.as_bytes().to_vec());
        let everybody = all_fence.iter().chain(&all).map(String::as_str).collect::<Vec<_>>();
        let jobs = [(tenant, own), (everybody, Vec::new())]
            .into_iter()
            .filter(|(keys, _)| !keys.is_empty())
            .map(|(keys, own)| Job {
                script,
                keys,
                args: vec![token.0.to_vec(), last.to_vec(), own],
            })
            .collect::<Vec<_>>();
        for count in self.apply(&jobs).await? {
            self.without_others(count);
        }
        Ok(())
    }

    /// The count of a reply that says beside it if another configuration may have entries.
    fn without_others(&self, count: i64) -> i64 {
        if count >= OTHERS {
            self.seen_others();
            count - OTHERS
        } else {
            count
        }
    }

    /// Does jobs, in one round trip if they are for one server, and answers their numbers once the
    /// replicas that are to have them do.
    async fn apply(&self, jobs: &[Job<'_>]) -> Result<Vec<i64>, Failure> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        if self.nodes.is_cluster() && jobs.len() > 1 {
            // Side by side, and all of them to their end: what one has moved stays moved.
            let (some, others) = jobs.split_at(jobs.len() / 2);
            let (some, others) =
                tokio::join!(Box::pin(self.apply(some)), Box::pin(self.apply(others)));
            return Ok([some?, others?].concat());
        }
        debug_assert!(!first.keys.is_empty());
        self.apply_here(jobs).await
    }

    async fn apply_here(&self, jobs: &[Job<'_>]) -> Result<Vec<i64>, Failure> {
        self.nodes
            .surely_at(jobs[0].keys[0], move |mut link| async move {
                // Of this attempt alone: what one has minted is not minted again.
                let nonces: Vec<[u8; 8]> = jobs.iter().map(|_| nonce()).collect();
                let calls: Vec<Call<'_>> =
                    jobs.iter().zip(&nonces).map(|(job, nonce)| job.call(nonce)).collect();
                let (_, replies) = link.together(Vec::new(), &calls).await?;
                let counts = replies.iter().zip(&calls).map(|(reply, call)| {
                    number(Some(reply)).ok_or_else(|| link.nonsense(call.script.name()))
                });
                let counts = counts.collect::<Result<Vec<_>, _>>()?;
                self.nodes.replicated(&mut link).await?;
                Ok(counts)
            })
            .await
    }
}

/// Names of one slot that are to move: generations, then epochs.
struct Moving<'a> {
    names: &'a [&'a str],
    generations: usize,
    whole: Option<&'a Whole>,
}

/// What a reply counts if another configuration may have entries of the tenant.
const OTHERS: i64 = 1 << 20;

/// The whole tenant, which moves if another configuration may have entries of it.
struct Whole {
    list: String,
    generation: String,
    own: Fingerprint,
}

impl Whole {
    fn of(scopes: &ScopeNames) -> Option<Self> {
        let space = scopes.space();
        scopes.configuration().map(|own| Self {
            list: space.configurations(),
            generation: space.whole_tenant(),
            own,
        })
    }
}

impl<'a> Moving<'a> {
    fn job(&self, mode: &[u8]) -> Job<'a> {
        let own = self.whole.map_or(&[][..], |whole| whole.own.as_bytes());
        let args = vec![mode.to_vec(), self.generations.to_string().into_bytes(), own.to_vec()];
        let mut keys = self.names.to_vec();
        if let Some(whole) = self.whole {
            keys.extend([whole.list.as_str(), &whole.generation]);
        }
        Job { script: Script::Move, keys, args }
    }
}

/// Moves these generations, which are in one slot, and nothing beside them.
pub(super) fn moving<'a>(names: &'a [&'a str]) -> Job<'a> {
    Moving { names, generations: names.len(), whole: None }.job(b"hard")
}

/// A call of a script whose first argument is a nonce.
pub(super) struct Job<'a> {
    script: Script,
    keys: Vec<&'a str>,
    /// The others.
    args: Vec<Vec<u8>>,
}

impl Job<'_> {
    pub(super) fn call<'b>(&'b self, nonce: &'b [u8; 8]) -> Call<'b> {
        let args = std::iter::once(&nonce[..]).chain(self.args.iter().map(Vec::as_slice));
        Call { script: self.script, keys: self.keys.clone(), args: args.collect() }
    }
}

/// A name of another type reads as nothing, which is how `MGET` has it too.
pub(super) fn generation(value: Value) -> Generation {
    bytes_of(value).map_or(Generation::Missing, |stored| Generation::parse(&stored))
}
