//! The near-cache of an instance, and the feed that tells it what has moved.

use super::machine::Model;
use super::scenario::NearCache;
use super::scripts::Validity;
use super::state::{EPOCH, GENERATION, Near, Read, ReadStep, Run, State};
use super::story::{self, Story};

impl Model {
    /// A hit's entry goes into the near-cache.
    pub(super) fn insert(&self, s: &mut State, read: u8, story: &mut Story) {
        let Read { at, step, .. } = s.reads[usize::from(read)];
        let ReadStep::Insert { near, moved } = step else { return };
        let taken = !moved || !self.rules.near_notes_the_position;
        if taken {
            s.instances[usize::from(at)].near = Some(near);
        }
        story.tell(|| {
            let does = if taken { "takes" } else { "does not take" };
            let version = near.entry.version;
            format!("the near-cache of {} {does} version {version}", story::instance(at))
        });
        s.reads[usize::from(read)] = Read { step: ReadStep::Done, ..Read::default() };
    }

    /// Whether the near-cache answers for the store.
    pub(super) fn near_serves(&self, s: &State, near: Near, run: Run) -> bool {
        match self.scenario.near {
            NearCache::Off => false,
            NearCache::Coherent => true,
            NearCache::Strict => {
                s.redis.validity(near.entry, &self.rules, run) == Validity::Fresh
                    && (near.epoch == s.redis.epoch || !self.rules.near_knows_the_epoch)
            }
        }
    }

    /// A push of the near-cache's feed arrives.
    pub(super) fn deliver(&self, s: &mut State, at: u8, push: u8, story: &mut Story) {
        story.tell(|| {
            let what = match push {
                GENERATION => "a generation has moved",
                EPOCH => "the epoch has moved",
                _ => "its connection was lost",
            };
            format!("the feed of {} learns that {what}", story::instance(at))
        });
        let instance = &mut s.instances[usize::from(at)];
        instance.pushes &= !push;
        if push == EPOCH && !self.rules.near_knows_the_epoch {
            return;
        }
        instance.near = None;
        position_moves(s, at);
    }
}

/// `CLIENT TRACKING`: whatever moves a generation or the epoch is pushed to every instance.
pub(super) fn feed(before: &State, after: &mut State) {
    let mut moved = 0;
    if before.redis.generation != after.redis.generation || before.redis.tag != after.redis.tag {
        moved |= GENERATION;
    }
    if before.redis.epoch != after.redis.epoch {
        moved |= EPOCH;
    }
    for instance in &mut after.instances {
        instance.pushes |= moved;
        if instance.pushes == 0 {
            instance.heard = after.confirmed;
        }
    }
}

/// What was asked before now must not go into the near-cache any more.
pub(super) fn position_moves(s: &mut State, at: u8) {
    for Read { at: place, step, .. } in &mut s.reads {
        if let ReadStep::Insert { moved, .. } = step
            && *place == at
        {
            *moved = true;
        }
    }
}
