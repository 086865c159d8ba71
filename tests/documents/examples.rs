//! `examples/README.md` has a line and a command for each example.

use std::path::Path;

use crate::links::links;
use crate::{files, read};

/// The examples, by what their folder holds.
fn examples() -> Vec<(String, String)> {
    let named = |path: &Path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        let file = path.file_name()?.to_str()?.to_owned();
        if path.join("main.rs").is_file() {
            Some((name, format!("{file}/main.rs")))
        } else {
            path.extension().is_some_and(|end| end == "rs").then_some((name, file))
        }
    };
    files("examples").iter().filter_map(|path| named(path)).collect()
}

#[test]
fn each_example_has_a_line_and_a_command() {
    let index = read("examples/README.md");
    let examples = examples();
    for (name, file) in &examples {
        let line = index
            .lines()
            .filter(|line| line.starts_with("| ["))
            .find(|line| links(line).first().is_some_and(|link| link.target == file))
            .unwrap_or_else(|| panic!("examples/README.md has no line for {file}"));
        assert!(line.contains(&format!("--example {name}")), "{name}: no command in {line}");
        assert!(read(format!("examples/{file}")).starts_with("//!"), "{file} says not what it is");
    }
    assert!(examples.len() > 9, "{examples:?}");
}
