//! `docs/MISUSE.md`: errors of the compiler are those of examples, and all those of `build()` are
//! there.

use crate::links::{Link, links};
use crate::{read, root};

/// The section of the page under this heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let after = page.split(&format!("\n## {heading}\n")).nth(1).expect("there is the section");
    after.split("\n## ").next().unwrap()
}

fn rows(section: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = section.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
}

#[test]
fn each_error_of_the_compiler_is_that_of_an_example() {
    let page = read("docs/MISUSE.md");
    let mut count = 0;
    for row in rows(section(&page, "By the compiler")) {
        let files: Vec<_> = links(row[2]).into_iter().map(|link| link.target).collect();
        let sources: String =
            files.iter().map(|file| read(root().join("docs").join(file))).collect();
        for code in row[1].split(", ") {
            count += 1;
            assert!(sources.contains(&format!("```compile_fail,{code}\n")), "{}: {code}", row[0]);
        }
    }
    assert!(count > 12, "{count}");
}

#[test]
fn each_error_of_build_is_there_with_its_test() {
    let page = read("docs/MISUSE.md");
    let source = read("src/policy/error.rs");
    let body = source.split("pub enum ConfigError {").nth(1).unwrap().split("\n}").next().unwrap();
    let is_variant =
        |line: &&str| line.starts_with("    ") && line.as_bytes()[4].is_ascii_uppercase();
    let mut variants: Vec<_> = body
        .lines()
        .filter(|line| line.len() > 4)
        .filter(is_variant)
        .map(|line| line.trim().split(['(', ' ', ',']).next().unwrap())
        .collect();
    variants.sort_unstable();
    let mut listed = Vec::new();
    for row in rows(section(&page, "By `build()`")) {
        listed.push(row[1].trim_matches('`'));
        for Link { target, title } in links(row[2]) {
            let test = title.unwrap_or_else(|| panic!("{}: which test of {target}?", row[0]));
            assert!(
                read(root().join("docs").join(target)).contains(&format!("fn {test}(")),
                "{test}"
            );
        }
    }
    listed.sort_unstable();
    assert_eq!(listed, variants);
}
