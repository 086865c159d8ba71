//! What of a process could be left over.

use std::fmt;
use std::time::{Duration, Instant};

use crate::fleet::Fleet;

/// For how long something may still go on by itself: retries, holds, connections to be closed.
const PATIENCE: Duration = Duration::from_secs(40);

/// The slots of the pools. One that has lost its connection makes another when it is next needed, so
/// a measure may have caught some of them without: each is a task and, with the proxy, some files.
const SLOTS: usize = 4;
const FILES: usize = 3;

#[derive(Clone, Debug)]
pub struct Measure {
    /// Resident, in bytes.
    pub memory: usize,
    pub files: usize,
    pub tasks: usize,
    pub flights: usize,
    pub dirty: usize,
}

impl Measure {
    pub fn of(fleet: &Fleet) -> Self {
        let count = |name| fleet.instances.iter().map(|one| field(&one.cache, name)).sum();
        Self {
            memory: resident(),
            files: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            flights: count("flights"),
            dirty: count("dirty"),
        }
    }

    /// Whether nothing is left that was not there before, as far as it is counted.
    pub fn is_within(&self, before: &Self) -> bool {
        self.tasks <= before.tasks + SLOTS
            && self.files <= before.files + SLOTS * FILES
            && (self.flights, self.dirty) == (0, 0)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, files, tasks, flights, dirty } = self;
        let memory = memory / 1024;
        write!(
            f,
            "{memory} KiB, {files} file descriptors, {tasks} tasks, {flights} flights, {dirty} dirty"
        )
    }
}

/// Waits until the store is there for each instance again, with all of its connections, and nothing
/// is under way; if there is something to compare with, until that is reached, or it takes too long.
pub async fn settle(fleet: &Fleet, before: Option<&Measure>) -> Measure {
    let began = Instant::now();
    loop {
        for instance in &fleet.instances {
            let settled = tokio::time::timeout(PATIENCE, instance.cache.settled()).await;
            assert!(settled.is_ok(), "something goes on and on: {:?}", instance.cache);
        }
        fleet.touch().await;
        let now = least(fleet).await;
        let is_calm = (now.flights, now.dirty) == (0, 0) && fleet.is_whole();
        if is_calm && before.is_none_or(|before| now.is_within(before)) {
            return now;
        }
        if began.elapsed() > PATIENCE {
            println!("not calm: {now} {fleet:?}");
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is there all the time: a probe or a connection that is being made comes and goes, and would
/// hide what stays.
async fn least(fleet: &Fleet) -> Measure {
    let mut least = Measure::of(fleet);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let now = Measure::of(fleet);
        least =
            Measure { files: least.files.min(now.files), tasks: least.tasks.min(now.tasks), ..now };
    }
    least
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap();
    status.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A number in the debug output of a cache.
fn field(cache: &tower_response_cache::Cache, name: &str) -> usize {
    let text = format!("{cache:?}");
    let (_, rest) = text.split_once(&format!("{name}: ")).unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
