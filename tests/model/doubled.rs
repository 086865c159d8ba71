//! Commands that a cluster client runs twice, the second time at any later moment.

use super::machine::Model;
use super::scenario::Kind;
use super::state::{Id, Snapshot, State, Version, WriteStep};
use super::story::{self, Story};

/// A command that a cluster client will run a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Copied {
    /// The miss script.
    Miss { flight: u8, at: u8 },
    /// The pipeline that stores a body.
    Fill { flight: u8, version: Version, snapshot: Snapshot, tag: Option<Id> },
    /// The script that stamps the tag.
    Stamp { flight: u8, snapshot: Snapshot },
    /// A script of an invalidation; the id is the client's, where rule 1 is switched off.
    Script { write: u8, script: u8, id: Option<Id> },
    /// A fence; its second time is another fence with a deadline of its own.
    Fence { write: u8 },
    /// A lift.
    Lift { write: u8 },
}

impl Model {
    /// The copy of a doubled command runs.
    pub(super) fn second_time(&self, s: &mut State, story: &mut Story) {
        let Some(copied) = s.copied.take() else { return };
        let run = s.redis.run;
        let what = match copied {
            Copied::Miss { flight, at } => {
                let run = self.believed_run(s, at);
                let _ = s.redis.miss(&self.rules, flight, run, false, &mut s.mint);
                format!("miss script of flight {}", flight + 1)
            }
            Copied::Fill { flight, version, snapshot, tag } => {
                let _ = s.redis.fill(&self.rules, (flight, run), snapshot, version, tag);
                format!("fill of flight {}", flight + 1)
            }
            Copied::Stamp { flight, snapshot } => {
                let _ = s.redis.stamp(&self.rules, run, snapshot, &mut s.mint);
                format!("stamp of flight {}", flight + 1)
            }
            Copied::Script { write, script, id } => {
                let id = id.unwrap_or_else(|| s.mint.id());
                let kind = self.scenario.writes[usize::from(write)].0;
                s.redis.script(&self.rules, kind, script, id, &mut s.mint);
                format!("script of write {}, which {}", write + 1, self.script_name(kind, script))
            }
            Copied::Fence { write } => {
                s.passed &= !(1 << write);
                s.redis.fence(&self.rules, usize::from(write), &mut s.mint);
                format!("fence of write {}", write + 1)
            }
            Copied::Lift { write } => {
                s.redis.lift(&self.rules, usize::from(write), &mut s.mint);
                format!("lift of write {}", write + 1)
            }
        };
        story.tell(|| format!("a second run of the doubled {what}: {}", story::metadata(&s.redis)));
    }

    /// The next script of a write's invalidation runs, and leaves a copy that will run again.
    pub(super) fn script_twice(&self, s: &mut State, write: u8, story: &mut Story) {
        let kind = self.scenario.writes[usize::from(write)].0;
        if self.scenario.commit_in_script && s.writes[usize::from(write)].version == 0 {
            self.commit(s, usize::from(write), story);
        }
        let WriteStep::Committed { scripts: script } = s.writes[usize::from(write)].step else {
            return;
        };
        let mut id = None;
        if !self.rules.ids_minted_in_the_script {
            id = Some(self.id_of(s, usize::from(write)));
            s.writes[usize::from(write)].id = id;
        }
        s.copied = Some(match kind {
            Kind::Fenced => Copied::Lift { write },
            _ => Copied::Script { write, script, id },
        });
        story.tell(|| "FAULT, a command that will run twice".into());
        self.script(s, usize::from(write), true, story);
    }
}
