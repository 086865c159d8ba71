//! `scripts/scale` works: a short run of it on what the tests have built, into a page of its own.

use std::path::Path;
use std::process::Command;

#[test]
fn a_quick_run_ends_with_the_whole_page() {
    for needed in ["wrk", "taskset", "python3"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {needed}")]).output();
        assert!(found.unwrap().status.success(), "{needed} is missing: see scripts/test");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Where cargo put the examples: beside the folder of this test's own binary.
    let this = std::env::current_exe().unwrap();
    let programs = this.ancestors().nth(2).unwrap().join("examples");
    for program in ["load_target", "capacity"] {
        assert!(programs.join(program).is_file(), "run `cargo build --examples` first");
    }
    let out = tempfile::tempdir().unwrap();
    let ran = Command::new(root.join("scripts/scale"))
        .args(["--quick", "--programs"])
        .arg(programs)
        .arg("--out")
        .arg(out.path())
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
    let page = std::fs::read_to_string(out.path().join("docs/SCALE.md")).unwrap();
    for part in [
        "## In short",
        "## Costs",
        "## Memory",
        "## The model and the runs",
        "## A cluster",
        "## Sizes",
        "## The feed",
        "## Storms",
        "| near-cache | 4 |",
        "the generation of a path",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf "), "{page}");
    assert!(out.path().join("target/scale/measured.json").is_file());
}
