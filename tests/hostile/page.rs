//! `docs/LIMITS.md` names settings, counters and tests that there are.

use std::path::Path;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_on_limits_names_what_there_is() {
    let page = read("docs/LIMITS.md");
    let settings = [
        read("src/builder.rs"),
        read("src/builder/limits.rs"),
        read("src/store/memory/mod.rs"),
        read("src/store/near/config.rs"),
    ]
    .concat();
    let said = [
        read("src/telemetry/stats.rs"),
        read("src/telemetry/outcome.rs"),
        read("src/protocol/storable.rs"),
    ]
    .concat();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let (test, before) = cells.split_last().unwrap();
        let (counter, before) = before.split_last().unwrap();
        let Some(test) = quoted(test).next() else { continue };
        rows += 1;
        let (file, name) = test.split_once(": ").expect("a file and a name");
        let file = if file.starts_with("src/") { file.to_owned() } else { format!("tests/{file}") };
        assert!(read(&file).contains(name), "no test {name} in {file}");
        for name in quoted(counter) {
            let is_method = name.starts_with("MemoryStore::");
            let name = name.trim_start_matches("MemoryStore::").split('(').next().unwrap();
            let is_there = if is_method {
                settings.contains(&format!("pub fn {name}("))
            } else {
                said.contains(&format!("    {name},\n"))
                    || said.contains(&format!("\"{name}\""))
                    || said.contains(&format!("pub {name}:"))
            };
            assert!(is_there, "nothing is counted as {name}");
        }
        for setting in before.iter().take(2).flat_map(|cell| quoted(cell)) {
            if let Some((name, _)) = setting.split_once('(') {
                let name = name.rsplit(['.', ':']).next().unwrap();
                assert!(
                    settings.contains(&format!("pub fn {name}(")),
                    "there is no setting {name}"
                );
            }
        }
    }
    assert!(rows > 30, "{rows}");
}
