//! Which part of a query tells the keys of a path apart, where responses say so (`No-Vary-Search`).
//!
//! As with variants it is known only from the responses. Each process remembers for a path what the
//! last stored response said; a request's key is made by that, and names it. So an entry is found
//! only by requests whose key was made by what the entry itself says, and a process that knows of
//! something else, or of nothing yet, finds none and asks the handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use quick_cache::sync::Cache;
use twox_hash::XxHash3_64;

use super::read::Read;
use super::shared::Shared;
use super::spelling::Spelling;
use crate::key::{Keep, Names, QueryLimits, encode, normalize_query};
use crate::protocol::no_vary_search::{Ignored, search_variance};

/// What the responses of each path say of its query, as far as this process has seen.
pub(crate) struct Searches {
    /// Read by every request on a route with the option.
    any: AtomicBool,
    /// By a digest of the path: a collision costs a run of the handler, since keys name the rule.
    rules: Cache<u64, Arc<Rule>>,
}

/// How many paths are remembered. One that is forgotten costs a run of the handler.
const PATHS: usize = 10_000;

impl Default for Searches {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), rules: Cache::new(PATHS) }
    }
}

impl Searches {
    fn known(&self, path: u64) -> Option<Arc<Rule>> {
        if self.any.load(Ordering::Relaxed) { self.rules.get(&path) } else { None }
    }

    fn learn(&self, path: u64, rule: Option<&Arc<Rule>>) {
        match rule {
            Some(rule) => {
                self.rules.insert(path, Arc::clone(rule));
                self.any.store(true, Ordering::Relaxed);
            }
            None => drop(self.rules.remove(&path)),
        }
    }
}

/// What of a query counts, in the words of the keys.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// As keys spell them.
    names: Vec<String>,
    /// Whether these count and no others, or all but these.
    only: bool,
    any_order: bool,
    /// What a key has of it.
    digest: String,
}

impl Rule {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let said = search_variance(headers)?;
        let (only, decoded) = match said.ignored {
            Ignored::Listed(names) => (false, names),
            Ignored::AllBut(names) => (true, names),
        };
        let names: Vec<_> = decoded
            .iter()
            .map(|name| {
                let mut encoded = String::with_capacity(name.len());
                encode(name.as_bytes(), &mut encoded);
                encoded
            })
            .collect();
        let text = format!("{only} {} {} {}", said.any_order, names.len(), names.join("&"));
        let digest = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
        Some(Self { names, only, any_order: said.any_order, digest })
    }

    fn keep(&self) -> Keep<'_> {
        if self.only { Keep::Named(&self.names) } else { Keep::Except(&self.names) }
    }
}

/// What a request searches for, on a route whose responses may say what of it counts.
pub(crate) struct Search {
    /// The names where all of it counts.
    plain: Names,
    /// How much of their text is the path.
    path_end: usize,
    /// A digest of the path with its tenant and variant.
    path: u64,
    /// How the target was spelled, where that may matter.
    spelling: Option<Spelling>,
    /// By what the request's names were made.
    rule: Option<Arc<Rule>>,
}

impl Search {
    /// The search of a request with these names, whose text begins with a path that ends there.
    pub(super) fn new(plain: Names, path_end: usize, spelling: Option<Spelling>) -> Self {
        let query = plain.text().len() - path_end;
        let entry = plain.entry();
        let path = XxHash3_64::oneshot(&entry.as_bytes()[..entry.len() - query]);
        Self { plain, path_end, path, spelling, rule: None }
    }

    /// The names under a rule.
    pub(super) fn names(&self, rule: Option<&Rule>) -> Names {
        let mut more = String::new();
        let mut text = self.plain.text().to_owned();
        if let Some(rule) = rule {
            more.push_str(";@?");
            more.push_str(&rule.digest);
            let query = text.split_off(self.path_end);
            if let Some(query) = query.strip_prefix('?') {
                text.push('?');
                let empty = text.len();
                let limits = QueryLimits::new(usize::MAX, usize::MAX);
                // What was spelled canonically once is well-formed.
                let done = normalize_query(query, rule.keep(), limits, &mut text);
                debug_assert!(done.is_ok());
                if text.len() == empty {
                    text.pop();
                }
            }
        }
        if let Some(spelling) = &self.spelling {
            let kept = rule.map(|rule| (rule.keep(), rule.any_order));
            spelling.push(kept, self.path_end, &text, &mut more);
        }
        self.plain.respelled(&more, &text)
    }
}

