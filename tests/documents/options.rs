//! The tables of the README name every option there is.

use crate::read;

/// The public methods of a file that take and give back what they are called on.
fn options(source: &str) -> Vec<String> {
    let begins = source.match_indices("pub fn ").map(|(at, begin)| &source[at + begin.len()..]);
    let is_option = |text: &&str| {
        let signature = text.split('{').next().unwrap_or_default();
        signature.contains("mut self") && signature.contains("-> Self")
    };
    let name = |text: &str| text.split(['(', '<']).next().unwrap_or_default().to_owned();
    begins.filter(is_option).map(name).collect()
}

#[test]
fn every_option_has_its_row() {
    let readme = read("README.md");
    let rows: String = readme.lines().filter(|line| line.starts_with("| `.")).collect();
    let mut count = 0;
    let files = [
        "builder.rs",
        "builder/limits.rs",
        "policy/route.rs",
        "policy/rule.rs",
        "policy/target.rs",
    ];
    for file in files {
        for option in options(&read(format!("src/{file}"))) {
            count += 1;
            assert!(rows.contains(&format!("`.{option}(")), "README.md has no row for {option}");
        }
    }
    assert!(count > 80, "{count}");
}
