//! What was seen, and whether it may have been.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::source::{Key, Source};

/// A moment, on the one clock of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

/// How a read got its answer, by its Cache-Status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Hit,
    Collapsed,
    Miss,
    Bypass,
}

/// What became of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    Version(u64, Via),
    /// The handler failed or panicked, and that reached the client.
    Failed,
    /// The client left.
    Left,
    /// It got what it should never get.
    Wrong(String),
    /// It got nothing in a time in which it had to.
    Hung,
}

#[derive(Clone, Debug)]
pub struct Read {
    pub instance: usize,
    pub key: Key,
    pub begin: Moment,
    pub end: Moment,
    pub seen: Seen,
}

/// How a write was made known to the cache.
#[derive(Clone, Debug)]
pub struct Write {
    pub keys: Vec<Key>,
    pub version: u64,
    /// When it was confirmed, or known not to be.
    pub told: Moment,
    pub kind: Kind,
    /// What was called, for the reader of a violation.
    pub how: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A hard invalidation was confirmed: binds every instance.
    Hard,
    /// A soft one was confirmed: binds whatever isn't a hit.
    Soft,
    /// The instance knows that it isn't confirmed: its own reads pass the cache by until it is.
    Unconfirmed(usize),
}

/// Everything that was seen, in the order in which it ended.
#[derive(Debug)]
pub struct History {
    began: Instant,
    reads: Mutex<Vec<Read>>,
    writes: Mutex<Vec<Write>>,
    faults: Mutex<Vec<(Moment, &'static str)>>,
    lull: AtomicBool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            reads: Mutex::default(),
            writes: Mutex::default(),
            faults: Mutex::default(),
            lull: AtomicBool::new(false),
        }
    }
}

impl History {
    /// Has nothing go wrong from here on, or again.
    pub fn lull(&self, lull: bool) {
        self.lull.store(lull, Ordering::Relaxed);
    }

    /// Whether nothing is to go wrong just now.
    pub fn is_lull(&self) -> bool {
        self.lull.load(Ordering::Relaxed)
    }

    pub fn now(&self) -> Moment {
        Moment(self.began.elapsed())
    }

    pub fn read(&self, read: Read) {
        self.reads.lock().push(read);
    }

    pub fn write(&self, write: Write) {
        self.writes.lock().push(write);
    }

    pub fn fault(&self, what: &'static str) {
        let now = self.now();
        self.faults.lock().push((now, what));
    }

    pub fn count(&self, is_counted: impl Fn(&Seen) -> bool) -> usize {
        self.reads.lock().iter().filter(|read| is_counted(&read.seen)).count()
    }

    pub fn writes(&self) -> usize {
        self.writes.lock().len()
    }

