//! The steps that touch entries and metadata together.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::MemoryStore;
use super::holdings::Held;
use super::metadata::{FillCheck, Look};
use super::standing::Stood;
use crate::entry::{Entry, Generation, Head, Id, Millis, Snapshot};
use crate::key::{Glob, Names, ScopeNames, Space};
use crate::store::{
    Filled, Found, Generations, KeyPage, LeaseToken, Miss, MissRequest, Refusal, Stamped, StoredKey,
};

impl MemoryStore {
    /// The name of the generation of all tenants, if the key has it among its scopes.
    fn everybody_of(names: &Names) -> Option<&str> {
        names.has_all_tenants().then(|| names.scopes().last()).flatten()
    }

    pub(super) fn do_lookup(&self, names: &Names) -> Found {
        let now = self.clock.millis();
        let held = self.entry(names.entry(), now).map(|kept| kept.held);
        let scopes = names.scopes_digest();
        let stood = held.as_ref().and_then(|held| held.standing.get(scopes, now));
        let (generations, epoch) = stood.unwrap_or_else(|| self.look(names, held.as_deref(), now));
        let entry = held.as_ref().map(|held| held.frame.clone());
        let decoded = held.and_then(|held| held.entry.clone());
        let found = Found::new(entry, generations, epoch, self.run);
        Found { decoded, at: Some(now), ..found }
    }

    /// Searches for the names of a key's scopes and its epoch, and remembers with the entry what it found.
    pub(super) fn look(
        &self,
        names: &Names,
        held: Option<&Held>,
        now: Millis,
    ) -> (Arc<[Generation]>, Option<Id>) {
        let everybody = Self::everybody_of(names);
        let own = names.scope_count() - usize::from(everybody.is_some());
        let (mut look, of_tenant) = match self.tenant(names.space()) {
            None => (Look::of_nothing(own), None),
            Some(tenant) => {
                let known = tenant.read();
                // Under the lock that whoever moves something counts under.
                let look = known.look(names.scopes().take(own), names.epoch(), now);
                (look, Some(known.moves().counted()))
            }
        };
        let of_everybody = everybody.map(|name| {
            let known = self.everybody.read();
            let (generation, until) = known.generation_until(name, now);
            look.generations.push(generation);
            look.until = look.until.min(until);
            known.moves().counted()
        });
        let generations: Arc<[_]> = look.generations.into();
        if let Some((held, of_tenant)) = held.zip(of_tenant) {
            held.standing.set(Stood {
                scopes: names.scopes_digest(),
                generations: Arc::clone(&generations),
                epoch: look.epoch,
                until: look.until,
                of_tenant,
                of_everybody,
            });
        }
        (generations, look.epoch)
    }

    pub(super) fn do_miss(&self, names: &Names, request: &MissRequest) -> Miss {
        let now = self.clock.millis();
        let mint = self.minter();
        self.change(names.space(), |tenant| {
            if let Some(own) = names.configured().fingerprint {
                tenant.join(own);
                self.note_others(tenant.has_others(own));
            }
            let everybody = Self::everybody_of(names);
            let own = names.scope_count() - usize::from(everybody.is_some());
            // All of them, also where one is closed.
            let mut stamps: Vec<_> = names
                .scopes()
                .take(own)
                .map(|name| tenant.scopes.open(name, request.keep, now, &mint).current())
                .collect();
            stamps.extend(
                everybody.map(|name| {
                    self.everybody.write().open(name, request.keep, now, &mint).current()
                }),
            );
            let epoch = tenant.open_epoch(names.epoch(), request.keep, now, &mint);
            let Some(stamps) = stamps.into_iter().collect() else { return Miss::Closed };
            let snapshot = Snapshot { stamps, epoch, run: self.run };
            if !request.ignore_entry
                && self.entry(names.entry(), now).is_some_and(|kept| {
                    Head::is_fresh(&kept.held.frame, request.scopes, &snapshot, now)
                })
            {
                return Miss::Again;
            }
            let Some((token, ttl)) = request.lease else { return Miss::Granted(snapshot) };
            match tenant.lease(names.entry(), token, &snapshot, ttl, now) {
                Some(holder) => Miss::Wait { snapshot, holder },
                None => Miss::Granted(snapshot),
            }
        })
    }

    pub(super) fn do_stamp(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        groups: &ScopeNames,
        keep: Millis,
    ) -> Stamped {
        if snapshot.run != self.run {
            return Stamped::Refused(Refusal::Run);
        }
        if self.tenant(names.space()).is_none() {
            return Stamped::Refused(Refusal::Epoch);
        }
        let now = self.clock.millis();
        let mint = self.minter();
        let epoch = (names.epoch(), snapshot.epoch);
        let stamps = self.change(names.space(), |tenant| {
            tenant.stamp(groups.generations(), epoch, keep, now, &mint)
        });
        stamps.map_or_else(Stamped::Refused, Stamped::Stamps)
    }

