//! `deny.toml` holds, also where cargo-deny is not installed: licences and bans.

use crate::package::metadata;
use crate::read;

/// The strings of a list in `deny.toml`, which begins on a line of its own.
fn listed(deny: &str, begin: &str) -> Vec<String> {
    let after = deny.split(begin).nth(1).unwrap_or_else(|| panic!("deny.toml lacks {begin:?}"));
    let list = after.split("\n]").next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be satisfied with these licences.
struct Expression<'a> {
    words: Vec<String>,
    at: usize,
    allowed: &'a [String],
}

impl<'a> Expression<'a> {
    fn is_allowed(text: &str, allowed: &'a [String]) -> bool {
        // `/` is how `OR` was written before SPDX.
        let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let words = spaced.split_whitespace().map(str::to_owned).collect();
        let mut expression = Self { words, at: 0, allowed };
        let is_allowed = expression.either();
        assert_eq!(expression.at, expression.words.len(), "{text:?} can't be read");
        is_allowed
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_there = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(is_there);
        is_there
    }

    fn either(&mut self) -> bool {
        let mut is_allowed = self.all();
        while self.takes("OR") {
            is_allowed |= self.all();
        }
        is_allowed
    }

    fn all(&mut self) -> bool {
        let mut is_allowed = self.one();
        while self.takes("AND") {
            is_allowed &= self.one();
        }
        is_allowed
    }

    fn one(&mut self) -> bool {
        if self.takes("(") {
            let is_allowed = self.either();
            assert!(self.takes(")"), "{:?}: a parenthesis is open", self.words);
            return is_allowed;
        }
        let mut name = self.words[self.at].clone();
        self.at += 1;
        if self.takes("WITH") {
            name = format!("{name} WITH {}", self.words[self.at]);
            self.at += 1;
        }
        self.allowed.contains(&name)
    }
}

#[test]
fn expressions_are_read_as_spdx_has_them() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (text, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("MIT/GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("GPL-3.0 AND MIT OR ISC", true),
        ("GPL-3.0 AND (MIT OR ISC)", false),
        ("(MIT OR GPL-3.0) AND ISC", true),
        ("MIT WITH an-exception", false),
        ("MIT WITH an-exception OR ISC", true),
    ] {
        assert_eq!(Expression::is_allowed(text, &allowed), expected, "{text}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed_and_none_is_banned() {
    let deny = read("deny.toml");
    let allowed = listed(&deny, "allow = [\n");
    let banned = listed(&deny, "deny = [\n");
    assert!(allowed.len() > 5 && banned.len() > 1, "{allowed:?} {banned:?}");
    let exceptions = deny.split("exceptions = [").nth(1).unwrap().split('\n').next().unwrap();
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(!banned.iter().any(|banned| banned == name), "{name} is banned");
        let is_excepted =
            exceptions.contains(&format!("crate = \"{name}\", allow = [\"{licence}\"]"));
        assert!(
            is_excepted || Expression::is_allowed(licence, &allowed),
            "{name}: {licence:?} is not in deny.toml"
        );
    }
    assert!(packages.len() > 200, "{}", packages.len());
}
