//! `docs/COMPARE.md`: each thing that this crate is said to do names the test that shows it.

use crate::links::{Link, links};
use crate::{read, root};

#[test]
fn each_yes_of_this_crate_names_a_test_that_there_is() {
    let page = read("docs/COMPARE.md");
    let (mut rows, mut shown) = (0, 0);
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        if cells.len() != 10 || cells[1] == "this crate" {
            continue;
        }
        rows += 1;
        let (what, ours) = (cells[0], cells[1]);
        assert!(!ours.to_lowercase().starts_with("yes"), "{what}: nothing shows it");
        shown += usize::from(ours.starts_with('['));
        for Link { target, title } in links(ours) {
            let Some(path) = target.strip_prefix("../tests/") else {
                assert!(!ours.contains("[yes]"), "{what}: {target} is no test");
                continue;
            };
            let test = title.unwrap_or_else(|| panic!("{what}: which test of {target}?"));
            let source = read(root().join("tests").join(path));
            assert!(
                source.contains(&format!("fn {test}(")),
                "{what}: no test {test:?} in {target}"
            );
        }
    }
    assert!(rows > 50 && shown > 40, "{shown} of {rows}");
}
