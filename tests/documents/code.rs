//! Code on the pages is what it seems: all of it is seen, and all of it is compiled.

use crate::{pages, read, root};

/// The Rust blocks of a page, each without its fences.
fn rust_blocks(page: &str) -> Vec<String> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut is_rust = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), is_rust) {
            (Some(language), None) => {
                is_rust = Some(language.split(',').next() == Some("rust"));
                if is_rust == Some(true) {
                    blocks.push(Vec::new());
                }
            }
            (Some(_), Some(_)) => is_rust = None,
            (None, Some(true)) => blocks.last_mut().unwrap().push(line),
            (None, _) => {}
        }
    }
    blocks.into_iter().map(|lines| lines.join("\n") + "\n").collect()
}

#[test]
fn nothing_is_hidden() {
    for page in pages() {
        for block in rust_blocks(&read(&page)) {
            // rustdoc leaves such lines out; the site of a repository shows them.
            let hidden = block.lines().find(|line| *line == "#" || line.starts_with("# "));
            assert_eq!(hidden, None, "{}", page.display());
        }
    }
}

#[test]
fn every_block_is_compiled() {
    let lib = read("src/lib.rs");
    let mut examples = Vec::new();
    for entry in std::fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            examples.push(read(path));
        }
    }
    let mut count = 0;
    for page in pages() {
        let name = page.strip_prefix(root()).unwrap().to_str().unwrap();
        let is_tested = lib.contains(&format!("include_str!(\"../{name}\")"));
        for block in rust_blocks(&read(&page)) {
            count += 1;
            assert!(is_tested || examples.contains(&block), "{name}: nobody compiles {block}");
        }
    }
    assert!(count > 7, "{count}");
}
