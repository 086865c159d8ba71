//! The answers that are kept, and whether they still hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use foldhash::quality::RandomState;
use parking_lot::RwLock;
use quick_cache::OptionsBuilder;
use quick_cache::sync::{Cache as Entries, DefaultLifecycle};

use super::config::{Mode, NearSettings};
use super::positions::{Moving, Noted, Positions};
use crate::entry::{Entry, Generation, Head, Id, Millis, RunId};
use crate::key::{Names, ScopeNames};
use crate::store::Found;

/// What one entry takes beside its bytes, roughly.
const OVERHEAD: usize = 256;

/// What this process keeps of the store.
#[derive(Debug)]
pub(in crate::store) struct Near {
    settings: NearSettings,
    entries: Entries<Box<str>, Arc<Kept>, Weighter, RandomState>,
    positions: Positions,
    began: Instant,
    /// One for each server that tells, while it does.
    feeds: RwLock<Arc<[Arc<Told>]>>,
}

/// What one server tells, from when it begins to until it ends.
///
/// What is kept holds on to those that tell of it: one that begins anew is another.
#[derive(Debug)]
pub(in crate::store) struct Told {
    by: By,
    namespaces: Vec<Arc<str>>,
    /// Up to when it is proven to have told everything, in microseconds since the near-cache began.
    proven: AtomicU64,
    ended: Arc<AtomicBool>,
}

/// Which server, and which run of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct By {
    pub(in crate::store) address: Arc<str>,
    pub(in crate::store) run: RunId,
}

/// The answer of a look-up.
#[derive(Debug)]
pub(in crate::store) struct Kept {
    pub(in crate::store) frame: Bytes,
    entry: Arc<Entry>,
    pub(in crate::store) generations: Arc<[Generation]>,
    pub(in crate::store) epoch: Id,
    pub(in crate::store) run: RunId,
    source: u64,
    /// By the store's clock.
    fresh_until: Millis,
    /// When it was asked for, in microseconds since the near-cache began.
    taken: u64,
    noted: Noted,
    /// Who tells of what moves it: the servers that have answered.
    told: Box<[Arc<Told>]>,
}

impl Kept {
    /// The answer, once more. The store's clock says `at`, if it has been read for it.
    pub(in crate::store) fn found(&self, at: Option<Millis>) -> Found {
        Found {
            entry: Some(self.frame.clone()),
            decoded: Some(Arc::clone(&self.entry)),
            generations: Arc::clone(&self.generations),
            epoch: Some(self.epoch),
            run: self.run,
            source: self.source,
            near: true,
            at,
        }
    }
}

/// What is noted before the store is asked.
#[derive(Debug)]
pub(in crate::store) struct Asked {
    noted: Noted,
    at: Instant,
    feeds: Arc<[Arc<Told>]>,
}

impl Near {
    pub(in crate::store) fn new(settings: NearSettings) -> Self {
        let bytes = usize::try_from(settings.capacity).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(settings.capacity)
            .estimated_items_capacity((bytes / 4096).clamp(64, 1 << 20))
            .build();
        let (hashing, life) = (RandomState::default(), DefaultLifecycle::default());
        let entries = match options {
            Ok(options) => Entries::with_options(options, Weighter, hashing, life),
            Err(_) => Entries::with(64, settings.capacity, Weighter, hashing, life),
        };
        Self {
            settings,
            entries,
            positions: Positions::new(),
            began: Instant::now(),
            feeds: RwLock::new(Arc::new([])),
        }
    }

    pub(in crate::store) fn mode(&self) -> Mode {
        self.settings.mode
    }

    pub(in crate::store) fn liveness(&self) -> Duration {
        self.settings.liveness
    }

