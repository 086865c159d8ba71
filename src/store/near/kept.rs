//! The answers that are kept, and whether they still hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::RwLock;
use quick_cache::OptionsBuilder;
use quick_cache::sync::{Cache as Entries, DefaultLifecycle};

use super::config::{Mode, NearSettings};
use super::positions::{Moving, Noted, Positions};
use crate::entry::{Generation, Head, Id, Millis, RunId};
use crate::key::{Names, ScopeNames};
use crate::store::Found;

/// What one entry takes beside its bytes, roughly.
const OVERHEAD: usize = 256;

/// What this process keeps of the store.
#[derive(Debug)]
pub(in crate::store) struct Near {
    settings: NearSettings,
    entries: Entries<Box<str>, Arc<Kept>, Weighter>,
    positions: Positions,
    began: Instant,
    /// Up to when the feed is proven to have told everything, in microseconds since `began`; 0 if
    /// there is no feed.
    proven: AtomicU64,
    feed: RwLock<Feed>,
}

/// What the feed is of, since it began.
#[derive(Debug, Default)]
struct Feed {
    run: Option<RunId>,
    namespaces: Vec<Arc<str>>,
}

/// The answer of a look-up.
#[derive(Debug)]
pub(in crate::store) struct Kept {
    pub(in crate::store) frame: Bytes,
    pub(in crate::store) generations: Vec<Generation>,
    pub(in crate::store) epoch: Id,
    pub(in crate::store) run: RunId,
    source: u64,
    /// By the store's clock.
    fresh_until: Millis,
    taken: Instant,
    noted: Noted,
}

impl Kept {
    /// The answer, once more.
    pub(in crate::store) fn found(&self) -> Found {
        Found {
            entry: Some(self.frame.clone()),
            generations: self.generations.clone(),
            epoch: Some(self.epoch),
            run: self.run,
            source: self.source,
            near: true,
        }
    }
}

/// What is noted before the store is asked.
#[derive(Debug)]
pub(in crate::store) struct Asked {
    noted: Noted,
    at: Instant,
}

impl Near {
    pub(in crate::store) fn new(settings: NearSettings) -> Self {
        let bytes = usize::try_from(settings.capacity).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(settings.capacity)
            .estimated_items_capacity((bytes / 4096).clamp(64, 1 << 20))
            .build();
        let entries = match options {
            Ok(options) => Entries::with_options(
                options,
                Weighter,
                foldhash_state(),
                DefaultLifecycle::default(),
            ),
            Err(_) => Entries::with_weighter(64, settings.capacity, Weighter),
        };
        Self {
            settings,
            entries,
            positions: Positions::new(),
            began: Instant::now(),
            proven: AtomicU64::new(0),
            feed: RwLock::default(),
        }
    }

    pub(in crate::store) fn mode(&self) -> Mode {
        self.settings.mode
    }

    pub(in crate::store) fn liveness(&self) -> Duration {
        self.settings.liveness
    }

    /// What is kept of this key and holds, as far as is known here: in the strict mode the store is
    /// still to be asked.
    pub(in crate::store) fn get(&self, names: &Names, now: Millis) -> Option<Arc<Kept>> {
        let kept = self.entries.get(names.entry())?;
        // A stale one may have been refreshed in the store.
        if kept.fresh_until <= now || kept.taken.elapsed() >= self.settings.max_age {
            self.forget(names);
            return None;
        }
        let holds = self.positions.hold(&kept.noted)
            && match self.settings.mode {
                Mode::Strict => true,
                Mode::Coherent => self.positions.is_of_this_era(&kept.noted) && self.is_alive(),
            };
        holds.then_some(kept)
    }

    /// What was last known of this key, at most `span` ago: for when the store can't be asked.
    pub(in crate::store) fn recall(&self, names: &Names, span: Duration) -> Option<Arc<Kept>> {
        let kept = self.entries.get(names.entry())?;
        (kept.taken.elapsed() < span && self.positions.hold(&kept.noted)).then_some(kept)
    }

    /// To be noted before the store is asked; `None` if its answer could not be kept.
    pub(in crate::store) fn ask(&self, names: &Names) -> Option<Asked> {
        let may = self.settings.mode == Mode::Strict || self.is_alive();
        may.then(|| Asked { noted: self.positions.note(names), at: Instant::now() })
    }

    /// Keeps the answer, if nothing has moved since it was asked for, and if it is worth it.
    pub(in crate::store) fn keep(&self, names: &Names, asked: Asked, found: &Found, now: Millis) {
        let (Some(frame), Some(epoch)) = (&found.entry, found.epoch) else { return };
        let Some((head, _)) = Head::parse(frame) else { return };
        let is_open = |generation: &Generation| matches!(generation, Generation::Open { .. });
        if head.fresh_until <= now
            || head.run != found.run
            || !found.generations.iter().all(is_open)
            || !self.positions.hold(&asked.noted)
            || !self.is_fed(names, &asked.noted, found.run)
        {
            return;
        }
        let kept = Kept {
            frame: frame.clone(),
            generations: found.generations.clone(),
            epoch,
            run: found.run,
            source: found.source,
            fresh_until: head.fresh_until,
            taken: asked.at,
            noted: asked.noted,
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

    /// A feed of these namespaces and this run has begun: the question that it began with was asked
    /// at `asked`.
    pub(in crate::store) fn begin(&self, run: RunId, namespaces: Vec<Arc<str>>, asked: Instant) {
        *self.feed.write() = Feed { run: Some(run), namespaces };
        self.positions.advance_all();
        self.prove(asked);
    }

    /// The feed has answered what was asked at `asked`: it has told all that moved before.
    pub(in crate::store) fn prove(&self, asked: Instant) {
        let micros = asked.saturating_duration_since(self.began).as_micros();
        self.proven.store(u64::try_from(micros).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    /// The feed is gone.
    pub(in crate::store) fn end(&self) {
        self.proven.store(0, Ordering::Release);
        self.positions.advance_all();
        *self.feed.write() = Feed::default();
    }

    /// Whether the feed is proven alive.
    pub(in crate::store) fn is_alive(&self) -> bool {
        let proven = self.proven.load(Ordering::Acquire);
        let proven_at = self.began + Duration::from_micros(proven);
        proven != 0 && proven_at.elapsed() < self.settings.liveness
    }

    /// Whether what moves these names is told, and has been since they were noted.
    fn is_fed(&self, names: &Names, noted: &Noted, run: RunId) -> bool {
        if self.settings.mode == Mode::Strict {
            return true;
        }
        let feed = self.feed.read();
        let namespace = names.space().namespace();
        feed.run == Some(run)
            && feed.namespaces.iter().any(|fed| **fed == *namespace)
            && self.positions.is_of_this_era(noted)
    }
}

fn foldhash_state() -> quick_cache::DefaultHashBuilder {
    quick_cache::DefaultHashBuilder::default()
}

#[derive(Clone, Debug)]
struct Weighter;

impl quick_cache::Weighter<Box<str>, Arc<Kept>> for Weighter {
    fn weight(&self, name: &Box<str>, kept: &Arc<Kept>) -> u64 {
        (OVERHEAD + name.len() + kept.frame.len() + 96 * kept.generations.len()) as u64
    }
}
