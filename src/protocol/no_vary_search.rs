//! Which parts of a query a response does not depend on (`No-Vary-Search`, a draft of the HTTP
//! working group: draft-ietf-httpbis-no-vary-search).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use super::list;

/// How many parameters a response may name; one that names more depends on all of its query.
pub const MAX_PARAMETERS: usize = 64;

/// How long their names may be together, in bytes.
pub const MAX_NAMES: usize = 1024;

static NO_VARY_SEARCH: HeaderName = HeaderName::from_static("no-vary-search");

/// What of the query two requests may differ in and share a response.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct SearchVariance {
    /// The parameters that do not count.
    pub ignored: Ignored,
    /// Whether the order of parameters with different names does not count.
    pub any_order: bool,
}

/// Parameters by their names, decoded as forms are: sorted, each once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// These.
    Listed(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}

/// What a response with these fields says of its query, or `None` if all of it counts.
///
/// A field that is no dictionary, or in which `key-order`, `params` or `except` is of the wrong type,
/// and an `except` without `params`, say nothing. Unknown members and parameters are ignored, and of
/// a member given twice the last counts (RFC 9651, section 4.2.2).
#[must_use]
pub fn search_variance(response_headers: &HeaderMap) -> Option<SearchVariance> {
    let said: Dictionary =
        Parser::new(&list::joined(response_headers, &NO_VARY_SEARCH)?).parse().ok()?;
    let any_order = said.get("key-order").map_or(Some(false), boolean)?;
    let except = said.get("except").map(names);
    let ignored = match (said.get("params"), except) {
        (None, None) => Ignored::Listed(Vec::new()),
        (Some(params @ ListEntry::Item(_)), except) => match (boolean(params)?, except) {
            (true, except) => Ignored::AllBut(except.unwrap_or(Some(Vec::new()))?),
            (false, None) => Ignored::Listed(Vec::new()),
            (false, Some(_)) => return None,
        },
        (Some(params), None) => Ignored::Listed(names(params)?),
        (_, Some(_)) => return None,
    };
    let says_nothing = ignored == Ignored::Listed(Vec::new()) && !any_order;
    (!says_nothing).then_some(SearchVariance { ignored, any_order })
}

fn boolean(member: &ListEntry) -> Option<bool> {
    match member {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::Boolean(value) => Some(value),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

fn names(member: &ListEntry) -> Option<Vec<String>> {
    let ListEntry::InnerList(InnerList { items, .. }) = member else { return None };
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let BareItem::String(name) = &item.bare_item else { return None };
        let spaced = name.as_str().replace('+', " ");
        // A name that could not be found again must not be one that is kept.
        let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
        names.push(decoded.into_owned());
    }
    names.sort_unstable();
    names.dedup();
    let fits =
        names.len() <= MAX_PARAMETERS && names.iter().map(String::len).sum::<usize>() <= MAX_NAMES;
    fits.then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_counts_of_a_query_in_the_words_of_the_draft() {
        type Row = (&'static str, &'static [&'static str], Option<SearchVariance>);
        let listed = |names: &[&str]| Ignored::Listed(names.iter().map(|n| (*n).into()).collect());
        let all_but = |names: &[&str]| Ignored::AllBut(names.iter().map(|n| (*n).into()).collect());
        let says = |ignored, any_order| Some(SearchVariance { ignored, any_order });
        let rows: Vec<Row> = vec![
            ("no field", &[], None),
            ("key-order", &["key-order"], says(listed(&[]), true)),
            ("key-order is false", &["key-order=?0"], None),
            ("key-order of another type", &["key-order=1, params"], None),
            ("params", &["params"], says(all_but(&[]), false)),
            ("params is false", &["params=?0"], None),
            (
                "params with names",
                &["params=(\"b\" \"a\" \"b\")"],
                says(listed(&["a", "b"]), false),
            ),
            ("params with no names", &["params=()"], None),
            ("params with tokens", &["params=(a b)"], None),
            ("params of another type", &["params=\"a\""], None),
            ("except", &["params, except=(\"id\")"], says(all_but(&["id"]), false)),
            ("except of nothing", &["params, except=()"], says(all_but(&[]), false)),
            ("except without params", &["except=(\"id\")"], None),
            ("except beside params that is false", &["params=?0, except=(\"id\")"], None),
            ("except beside names", &["params=(\"a\"), except=(\"id\")"], None),
            ("except of another type", &["params, except=\"id\""], None),
            ("except with an integer", &["params, except=(1)"], None),
            (
                "all three, on several lines",
                &["params", "except=(\"id\"), key-order"],
                says(all_but(&["id"]), true),
            ),
            ("unknown members", &["params=(\"a\"), x=1, y"], says(listed(&["a"]), false)),
            ("parameters", &["params=(\"a\";q=1);x"], says(listed(&["a"]), false)),
            ("twice: the last", &["params, params=(\"a\")"], says(listed(&["a"]), false)),
            ("no dictionary", &["params=(\"a\""], None),
            ("a malformed line spoils all", &["params", "!"], None),
            ("a name that is no text", &["params, except=(\"%FF\")"], None),
            ("names are decoded", &["params=(\"%C3%A9+x%2B\")"], says(listed(&["é x+"]), false)),
        ];
        for (row, lines, expected) in rows {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(&NO_VARY_SEARCH, HeaderValue::from_static(line));
            }
            assert_eq!(search_variance(&headers), expected, "{row}");
        }
    }

    #[test]
    fn a_response_that_names_too_many_depends_on_all_of_its_query() {
        let field = |count: usize, length: usize| {
            let names: Vec<_> = (0..count).map(|n| format!("\"{n:0length$}\"")).collect();
            let mut headers = HeaderMap::new();
            let line = format!("params=({})", names.join(" "));
            headers.append(&NO_VARY_SEARCH, line.try_into().unwrap());
            search_variance(&headers)
        };
        assert!(field(MAX_PARAMETERS, 2).is_some());
        assert!(field(MAX_PARAMETERS + 1, 2).is_none());
        assert!(field(1, MAX_NAMES).is_some());
        assert!(field(1, MAX_NAMES + 1).is_none());
    }
}