    pub(super) fn do_generations(&self, scopes: &ScopeNames) -> Generations {
        let now = self.clock.millis();
        let names = scopes.generations();
        let generations = match self.tenant(scopes.space()) {
            Some(tenant) => {
                let known = &tenant.read().scopes;
                names.iter().map(|name| known.generation(name, now)).collect()
            }
            None => vec![Generation::Missing; names.len()],
        };
        Generations { generations, run: Some(self.run) }
    }

    pub(super) fn do_fill(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        token: Option<LeaseToken>,
        frame: Bytes,
        ttl: Millis,
    ) -> Filled {
        if snapshot.run != self.run {
            return Filled::Refused(Refusal::Run);
        }
        let now = self.clock.millis();
        // Once, and not for each of its readers; and before anybody has to wait for it.
        let entry = Entry::decode(frame.clone()).ok().map(Arc::new);
        // One step: whoever moves the epoch and then searches must find this entry.
        self.change_if_known(names.space(), |tenant| {
            let everybody = Self::everybody_of(names);
            if let Some(name) = everybody {
                let current = self.everybody.read().generation(name, now).current();
                if current.as_ref() != snapshot.stamps.last() {
                    return Filled::Refused(Refusal::Stamp);
                }
            }
            let own = names.scope_count() - usize::from(everybody.is_some());
            let check = FillCheck {
                scopes: names.scopes().take(own),
                stamps: &snapshot.stamps[..own],
                epoch: (names.epoch(), snapshot.epoch),
                lease: (names.entry(), token),
            };
            if names.configured().fingerprint.is_some_and(|own| !tenant.join(own)) {
                return Filled::Refused(Refusal::Stamp);
            }
            if let Err(refusal) = tenant.admit_fill(check, ttl, now) {
                return Filled::Refused(refusal);
            }
            if let Some(name) = everybody {
                self.everybody.write().prolong(name, now + ttl);
            }
            if self.keep(tenant, names.entry(), Held::new(frame, entry), now + ttl, now) {
                Filled::Stored
            } else {
                Filled::Refused(Refusal::Space)
            }
        })
        .unwrap_or(Filled::Refused(Refusal::Epoch))
    }

    pub(super) fn do_delete_pattern(&self, space: &Space, glob: &Glob) -> u64 {
        let mint = self.minter();
        if let Some(tenant) = self.tenant(space) {
            tenant.write().move_epochs(&mint);
        }
        let now = self.clock.millis();
        let matching: Vec<_> = self
            .entries
            .iter()
            .filter(|(name, kept)| {
                space
                    .key_of(name)
                    .and_then(|rest| rest.split_once(' '))
                    .is_some_and(|(_, text)| glob.matches(text))
                    && kept.until > now
            })
            .map(|(name, _)| name)
            .collect();
        let removed =
            matching.iter().filter(|name| self.entries.remove(&***name).is_some()).count();
        if let Some(tenant) = self.tenant(space) {
            tenant.write().move_epochs(&self.minter());
        }
        removed as u64
    }

    /// In the order of variant and text; the cursor is the last of the page before.
    pub(super) fn do_keys(
        &self,
        space: &Space,
        glob: &Glob,
        cursor: Option<&str>,
        limit: usize,
    ) -> KeyPage {
        let limit = limit.max(1);
        let now = self.clock.millis();
        // Never more than a page and the one that says that there is another, however many there are.
        let mut page: BTreeSet<Box<str>> = BTreeSet::new();
        for (name, kept) in self.entries.iter() {
            let Some(rest) = space.key_of(&name) else { continue };
            let matching = rest.split_once(' ').is_some_and(|(_, text)| glob.matches(text));
            if !matching || kept.until <= now || cursor.is_some_and(|last| rest <= last) {
                continue;
            }
            if page.len() <= limit {
                page.insert(rest.into());
            } else if page.last().is_some_and(|last| rest < &**last) {
                page.insert(rest.into());
                page.pop_last();
            }
        }
        let more = page.len() > limit;
        if more {
            page.pop_last();
        }
        let next = page.last().filter(|_| more).map(ToString::to_string);
        let keys = page.iter().filter_map(|rest| rest.split_once(' ')).map(|(variant, text)| {
            StoredKey { variant: variant.to_owned(), text: text.to_owned() }
        });
        KeyPage { keys: keys.collect(), next }
    }
}
