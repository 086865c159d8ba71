//! `scripts/semver-check`: compares with the last release, once there is one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::root;

/// A repository with the script in it, and a `cargo` that tells what it is asked for.
fn repository() -> TempDir {
    let folder = TempDir::new().unwrap();
    for name in ["scripts", "bin"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::copy(root().join("scripts/semver-check"), folder.path().join("scripts/semver-check"))
        .unwrap();
    git(folder.path(), &["init", "--quiet"]);
    commit(folder.path());
    folder
}

fn has_cargo(repository: &Path, script: &str) {
    let cargo = repository.join("bin/cargo");
    fs::write(&cargo, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
}

fn git(repository: &Path, arguments: &[&str]) {
    let name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    let status = Command::new("git").args(name).args(arguments).current_dir(repository).status();
    assert!(status.unwrap().success(), "git {arguments:?}");
}

fn commit(repository: &Path) {
    git(repository, &["commit", "--quiet", "--allow-empty", "-m", "x"]);
}

fn check(repository: &Path, settings: &[(&str, &str)]) -> (bool, String) {
    let path = format!("{}:{}", repository.join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(repository.join("scripts/semver-check"));
    let output = command.arg("--verbose").env("PATH", path).envs(settings.iter().copied()).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn before_the_first_release_there_is_nothing_to_compare_with() {
    let repository = repository();
    has_cargo(repository.path(), "exit 1");
    git(repository.path(), &["tag", "another"]);
    let (passed, said) = check(repository.path(), &[]);
    assert!(passed && said.contains("no release yet"), "{said}");
}

#[test]
fn the_last_release_is_compared_with() {
    let repository = repository();
    git(repository.path(), &["tag", "v0.1.0"]);
    commit(repository.path());
    git(repository.path(), &["tag", "v0.2.0"]);
    commit(repository.path());
    has_cargo(repository.path(), "echo asked: \"$@\"; [ \"$2\" = --version ] || exit 3");
    let (passed, said) = check(repository.path(), &[]);
    assert!(!passed, "what the tool finds is a failure: {said}");
    let asked = "asked: semver-checks --baseline-rev v0.2.0 --all-features --verbose";
    assert!(said.contains(asked), "{said}");
}

#[test]
fn without_the_tool_it_says_so_and_fails_where_it_must_not_be_left_out() {
    let repository = repository();
    git(repository.path(), &["tag", "v0.1.0"]);
    has_cargo(repository.path(), "exit 101");
    let (passed, said) = check(repository.path(), &[]);
    assert!(passed && said.contains("cargo install cargo-semver-checks"), "{said}");
    let (passed, _) = check(repository.path(), &[("SEMVER_REQUIRED", "1")]);
    assert!(!passed);
}