    /// What is kept of this key and holds, as far as is known here: in the strict mode the store is
    /// still to be asked. It is `at` here, and `now` by the store's clock.
    pub(in crate::store) fn get(
        &self,
        names: &Names,
        at: Instant,
        now: Millis,
    ) -> Option<Arc<Kept>> {
        let kept = self.entries.get(names.entry())?;
        let at = self.micros(at);
        // A stale one may have been refreshed in the store.
        if kept.fresh_until <= now || !is_within(kept.taken, at, self.settings.max_age) {
            self.forget(names);
            return None;
        }
        let holds = match self.settings.mode {
            Mode::Strict => self.positions.hold(&kept.noted),
            // In this order: what has been told before the proof has been noted before it. Compared
            // before, the positions could be those from before a silence that has just ended.
            Mode::Coherent => {
                kept.told.iter().all(|told| self.is_proven(told, at))
                    && self.positions.hold(&kept.noted)
                    && self.positions.is_of_this_era(&kept.noted)
            }
        };
        holds.then_some(kept)
    }

    /// What was last known of this key, at most `span` ago: for when the store can't be asked.
    pub(in crate::store) fn recall(&self, names: &Names, span: Duration) -> Option<Arc<Kept>> {
        let kept = self.entries.get(names.entry())?;
        let is_recent = is_within(kept.taken, self.micros(Instant::now()), span);
        (is_recent && self.positions.hold(&kept.noted)).then_some(kept)
    }

    /// To be noted before the store is asked; `None` if its answer could not be kept.
    pub(in crate::store) fn ask(&self, names: &Names) -> Option<Asked> {
        let may = self.settings.mode == Mode::Strict || self.is_alive();
        may.then(|| {
            let feeds = Arc::clone(&self.feeds.read());
            Asked { noted: self.positions.note(names), at: Instant::now(), feeds }
        })
    }

    /// Keeps the answer, if nothing has moved since it was asked for, and if it is worth it: what it
    /// says is in the answer then. `by` are the servers that it is of.
    pub(in crate::store) fn keep(
        &self,
        names: &Names,
        asked: Asked,
        found: &mut Found,
        by: &[By],
        now: Millis,
    ) {
        let (Some(frame), Some(epoch)) = (&found.entry, found.epoch) else { return };
        let Some((head, _)) = Head::parse(frame) else { return };
        let is_open = |generation: &Generation| matches!(generation, Generation::Open { .. });
        if head.fresh_until <= now
            || head.run != found.run
            || !found.generations.iter().all(is_open)
            || !self.positions.hold(&asked.noted)
        {
            return;
        }
        let Some(told) = self.who_tells(names, &asked, by) else { return };
        // What does not decode is for the reader to say.
        let Ok(entry) = Entry::decode(frame.clone()).map(Arc::new) else { return };
        let fresh_until = head.fresh_until;
        found.decoded = Some(Arc::clone(&entry));
        let kept = Kept {
            frame: frame.clone(),
            entry,
            generations: Arc::clone(&found.generations),
            epoch,
            run: found.run,
            source: found.source,
            fresh_until,
            taken: self.micros(asked.at),
            noted: asked.noted,
            told,
        };
        self.entries.insert(names.entry().into(), Arc::new(kept));
    }

    /// Forgets what is kept of this key.
    pub(in crate::store) fn forget(&self, names: &Names) {
        self.entries.remove(names.entry());
    }

    /// This process is about to move these scopes.
    pub(in crate::store) fn moving<'a>(&'a self, scopes: &'a ScopeNames) -> Moving<'a> {
        Moving::scopes(&self.positions, scopes)
    }

    /// This process is about to move the epoch of this key.
    pub(in crate::store) fn moving_epoch<'a>(&'a self, names: &'a Names) -> Moving<'a> {
        Moving::epoch(&self.positions, names)
    }

    /// This process is about to move what has these names.
    pub(in crate::store) fn moving_names<'a>(&'a self, names: &'a [String]) -> Moving<'a> {
        Moving::names(&self.positions, names)
    }

    /// How many bytes are held.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    /// The feed says that this name has moved.
    pub(in crate::store) fn told(&self, name: &[u8]) {
        self.positions.advance(name);
    }

    /// The feed says that everything is gone.
    pub(in crate::store) fn told_all(&self) {
        self.positions.advance_all();
        self.entries.clear();
    }

