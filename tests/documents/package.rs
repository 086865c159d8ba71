//! What is published: nothing missing, nothing stray, and metadata that agree with the pages.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::links::links;
use crate::{read, root};

/// What is published, all together, before it is compressed.
const MOST_BYTES: u64 = 3 << 20;

/// What one file may have.
const MOST_OF_A_FILE: u64 = 200 << 10;

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn packaged() -> Vec<String> {
    let list = cargo(&["package", "--list", "--allow-dirty", "--offline"]);
    list.lines().map(str::to_owned).collect()
}

pub(crate) fn metadata() -> Value {
    let arguments =
        ["metadata", "--format-version", "1", "--offline", "--locked", "--all-features"];
    serde_json::from_str(&cargo(&arguments)).unwrap()
}

/// The manifest as cargo reads it.
fn manifest(metadata: &Value) -> &Value {
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().find(|package| package["name"] == "tower-response-cache").unwrap()
}

#[test]
fn the_package_holds_what_it_should_and_nothing_else() {
    let made = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"];
    let kinds = ["css", "html", "js", "json", "lua", "md", "rs", "svg", "toml", "yml"];
    let mut bytes = 0;
    let files = packaged();
    for file in &files {
        if made.contains(&file.as_str()) {
            continue;
        }
        let end = file.rsplit('.').next().unwrap();
        assert!(kinds.contains(&end) || file.starts_with("LICENSE-"), "{file} is a stray");
        let folders = ["src/", "examples/", "dashboards/", "docs/"];
        assert!(
            !file.contains('/') || folders.iter().any(|folder| file.starts_with(folder)),
            "{file}"
        );
        let size = root().join(file).metadata().unwrap().len();
        assert!(size <= MOST_OF_A_FILE, "{file} has {size} bytes");
        bytes += size;
    }
    assert!(bytes < MOST_BYTES, "{bytes}");
    // Whoever reads the README of a package finds the pages that it leads to.
    for link in links(&read("README.md")) {
        let page = link.target.split('#').next().unwrap();
        let is_page = Path::new(page).extension().is_some_and(|end| end == "md");
        if is_page && page != "CONTRIBUTING.md" {
            assert!(files.iter().any(|file| file == page), "{page} is not in the package");
        }
    }
}

#[test]
fn the_metadata_are_complete_and_agree_with_the_pages() {
    let metadata = metadata();
    let manifest = manifest(&metadata);
    for field in ["description", "documentation", "license", "readme", "rust_version"] {
        assert!(manifest[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
    for (field, most) in [("keywords", 5), ("categories", 5)] {
        let entries = manifest[field].as_array().unwrap();
        assert!((1..=most).contains(&entries.len()), "{field}: {entries:?}");
    }
    let oldest = manifest["rust_version"].as_str().unwrap();
    let readme = read("README.md");
    assert!(readme.contains(&format!("Rust {oldest} or newer")), "README.md names another Rust");
    assert!(readme.contains(&format!("badge/rust-{oldest}%2B-")), "a badge names another Rust");
    let version = manifest["version"].as_str().unwrap();
    assert!(
        read("CHANGELOG.md").contains(&format!("\n## {version}")),
        "CHANGELOG.md lacks {version}"
    );
    // Each feature is explained where people look.
    for feature in
        manifest["features"].as_object().unwrap().keys().filter(|name| *name != "default")
    {
        for page in ["README.md", "src/lib.rs"] {
            assert!(read(page).contains(&format!("| `{feature}`")), "{page} lacks {feature}");
        }
    }
}

#[test]
fn no_dependency_wants_a_newer_rust() {
    let metadata = metadata();
    let number = |version: &Value| -> Option<(u32, u32)> {
        let mut parts = version.as_str()?.split('.').map(|part| part.parse().unwrap_or(0));
        Some((parts.next()?, parts.next().unwrap_or(0)))
    };
    let ours = number(&manifest(&metadata)["rust_version"]).unwrap();
    let built = built_by_users(&metadata);
    let mut count = 0;
    for package in metadata["packages"].as_array().unwrap() {
        if built.contains(&package["id"].as_str().unwrap()) {
            count += 1;
            let theirs = number(&package["rust_version"]);
            assert!(
                theirs.is_none_or(|theirs| theirs <= ours),
                "{} wants {theirs:?}",
                package["name"]
            );
        }
    }
    assert!(count > 100, "{count}");
}

/// The packages that are built with the crate, not those of its tests alone.
fn built_by_users(metadata: &Value) -> Vec<&str> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let mut found = vec![metadata["resolve"]["root"].as_str().unwrap()];
    let mut next = 0;
    while let Some(id) = found.get(next).copied() {
        next += 1;
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            let package = dependency["pkg"].as_str().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") && !found.contains(&package) {
                found.push(package);
            }
        }
    }
    found
}
