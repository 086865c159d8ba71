//! `scripts/scale`.

use crate::script::Script;

#[test]
fn a_quick_run_ends_with_the_whole_page() {
    let script = Script::new("scale");
    let programs = script.programs(&["load_target", "capacity"]).display().to_string();
    let out = tempfile::tempdir().unwrap();
    let page = script.args(&["--programs", &programs]).run(out.path(), "docs/SCALE.md");
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