    /// A feed of these namespaces has begun: the question that it began with was asked at `asked`.
    /// It is over once `ended` is set.
    pub(in crate::store) fn begin(
        &self,
        by: By,
        namespaces: Vec<Arc<str>>,
        ended: Arc<AtomicBool>,
        asked: Instant,
    ) -> Arc<Told> {
        let told = Arc::new(Told { by, namespaces, proven: AtomicU64::new(0), ended });
        self.prove(&told, asked);
        let mut feeds = self.feeds.write();
        *feeds = feeds.iter().cloned().chain([Arc::clone(&told)]).collect();
        told
    }

    /// The feed has answered what was asked at `asked`: it has told all that moved before.
    pub(in crate::store) fn prove(&self, told: &Told, asked: Instant) {
        told.proven.store(self.micros(asked), Ordering::Release);
    }

    /// The feed is gone.
    pub(in crate::store) fn end(&self, told: &Arc<Told>) {
        told.ended.store(true, Ordering::Release);
        let mut feeds = self.feeds.write();
        *feeds = feeds.iter().filter(|feed| !Arc::ptr_eq(feed, told)).cloned().collect();
    }

    /// Whether some feed is proven alive.
    pub(in crate::store) fn is_alive(&self) -> bool {
        let (feeds, at) = (self.feeds.read(), self.micros(Instant::now()));
        feeds.iter().any(|told| self.is_proven(told, at))
    }

    /// Whether the feed of the server at this address is proven alive.
    pub(in crate::store) fn is_told_by(&self, address: &str) -> bool {
        let (feeds, at) = (self.feeds.read(), self.micros(Instant::now()));
        feeds.iter().any(|told| *told.by.address == *address && self.is_proven(told, at))
    }

    fn is_proven(&self, told: &Told, at: u64) -> bool {
        let proven = told.proven.load(Ordering::Acquire);
        !told.ended.load(Ordering::Acquire) && is_within(proven, at, self.settings.liveness)
    }

    /// A moment in whole microseconds since the near-cache began.
    fn micros(&self, moment: Instant) -> u64 {
        micros_in(moment.saturating_duration_since(self.began))
    }

    /// Who tells of what moves these names, and has told since they were noted; `None` if anybody is
    /// lacking.
    fn who_tells(&self, names: &Names, asked: &Asked, by: &[By]) -> Option<Box<[Arc<Told>]>> {
        if self.settings.mode == Mode::Strict {
            return Some(Box::default());
        }
        let namespace = names.space().namespace();
        let tells = |told: &&Arc<Told>, by: &By| {
            told.by == *by
                && told.namespaces.iter().any(|fed| **fed == *namespace)
                && !told.ended.load(Ordering::Acquire)
        };
        if !self.positions.is_of_this_era(&asked.noted) {
            return None;
        }
        by.iter().map(|by| asked.feeds.iter().find(|told| tells(told, by)).cloned()).collect()
    }
}

/// Whether less than this span has passed between two moments in whole microseconds.
fn is_within(earlier: u64, later: u64, span: Duration) -> bool {
    // Less, and not as much: for the part of one that the later moment has lost.
    later.saturating_sub(earlier) < micros_in(span)
}

fn micros_in(span: Duration) -> u64 {
    span.as_secs().saturating_mul(1_000_000).saturating_add(span.subsec_micros().into())
}

#[derive(Clone, Debug)]
struct Weighter;

