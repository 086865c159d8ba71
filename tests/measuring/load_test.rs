//! `scripts/load-test`.

use crate::script::Script;

#[test]
fn a_quick_run_ends_with_tables_and_plots() {
    let script = Script::new("load-test");
    let program = script.programs(&["load_target"]).join("load_target").display().to_string();
    let script = script
        .args(&["--only", "bare", "handwritten", "redis", "near", "memory"])
        .args(&["--cases", "hits", "stampede", "memory", "--program", &program]);
    let out = tempfile::tempdir().unwrap();
    let page = script.run(out.path(), "docs/PERFORMANCE.md");
    for part in ["## Hits", "## A stampede", "## Memory", "this crate, memory"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for file in ["quick.json", "docs/performance/hits.svg", "docs/performance/latency-1KiB.svg"] {
        assert!(out.path().join(file).is_file(), "{file}");
    }
}
