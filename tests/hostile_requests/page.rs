//! `SECURITY.md` links files and names tests that there are.

use std::path::Path;

#[test]
fn the_page_on_security_names_what_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| {
        std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let page = read("SECURITY.md");
    let mut tests = 0;
    for link in page.split("](").skip(1) {
        let target = link.split(')').next().unwrap();
        let (file, test) = match target.split_once(' ') {
            Some((file, title)) => (file, Some(title.trim_matches('"'))),
            None => (target, None),
        };
        let source = read(file);
        match test {
            Some(test) => assert!(source.contains(&format!("fn {test}(")), "no {test} in {file}"),
            None => assert!(!file.starts_with("tests/"), "{file}: which of its tests?"),
        }
        tests += usize::from(test.is_some());
    }
    assert!(tests > 25, "{tests}");
}