impl quick_cache::Weighter<Box<str>, Arc<Kept>> for Weighter {
    fn weight(&self, name: &Box<str>, kept: &Arc<Kept>) -> u64 {
        let parts = kept.frame.len() + kept.entry.overhead() + 96 * kept.generations.len();
        (OVERHEAD + name.len() + parts) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::hint::spin_loop;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::entry::Content;
    use crate::key::Space;
    use crate::store::NearCache;

    proptest::proptest! {
        #[test]
        fn whole_microseconds_are_never_taken_for_less_than_has_passed(
            earlier in 0_u64..5_000_000, passed in 0_u64..5_000_000, span in 0_u64..5_000_000
        ) {
            let (earlier, span) = (Duration::from_nanos(earlier), Duration::from_nanos(span));
            let passed = Duration::from_nanos(passed);
            let is_within = is_within(micros_in(earlier), micros_in(earlier + passed), span);
            proptest::prop_assert!(!is_within || passed < span);
            proptest::prop_assert!(is_within || passed + Duration::from_micros(2) > span);
        }
    }

    const RUN: RunId = RunId([1; 8]);
    const NOW: Millis = 1_000;
    const LIVENESS: Duration = Duration::from_micros(200);
    const ROUNDS: usize = 2_000;
    const OVER: usize = usize::MAX;

    /// Tells the other thread that this one has ended, however it did.
    struct Over<'a>(&'a AtomicUsize);

    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(OVER, Ordering::Release);
        }
    }

    fn entry(names: &Names, stamp: Id) -> Entry {
        let head = Head {
            run: RUN,
            scopes: names.scopes_digest(),
            stamps: Box::new([stamp]),
            fresh_until: NOW + 60_000,
        };
        Entry::new(head, names.entry_digest(), Content::Value, Bytes::from_static(b"old"))
    }

    /// P21. The feed has been silent for longer than is forgiven. While somebody looks, it tells of a move
    /// that is as old as that, and proves itself: who looked before may have either, and the old
    /// answer with neither.
    #[test]
    fn a_feed_that_wakes_up_while_somebody_looks_vouches_for_nothing_from_before() {
        let settings = NearCache::coherent().settings();
        let near = Near::new(NearSettings { liveness: LIVENESS, ..settings });
        let mut names = Names::new(&Space::new(&"gym".into(), "4"), "GET", "/users");
        names.push_scope("tenant");
        let scope = names.scopes().next().unwrap().to_owned();
        let by = By { address: "here".into(), run: RUN };
        let ended = Arc::new(AtomicBool::new(false));
        let told = near.begin(by.clone(), vec!["gym".into()], ended, Instant::now());
        let stamp = Id::mint(1, [1; 8]);
        let open = Generation::Open { current: stamp, behind: [None; Generation::SOFT] };
        let bytes = entry(&names, stamp).encode();
        // Odd while the feed is to tell.
        let turn = AtomicUsize::new(0);
        let await_turn = |mine: usize| {
            let mut spins = 0;
            loop {
                let now = turn.load(Ordering::Acquire);
                if now == mine || now == OVER {
                    return now == mine;
                }
                spins += 1;
                if spins < 1000 { spin_loop() } else { std::thread::yield_now() }
            }
        };
        let (mut kept, mut outdated) = (0, 0);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let _over = Over(&turn);
                let mut mine = 1;
                while await_turn(mine) {
                    near.told(scope.as_bytes());
                    near.prove(&told, Instant::now());
                    turn.store(mine + 1, Ordering::Release);
                    mine += 2;
                }
            });
            let (_over, began) = (Over(&turn), Instant::now());
            let mut round = 0;
            while round < ROUNDS && began.elapsed() < Duration::from_secs(2) {
                near.prove(&told, Instant::now());
                if let Some(asked) = near.ask(&names) {
                    let mut found = Found::new(Some(bytes.clone()), [open], Some(stamp), RUN);
                    near.keep(&names, asked, &mut found, std::slice::from_ref(&by), NOW);
                    kept += 1;
                }
                let silent = Instant::now();
                while silent.elapsed() < LIVENESS {
                    spin_loop();
                }
                turn.store(2 * round + 1, Ordering::Release);
                outdated += usize::from(near.get(&names, Instant::now(), NOW).is_some());
                round += 1;
                assert!(await_turn(2 * round), "the feed tells");
            }
        });
        assert_eq!(outdated, 0, "of {kept}: it moved before the feed fell silent");
        assert!(kept > 0 && near.entries.get(names.entry()).is_some(), "nothing was kept");
    }
}
