//! The steps of a write: fence, commit, and the scripts of its invalidation.

use super::machine::Model;
use super::near::position_moves;
use super::rules::TagMoves;
use super::scenario::Kind;
use super::state::{Generation, Id, State, Write, WriteStep};
use super::story::{self, Story};

impl Model {
    /// `Store::fence`, before the handler.
    pub(super) fn fence(&self, s: &mut State, write: usize, story: &mut Story) {
        s.redis.fence(&self.rules, write, &mut s.mint);
        s.writes[write].step = WriteStep::Fenced;
        story.tell(|| {
            format!("write {} fences the scope: {}", write + 1, story::metadata(&s.redis))
        });
    }

    /// The source of truth has it. A crashed instance's commit may still arrive.
    pub(super) fn commit(&self, s: &mut State, write: usize, story: &mut Story) {
        s.truth += 1;
        let version = s.truth;
        let Write { step, version: committed, .. } = &mut s.writes[write];
        *committed = version;
        if !matches!(step, WriteStep::Crashed { .. }) {
            *step = WriteStep::Committed { scripts: 0 };
        }
        story.tell(|| format!("write {} commits version {version}", write + 1));
    }

    /// The next script of the invalidation: `Store::invalidate`, `lift`, `remove`, or one of the
    /// three of `delete_pattern`. The write is confirmed once its last has answered.
    pub(super) fn script(&self, s: &mut State, write: usize, replied: bool, story: &mut Story) {
        let (kind, at) = self.scenario.writes[write];
        if self.scenario.commit_in_script
            && matches!(s.writes[write].step, WriteStep::Idle | WriteStep::Fenced)
        {
            self.commit(s, write, story);
        }
        let WriteStep::Committed { scripts } = s.writes[write].step else { return };
        if kind == Kind::Fenced {
            s.redis.lift(&self.rules, write, &mut s.mint);
        } else {
            let id = self.id_of(s, write);
            s.redis.script(&self.rules, kind, scripts, id, &mut s.mint);
        }
        story.tell(|| {
            let metadata = story::metadata(&s.redis);
            format!("write {} {}: {metadata}", write + 1, self.script_name(kind, scripts))
        });
        if !replied {
            return story.tell(|| "the reply is lost".into());
        }
        if scripts + 1 < self.rules.scripts(kind) {
            s.writes[write].step = WriteStep::Committed { scripts: scripts + 1 };
            return;
        }
        let version = s.writes[write].version;
        story.tell(|| format!("version {version} is confirmed"));
        confirm(s, version, kind);
        s.writes[write] = Write { step: WriteStep::Done, ..Write::default() };
        // A write through this instance is seen by this instance at once (P21).
        let instance = &mut s.instances[usize::from(at)];
        instance.near = None;
        instance.heard = instance.heard.max(version);
        position_moves(s, at);
    }

    /// Time: the deadline of a write's fence token passes.
    ///
    /// The commit comes before it; that is the fence's condition. If the process has crashed, the
    /// fence promises from now on what a confirmed invalidation does.
    pub(super) fn deadline(&self, s: &mut State, write: usize, story: &mut Story) {
        s.passed |= 1 << write;
        s.redis.deadline(1 << write);
        story.tell(|| {
            let metadata = story::metadata(&s.redis);
            format!("the deadline of write {}'s fence passes: {metadata}", write + 1)
        });
        if matches!(s.writes[write].step, WriteStep::Crashed { .. }) {
            self.fence_has_ended(s, write, story);
        }
    }

    /// Both the process and the deadline of its fence have passed away.
    pub(super) fn fence_has_ended(&self, s: &mut State, write: usize, story: &mut Story) {
        let version = s.writes[write].version;
        if version > s.confirmed_hard && self.scenario.fences_outlive_crashes {
            story.tell(|| format!("version {version} counts as confirmed"));
            confirm(s, version, Kind::Fenced);
        }
    }

    /// Time: a closed generation whose TTL was cut expires. Never happens with rule 7.
    pub(super) fn closed_expires(&self, s: &mut State, story: &mut Story) {
        s.redis.generation = Generation::Missing;
        story.tell(|| "the closed generation expires".into());
    }

    /// Whether time can pass this write's deadline, with any effect.
    pub(super) fn deadline_can_pass(&self, s: &State, write: usize) -> bool {
        let token: u8 = 1 << write;
        let holds = (s.redis.fence | s.redis.nobody) & token != 0
            || matches!(s.redis.generation, Generation::Closed { until, .. } if until & token != 0);
        self.scenario.writes[write].0 == Kind::Fenced
            && s.passed & token == 0
            && match s.writes[write].step {
                WriteStep::Idle | WriteStep::Fenced => false,
                WriteStep::Done => holds,
                WriteStep::Committed { .. } | WriteStep::Crashed { .. } => true,
            }
    }

    /// The id that the script of this attempt will use.
    pub(super) fn id_of(&self, s: &mut State, write: usize) -> Id {
        let write = &mut s.writes[write];
        let id = write.id.unwrap_or_else(|| s.mint.id());
        if !self.rules.retry_has_a_new_id {
            write.id = Some(id);
        }
        id
    }

    /// What a script of this kind does, in words.
    pub(super) fn script_name(&self, kind: Kind, script: u8) -> &'static str {
        match (kind, script) {
            (Kind::Hard, _) => "invalidates the scope",
            (Kind::Soft, _) => "invalidates the scope softly",
            (Kind::Fenced, _) => "lifts its fence",
            (Kind::Remove, _) => "moves the epoch and removes the entry",
            (Kind::Tag, script) => match (self.rules.tag_moves, script) {
                (TagMoves::Together, _) => "moves the tag and the epoch",
                (TagMoves::TagAlone | TagMoves::TagFirst, 0) | (TagMoves::EpochFirst, 1) => {
                    "moves the tag"
                }
                _ => "moves the epoch",
            },
            (Kind::Pattern, 0) => "(delete_pattern) moves the epochs",
            (Kind::Pattern, 1) => "(delete_pattern) scans and unlinks the entry",
            (Kind::Pattern, _) => "(delete_pattern) moves the epochs again",
        }
    }
}

fn confirm(s: &mut State, version: u8, kind: Kind) {
    s.confirmed = s.confirmed.max(version);
    if kind != Kind::Soft {
        s.confirmed_hard = s.confirmed_hard.max(version);
    }
}
