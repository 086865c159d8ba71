//! What the documents and the manifest claim is so: links lead somewhere, tests that are named
//! exist, examples are listed, and what is published is what should be.

mod code;
mod compare;
mod examples;
mod licences;
mod links;
mod misuse;
mod options;
mod package;
#[cfg(unix)]
mod semver;
mod types;

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files in a folder, by name.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// All pages that people read on the repository's site.
fn pages() -> Vec<PathBuf> {
    let folders = ["", "docs", "docs/guides", "examples"].map(|folder| root().join(folder));
    let there = folders.iter().filter(|folder| folder.is_dir());
    let of_each = there.flat_map(|folder| files(folder.to_str().unwrap()));
    of_each.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}
