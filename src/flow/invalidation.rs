//! An invalidation until it is confirmed.
//!
//! One that the store did not confirm makes its scopes *dirty* on this instance: reads of them go
//! past the cache. It is tried again, each time as a new attempt, until it is confirmed or until
//! whatever it was to reach has expired by itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::shared::Shared;
use super::step::{after, is_away, step};
use crate::key::{Names, ScopeNames, Space};
use crate::policy::{MAX_TTL, TENANT};
use crate::store::{Invalidated, Mode, StoreError};
use crate::telemetry::Bound;

/// Invalidates, once, within the time that an invalidation may take. If that is not confirmed, the
/// scopes are dirty when this answers, and attempts go on in the background.
///
/// # Dropping
///
/// Loses the invalidation: call it on a task of its own.
pub(crate) async fn invalidate(
    shared: &Arc<Shared>,
    scopes: &ScopeNames,
    mode: Mode,
) -> Result<Invalidated, StoreError> {
    let since = Instant::now();
    let deadline = since + shared.settings.invalidate_timeout;
    invalidate_by(shared, scopes, mode, deadline, since).await
}

/// The same, with a deadline that several steps may have together, and with the moment since which
/// it has been due.
pub(super) async fn invalidate_by(
    shared: &Arc<Shared>,
    scopes: &ScopeNames,
    mode: Mode,
    deadline: Instant,
    since: Instant,
) -> Result<Invalidated, StoreError> {
    let done = attempt(shared, scopes, mode, || deadline, since).await;
    match &done {
        Ok(_) => shared.recent.confirmed(scopes, since.elapsed()),
        Err(_) => mark_dirty(shared, scopes, since),
    }
    done
}

/// Keeps reads of these scopes away from the store until an attempt to invalidate is confirmed.
pub(crate) fn mark_dirty(shared: &Arc<Shared>, scopes: &ScopeNames, since: Instant) {
    shared.telemetry.unconfirmed();
    shared.recent.unconfirmed(scopes);
    // A response may have asked for more than any that has been stored here, on another instance.
    let lives = Lives { one: MAX_TTL, all: shared.longest_life() };
    let marked = shared.dirty.mark(scopes, shared.settings.max_dirty, lives, since);
    if marked.widened {
        shared.telemetry.over(Bound::Dirty);
    }
    if marked.retry {
        shared.work.spawn(retry(Arc::clone(shared)));
    }
}

async fn attempt(
    shared: &Shared,
    scopes: &ScopeNames,
    mode: Mode,
    deadline: impl FnOnce() -> Instant,
    since: Instant,
) -> Result<Invalidated, StoreError> {
    let scopes = &shared.signed(scopes);
    let step = step(shared, "invalidate", deadline, |store| store.invalidate(scopes, mode));
    let done = step.await?;
    shared.telemetry.invalidated(done.moved, since.elapsed());
    Ok(done)
}

/// The pause before an attempt that follows none that failed.
const SOON: Duration = Duration::from_millis(20);

/// The longest pause.
const LATE: Duration = Duration::from_secs(1);

/// Tries until nothing is dirty.
async fn retry(shared: Arc<Shared>) {
    let mut pause = SOON;
    loop {
        if shared.is_store_away() {
            // The breaker finds out when it is back. Until then there are only marks to expire.
            let _ = tokio::time::timeout(LATE, shared.gate.passable()).await;
            pause = SOON;
        } else {
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
        }
        let mut failed = false;
        let pending = if shared.is_store_away() { Vec::new() } else { shared.dirty.pending() };
        for Pending { scopes, newest: marked, since } in pending {
            let deadline = after(shared.settings.invalidate_timeout);
            match attempt(&shared, &scopes, Mode::Hard, deadline, since).await {
                Ok(_) => {
                    shared.dirty.confirm(&scopes, marked);
                    shared.recent.confirmed_late(&scopes);
                }
                Err(error) => {
                    failed = true;
                    if is_away(&error) {
                        // The others would fare no better, and would each take a time-out.
                        break;
                    }
                }
            }
        }
        if shared.dirty.finish_round() {
            return;
        }
        // What came in meanwhile need not wait as long as what failed before it.
        pause = if failed { (pause * 2).min(LATE) } else { SOON };
    }
}

/// The scopes whose invalidation is not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// How many marks there are: read by every request, almost always 0.
    count: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By tenant, then by the name of the generation.
    tenants: HashMap<Space, HashMap<String, Mark>>,
    /// Set when there was no room for more: everything is dirty until then.
    everything: Option<Instant>,
    marks: u64,
    retrying: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    number: u64,
    until: Instant,
    /// When the invalidation was due.
    since: Instant,
}

/// What is to be tried again of one tenant.
struct Pending {
    scopes: ScopeNames,
    /// The number of the newest mark that the attempt answers for.
    newest: u64,
    /// Since when the oldest one is due.
    since: Instant,
}

/// For how long marks stay that no attempt takes off.
#[derive(Clone, Copy, Debug)]
struct Lives {
    one: Duration,
    /// That of the mark on everything, which nothing takes off.
    all: Duration,
}

/// What came of a mark.
#[derive(Clone, Copy, Debug)]
struct Marked {
    /// A task must be started that retries.
    retry: bool,
    /// There was no room, and it is of more than was asked for.
    widened: bool,
}

/// How many whole tenants may be dirty for each scope that may be.
const TENANTS: usize = 16;

