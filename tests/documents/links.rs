//! Links within the repository lead to files, headings and tests that there are.

use std::path::Path;

use crate::{pages, read, root};

/// A link in a page: where to, and the title, if it has one.
pub(crate) struct Link<'a> {
    pub(crate) target: &'a str,
    pub(crate) title: Option<&'a str>,
}

/// The links of a page, those in code left out.
pub(crate) fn links(page: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("    ") {
            continue;
        }
        for link in line.split("](").skip(1) {
            let Some((link, _)) = link.split_once(')') else { continue };
            let (target, title) = match link.split_once(' ') {
                Some((target, title)) => (target, Some(title.trim_matches('"'))),
                None => (link, None),
            };
            links.push(Link { target, title });
        }
    }
    links
}

/// A heading as the sites that show Markdown name it in a link.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn has_heading(page: &str, wanted: &str) -> bool {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|line| line.trim_start_matches('#').trim()).any(|line| anchor(line) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        let text = read(&page);
        let folder = page.parent().unwrap_or_else(|| root());
        for Link { target, title } in links(&text) {
            if target.starts_with("http") {
                continue;
            }
            count += 1;
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { folder.join(file) };
            assert!(file.exists(), "{}: {target} leads nowhere", page.display());
            if !heading.is_empty() {
                assert!(
                    has_heading(&read(&file), heading),
                    "{}: no heading {heading:?} in {target}",
                    page.display()
                );
            }
            if let Some(test) = title.filter(|_| is_rust(&file)) {
                assert!(
                    read(&file).contains(&format!("fn {test}(")),
                    "{}: no test {test:?} in {target}",
                    page.display()
                );
            }
        }
    }
    assert!(count > 200, "{count}");
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "rs")
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = read("README.md");
    let targets: Vec<_> = links(&readme).into_iter().map(|link| link.target).collect();
    for page in pages() {
        let page = page.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        // For those who change the code, who begin with CONTRIBUTING.md.
        let inner = ["docs/ARCHITECTURE.md", "docs/DESIGN.md", "docs/MODEL.md", "README.md"];
        if inner.contains(&page.as_str()) {
            continue;
        }
        assert!(targets.contains(&page.as_str()), "README.md has no link to {page}");
    }
    let contributing = read("CONTRIBUTING.md");
    let targets: Vec<_> = links(&contributing).into_iter().map(|link| link.target).collect();
    for page in ["docs/ARCHITECTURE.md", "docs/DESIGN.md", "docs/MODEL.md"] {
        assert!(targets.contains(&page), "CONTRIBUTING.md has no link to {page}");
    }
}