    /// How many faults of each sort there were.
    pub fn faults(&self) -> Vec<(&'static str, usize)> {
        let mut counts: Vec<(&'static str, usize)> = Vec::new();
        for (_, what) in &*self.faults.lock() {
            match counts.iter_mut().find(|(known, _)| known == what) {
                Some((_, count)) => *count += 1,
                None => counts.push((what, 1)),
            }
        }
        counts
    }

    /// The longest that an answer took.
    pub fn slowest(&self) -> Duration {
        let reads = self.reads.lock();
        reads.iter().map(|read| read.end.0.saturating_sub(read.begin.0)).max().unwrap_or_default()
    }

    /// Every read that saw what it must not.
    ///
    /// What was confirmed may be seen `grace` later, but by who could not confirm it.
    pub fn violations(&self, source: &Source, grace: Duration) -> Vec<Violation> {
        let bounds = Bounds::new(&self.writes.lock(), grace);
        let reads = self.reads.lock();
        let wrong = reads.iter().filter_map(|read| {
            let why = judge(read, &bounds, source)?;
            Some(Violation { read: read.clone(), why, around: String::new() })
        });
        let mut violations: Vec<Violation> = wrong.collect();
        drop(reads);
        for violation in violations.iter_mut().take(3) {
            violation.around = self.around(&violation.read);
        }
        violations
    }

    /// What else happened to the key of a read, about the time of it.
    fn around(&self, read: &Read) -> String {
        use std::fmt::Write as _;

        let from = Moment(read.begin.0.saturating_sub(Duration::from_millis(60)));
        let mut lines: Vec<(Moment, String)> = Vec::new();
        let writes = self.writes.lock();
        let mut before: Vec<&Write> =
            writes.iter().filter(|write| write.keys.contains(&read.key)).collect();
        before.retain(|write| write.told <= read.end);
        for write in before.iter().rev().take(6) {
            let text = format!("{:?} {} of version {}", write.kind, write.how, write.version);
            lines.push((write.told, text));
        }
        for other in self.reads.lock().iter().filter(|other| other.key == read.key) {
            if other.end >= from && other.begin <= read.end {
                let text = format!("{:?} at {}, began {}", other.seen, other.instance, other.begin);
                lines.push((other.end, text));
            }
        }
        for (at, what) in &*self.faults.lock() {
            if *at >= from && *at <= read.end {
                lines.push((*at, format!("fault: {what}")));
            }
        }
        lines.sort();
        lines.into_iter().fold(String::new(), |mut text, (at, line)| {
            let _ = writeln!(text, "    {at} {line}");
            text
        })
    }
}

/// Why a read must not have seen what it saw, if so.
fn judge(read: &Read, bounds: &Bounds, source: &Source) -> Option<String> {
    let (version, via) = match &read.seen {
        Seen::Version(version, via) => (*version, *via),
        Seen::Failed | Seen::Left => return None,
        Seen::Wrong(what) => return Some(what.clone()),
        Seen::Hung => return Some("no answer".to_owned()),
    };
    if !source.had(read.key, version) {
        return Some(format!("the key never had version {version}"));
    }
    let (least, why) = bounds.least(read, via)?;
    (version < least).then(|| format!("version {version}, but {least} was told before: {why}"))
}

/// For each key the versions that were told, by when: each entry the highest so far.
struct Bounds {
    hard: HashMap<Key, Steps>,
    soft: HashMap<Key, Steps>,
    local: HashMap<(usize, Key), Steps>,
}

type Steps = Vec<(Moment, u64, &'static str)>;

impl Bounds {
    fn new(writes: &[Write], grace: Duration) -> Self {
        let mut bounds = Self { hard: HashMap::new(), soft: HashMap::new(), local: HashMap::new() };
        let mut writes: Vec<&Write> = writes.iter().collect();
        writes.sort_by_key(|write| write.told);
        for write in writes {
            for key in &write.keys {
                let steps = match write.kind {
                    Kind::Hard => bounds.hard.entry(*key).or_default(),
                    Kind::Soft => bounds.soft.entry(*key).or_default(),
                    Kind::Unconfirmed(at) => bounds.local.entry((at, *key)).or_default(),
                };
                if steps.last().is_none_or(|(_, version, _)| *version < write.version) {
                    let late = if matches!(write.kind, Kind::Unconfirmed(_)) {
                        Duration::ZERO
                    } else {
                        grace
                    };
                    steps.push((Moment(write.told.0 + late), write.version, write.how));
                }
            }
        }
        bounds
    }

    /// The least version that a read may show, if there is one.
    fn least(&self, read: &Read, via: Via) -> Option<(u64, &'static str)> {
        let soft = if via == Via::Hit { None } else { self.soft.get(&read.key) };
        let local = self.local.get(&(read.instance, read.key));
        let steps = [self.hard.get(&read.key), soft, local].into_iter().flatten();
        let told = steps.filter_map(|steps| {
            // Strictly before: what happens in one moment has no order.
            let after = steps.partition_point(|(told, ..)| *told < read.begin);
            let (_, version, how) = steps.get(after.checked_sub(1)?)?;
            Some((*version, *how))
        });
        told.max_by_key(|(version, _)| *version)
    }
}

/// A read that saw what it must not.
pub struct Violation {
    pub read: Read,
    why: String,
    around: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Read { instance, key, begin, end, seen } = &self.read;
        writeln!(f, "  {key:?} at {instance}, {begin} to {end}, {seen:?}: {}", self.why)?;
        f.write_str(&self.around)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.0.as_secs_f64() * 1000.0)
    }
}
