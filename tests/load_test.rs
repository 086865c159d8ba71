//! `scripts/load-test` works: a short run of it on what the tests have built, into a page of its own.

use std::path::Path;
use std::process::Command;

#[test]
fn a_quick_run_ends_with_tables_and_plots() {
    for needed in ["wrk", "taskset", "python3"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {needed}")]).output();
        assert!(found.unwrap().status.success(), "{needed} is missing: see scripts/test");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Where cargo put the example: beside the folder of this test's own binary.
    let this = std::env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join("examples/load_target");
    assert!(program.is_file(), "run `cargo build --examples` first");
    let out = tempfile::tempdir().unwrap();
    let ran = Command::new(root.join("scripts/load-test"))
        .args(["--quick", "--only", "bare", "handwritten", "redis", "near", "memory"])
        .args(["--cases", "hits", "stampede", "memory", "--program"])
        .arg(program)
        .arg("--out")
        .arg(out.path())
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
    let page = std::fs::read_to_string(out.path().join("docs/PERFORMANCE.md")).unwrap();
    for part in ["## Hits", "## A stampede", "## Memory", "this crate, memory"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for file in ["quick.json", "docs/performance/hits.svg", "docs/performance/latency-1KiB.svg"] {
        assert!(out.path().join(file).is_file(), "{file}");
    }
}
