//! A run of a script.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One of `scripts/`, to be run quickly.
pub(crate) struct Script {
    command: Command,
    programs: PathBuf,
}

impl Script {
    /// # Panics
    ///
    /// If what it needs is not installed.
    pub(crate) fn new(name: &str) -> Self {
        for needed in ["wrk", "taskset", "python3"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {needed}")]).output();
            assert!(found.unwrap().status.success(), "{needed} is missing: see scripts/test");
        }
        let mut command =
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(name));
        command.arg("--quick");
        // Where cargo put the examples: beside the folder of this test's own binary.
        let this = std::env::current_exe().unwrap();
        Self { command, programs: this.ancestors().nth(2).unwrap().join("examples") }
    }

    /// The folder of the examples, with these in it.
    pub(crate) fn programs(&self, needed: &[&str]) -> &Path {
        for program in needed {
            let program = self.programs.join(program);
            assert!(program.is_file(), "run `cargo build --examples` first: {}", program.display());
        }
        &self.programs
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    /// Runs it, and reads the page that it writes into this folder.
    pub(crate) fn run(mut self, out: &Path, page: &str) -> String {
        let ran = self.command.arg("--out").arg(out).output().expect("it starts");
        let told = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{told}");
        std::fs::read_to_string(out.join(page)).unwrap()
    }
}
