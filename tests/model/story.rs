//! How a step is told in words.

use super::state::{Generation, Id, Key, Redis, Snapshot};

/// Takes down what a step does, if anybody listens: exploring tells no stories.
pub(super) struct Story(Option<Vec<String>>);

impl Story {
    /// Nobody listens.
    pub(super) fn silent() -> Self {
        Self(None)
    }

    /// One step's story.
    pub(super) fn loud() -> Self {
        Self(Some(Vec::new()))
    }

    /// Adds a clause.
    pub(super) fn tell(&mut self, clause: impl FnOnce() -> String) {
        if let Some(clauses) = &mut self.0 {
            clauses.push(clause());
        }
    }

    /// The step in one line.
    pub(super) fn line(self) -> String {
        self.0.unwrap_or_default().join("; ")
    }
}

/// An instance's name.
pub(super) fn instance(at: u8) -> char {
    char::from(b'A' + at)
}

/// An id's name.
pub(super) fn id(id: Id) -> String {
    format!("#{}", id.0)
}

/// What of a key, a generation or an epoch is there.
pub(super) fn maybe(part: Option<Id>) -> String {
    part.map_or_else(|| "missing".into(), id)
}

/// A flight's key.
pub(super) fn key(key: Key) -> String {
    format!(
        "({}, {}, run {})",
        key.stamp
            .map_or_else(|| "generation missing".into(), |it| format!("generation {}", id(it))),
        key.epoch.map_or_else(|| "epoch missing".into(), |it| format!("epoch {}", id(it))),
        key.run
    )
}

/// A snapshot.
pub(super) fn snapshot(of: Snapshot) -> String {
    key(Key::from(of))
}

/// The scope's generation and the key's epoch.
pub(super) fn metadata(redis: &Redis) -> String {
    let generation = match redis.generation {
        Generation::Missing => "missing".into(),
        Generation::Open { current, behind: [None, _] } => id(current),
        Generation::Open { current, behind: [Some(old), _] } => {
            format!("{} with {} behind it", id(current), id(old))
        }
        Generation::Closed { id: closed, .. } => format!("closed:{}", id(closed)),
    };
    let tag = redis.tag.map_or_else(String::new, |tag| format!(", tag {}", id(tag)));
    format!("generation {generation}, epoch {}{tag}", maybe(redis.epoch))
}