impl Dirty {
    /// Whether a read with these names must go past the cache.
    pub(crate) fn covers(&self, names: &Names) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let now = Instant::now();
        let state = self.state.lock();
        if state.everything.is_some_and(|until| until > now) {
            return true;
        }
        let all_tenants = names.has_all_tenants().then(|| names.scopes().last()).flatten();
        let known = |space: &Space, name: &str| {
            state
                .tenants
                .get(space)
                .and_then(|marks| marks.get(name))
                .is_some_and(|m| m.until > now)
        };
        names.scopes().any(|name| known(names.space(), name))
            || all_tenants.is_some_and(|name| {
                state.tenants.values().any(|marks| marks.get(name).is_some_and(|m| m.until > now))
            })
    }

    /// Whether any of these scopes of one tenant is dirty.
    pub(crate) fn covers_any(&self, scopes: &ScopeNames) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let now = Instant::now();
        let state = self.state.lock();
        let marks = state.tenants.get(scopes.space());
        let known = |name: &String| {
            marks.and_then(|marks| marks.get(name)).is_some_and(|mark| mark.until > now)
        };
        state.everything.is_some_and(|until| until > now) || scopes.generations().iter().any(known)
    }

    /// How many scopes are dirty.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Marks the scopes, coarser where there is no room.
    fn mark(&self, scopes: &ScopeNames, most: usize, lives: Lives, since: Instant) -> Marked {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.marks += 1;
        let mark = Mark { number: state.marks, until: Instant::now() + lives.one, since };
        let full = self.count.load(Ordering::Relaxed) + scopes.len() > most;
        let marks = state.tenants.entry(scopes.space().clone()).or_default();
        if full {
            // Everything of the tenant, in place of what is known of it: never less than before, so
            // a mark on all tenants stays.
            let own = scopes.space().prefix('g');
            marks.retain(|name, _| !name.starts_with(&own));
            marks.insert(format!("{own}{TENANT}"), mark);
        } else {
            marks.extend(scopes.generations().iter().map(|name| (name.clone(), mark)));
            if scopes.is_empty() {
                // Of what it was to move nothing is known but the tenant.
                marks.insert(scopes.space().whole_tenant(), mark);
            }
        }
        marks.extend(scopes.all_tenants().map(|name| (name, mark)));
        if state.tenants.len() > most.saturating_mul(TENANTS) {
            // There is room for no more tenants. Those that are known go on being tried.
            state.tenants.remove(scopes.space());
            state.everything = Some(Instant::now() + lives.all);
        }
        self.recount(state);
        let retry = !std::mem::replace(&mut state.retrying, true);
        Marked { retry, widened: full }
    }

    /// What is to be tried.
    fn pending(&self) -> Vec<Pending> {
        let state = self.state.lock();
        let newest = state.marks;
        let pending = state.tenants.iter().map(|(space, marks)| {
            let scopes = ScopeNames::from_generations(space, marks.keys().map(String::as_str));
            let since = marks.values().map(|mark| mark.since).min();
            Pending { scopes, newest, since: since.unwrap_or_else(Instant::now) }
        });
        pending.collect()
    }

    /// Takes the marks off, but for those that came after the attempt began.
    fn confirm(&self, scopes: &ScopeNames, newest: u64) {
        let mut state = self.state.lock();
        if let Some(marks) = state.tenants.get_mut(scopes.space()) {
            marks.retain(|_, mark| mark.number > newest);
        }
        self.recount(&mut state);
    }

    /// Forgets what has expired. Answers whether nothing is left to try.
    fn finish_round(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.everything = state.everything.filter(|until| *until > now);
        for marks in state.tenants.values_mut() {
            marks.retain(|_, mark| mark.until > now);
        }
        self.recount(&mut state);
        let done = state.tenants.is_empty() && state.everything.is_none();
        if done {
            state.retrying = false;
        }
        done
    }

    fn recount(&self, state: &mut State) {
        state.tenants.retain(|_, marks| !marks.is_empty());
        let marks: usize = state.tenants.values().map(HashMap::len).sum();
        self.count.store(marks + usize::from(state.everything.is_some()), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Lives = Lives { one: Duration::from_secs(60), all: Duration::from_secs(60) };

    fn space(tenant: &str) -> Space {
        Space::new(&"gym".into(), tenant)
    }

    /// The names of a key whose route reads the scope of all tenants.
    fn names(tenant: &str) -> Names {
        let mut names = Names::new(&space(tenant), "GET", "/users");
        names.push_scope(TENANT);
        names.push_scope("path:/users");
        names.push_all_tenants();
        names
    }

    #[test]
    fn want_of_room_forgets_no_mark_on_all_tenants() {
        let dirty = Dirty::default();
        let mut all = ScopeNames::new(&space("4"));
        all.push_all_tenants();
        let now = Instant::now();
        let first = dirty.mark(&all, 2, LIFE, now);
        assert!(first.retry && !first.widened);
        let widened = ["path:/a", "path:/b", "path:/c"].map(|path| {
            let mut scopes = ScopeNames::new(&space("4"));
            scopes.push(path);
            dirty.mark(&scopes, 2, LIFE, now).widened
        });
        assert_eq!(widened, [false, true, true]);
        assert!(dirty.covers(&names("4")));
        assert!(dirty.covers(&names("5")), "the other tenants are still to be invalidated");
        for Pending { scopes, newest, .. } in dirty.pending() {
            assert!(scopes.all_tenants().is_some());
            dirty.confirm(&scopes, newest);
        }
        assert!(dirty.finish_round());
        assert!(!dirty.covers(&names("4")) && !dirty.covers(&names("5")));
    }
}
