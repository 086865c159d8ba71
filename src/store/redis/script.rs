//! The scripts, and how one is called.

use bb8_redis::redis::{Cmd, cmd};

/// A step that must be atomic. Each has a file of its own that says which rule it carries out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Miss,
    Stamp,
    Fill,
    Renew,
    Release,
    Move,
    Fence,
    Lift,
    Remove,
    Discard,
    Trim,
    Ensure,
    Extend,
}

/// The text of a script from its files. The first line of one that a full server must not refuse
/// says so, and can stand nowhere else.
macro_rules! script {
    (even if full: $($file:literal),+) => {
        concat!("#!lua flags=allow-oom\n", script!($($file),+))
    };
    ($($file:literal),+) => {
        concat!($(include_str!(concat!("scripts/", $file, ".lua")), "\n"),+)
    };
}

impl Script {
    pub(super) const ALL: [Self; 13] = [
        Self::Miss,
        Self::Stamp,
        Self::Fill,
        Self::Renew,
        Self::Release,
        Self::Move,
        Self::Fence,
        Self::Lift,
        Self::Remove,
        Self::Discard,
        Self::Trim,
        Self::Ensure,
        Self::Extend,
    ];

    /// Its file, after those of the functions that it calls.
    pub(super) fn source(self) -> &'static str {
        match self {
            Self::Miss => script!("ask", "join", "generations", "miss"),
            Self::Stamp => script!("ask", "stamps", "stamp"),
            Self::Fill => script!("ask", "join", "stamps", "fill"),
            Self::Renew => script!("ask", "renew"),
            Self::Release => script!("ask", "release"),
            Self::Move => script!(even if full: "ask", "has_others", "move"),
            Self::Fence => script!(even if full: "ask", "has_others", "fence"),
            Self::Lift => script!(even if full: "ask", "has_others", "lift"),
            Self::Remove => script!(even if full: "remove"),
            Self::Discard => script!("ask", "discard"),
            Self::Trim => script!("trim"),
            Self::Ensure => script!("ask", "join", "generations", "ensure"),
            Self::Extend => script!("ask", "join", "stamps", "extend"),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Stamp => "stamp",
            Self::Fill => "fill",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Move => "move",
            Self::Fence => "fence",
            Self::Lift => "lift",
            Self::Remove => "remove",
            Self::Discard => "discard",
            Self::Trim => "trim",
            Self::Ensure => "ensure",
            Self::Extend => "extend",
        }
    }
}

/// What the server calls each script: their digests, in the order of [`Script::ALL`].
pub(super) type Digests = [String; Script::ALL.len()];

/// One call of a script.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) script: Script,
    pub(super) keys: Vec<&'a str>,
    pub(super) args: Vec<&'a [u8]>,
}

impl Call<'_> {
    /// The call of a script that the server knows.
    pub(super) fn by_digest(&self, digests: &Digests) -> Cmd {
        self.command("EVALSHA", &digests[self.script as usize])
    }

    /// The call of a script that the server has forgotten; it learns it by this.
    pub(super) fn by_source(&self) -> Cmd {
        self.command("EVAL", self.script.source())
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let bytes = self.keys.iter().map(|key| key.len()).sum::<usize>()
            + self.args.iter().map(|arg| arg.len()).sum::<usize>()
            + script.len()
            + 16;
        let mut command = Cmd::with_capacity(3 + self.keys.len() + self.args.len(), bytes);
        command.arg(name).arg(script).arg(self.keys.len());
        for key in &self.keys {
            command.arg(*key);
        }
        for arg in &self.args {
            command.arg(*arg);
        }
        command
    }
}

/// The command that teaches the server a script and answers its digest.
pub(super) fn load(script: Script) -> Cmd {
    let mut command = cmd("SCRIPT");
    command.arg("LOAD").arg(script.source());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_by_position() {
        for (at, script) in Script::ALL.into_iter().enumerate() {
            assert_eq!(script as usize, at);
        }
    }

    #[test]
    fn each_file_says_its_rule_and_those_that_invalidate_bypass_the_memory_limit() {
        for script in Script::ALL {
            assert!(script.source().contains("-- Rule: "), "{script:?}");
            let must_work_when_full =
                matches!(script, Script::Move | Script::Fence | Script::Lift | Script::Remove);
            assert_eq!(
                script.source().starts_with("#!lua flags=allow-oom\n"),
                must_work_when_full,
                "{script:?}"
            );
        }
    }
}