impl Read {
    /// Adds to what tells the entries of one text apart. `more` must not contain a space.
    pub(super) fn extend_variant(&mut self, more: &str) {
        match &mut self.search {
            Some(search) => {
                search.plain.extend_variant(more);
                self.names = Arc::new(search.names(search.rule.as_deref()));
            }
            None => Arc::make_mut(&mut self.names).extend_variant(more),
        }
    }

    /// Goes over to the key that is right by what this process knows of the path. Answers whether
    /// that is another one than before.
    pub(super) fn respell(&mut self, shared: &Shared) -> bool {
        let Some(search) = &mut self.search else { return false };
        let rule = shared.searches.known(search.path);
        if rule == search.rule {
            return false;
        }
        self.names = Arc::new(search.names(rule.as_deref()));
        search.rule = rule;
        self.variant = None;
        true
    }

    /// Learns from a response what of the query counts. Answers the names of the key that it is of,
    /// if that is another one than its request looked for.
    pub(super) fn learn_search(&self, shared: &Shared, headers: &HeaderMap) -> Option<Names> {
        let search = self.search.as_ref()?;
        let rule = Rule::of(headers).map(Arc::new);
        if shared.searches.known(search.path) != rule {
            shared.searches.learn(search.path, rule.as_ref());
        }
        (rule != search.rule).then(|| search.names(rule.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::key::Space;

    fn rule(field: &'static str) -> Option<Rule> {
        let mut headers = HeaderMap::new();
        headers.insert("no-vary-search", HeaderValue::from_static(field));
        Rule::of(&headers)
    }

    fn names(query: &str, rule: Option<&Rule>) -> Names {
        let text = format!("/p{query}");
        let space = Space::new(&"gym".into(), "4");
        let mut plain = Names::with_epoch_of("/p", &space, "GET", &text);
        plain.push_scope("tenant");
        Search::new(plain, 2, None).names(rule)
    }

    #[test]
    fn a_key_holds_what_counts_and_by_which_rule() {
        let rows = [
            ("params=(\"utm\")", "?a=1&utm=2", "/p?a=1"),
            ("params=(\"utm\")", "?utm=2", "/p"),
            ("params=(\"utm\")", "", "/p"),
            ("params=(\"a b\")", "?a%20b=1&c=2", "/p?c=2"),
            ("params=(\"a b\")", "?a+b=1&c=2", "/p?c=2"),
            // A plus is a space to forms, so this is another parameter.
            ("params=(\"a%2Bb\")", "?a+b=1", "/p?a+b=1"),
            ("params", "?a=1&b", "/p"),
            ("params, except=(\"id\")", "?a=1&id=2&id=1", "/p?id=2&id=1"),
            ("key-order", "?a=1&b=2", "/p?a=1&b=2"),
        ];
        for (field, query, expected) in rows {
            let rule = rule(field).unwrap();
            let names = names(query, Some(&rule));
            assert_eq!(names.text(), expected, "{field} {query}");
            assert!(names.entry().contains(&format!("GET;@?{} /p", rule.digest)), "{field}");
            assert_eq!(names.scopes().collect::<Vec<_>>(), ["gym:g:{4}:tenant"]);
            assert_eq!(names.epoch(), Names::new(names.space(), "GET", "/p").epoch());
        }
        assert_eq!(names("?a=1&utm=2", None).entry(), "gym:e:{4}:GET /p?a=1&utm=2");
        assert_eq!(rule("params=?0"), None);
    }

    #[test]
    fn what_was_said_last_of_a_path_is_remembered() {
        let searches = Searches::default();
        assert!(searches.known(1).is_none());
        let utm = rule("params=(\"utm\")").map(Arc::new);
        searches.learn(1, utm.as_ref());
        assert_eq!(searches.known(1), utm);
        assert!(searches.known(2).is_none());
        searches.learn(1, None);
        assert!(searches.known(1).is_none());
        for path in 0..2 * PATHS as u64 {
            searches.learn(path, utm.as_ref());
        }
        assert!(searches.rules.len() <= PATHS);
    }
}
