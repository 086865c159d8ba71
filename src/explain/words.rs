//! How durations, lists and sources are said.

use std::fmt;
use std::time::Duration;

use crate::policy::{CachedRoute, Query, Source, Users};

/// `5 min`, `90 s`, `250 ms`: the largest unit of which it is a whole number.
pub(super) fn span(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        _ if millis != 0 && seconds == 0 => format!("{millis} ms"),
        _ if millis != 0 => format!("{} s", span.as_secs_f64()),
        0 => "0 s".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{} d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<T: fmt::Display>(items: &[T]) -> String {
    match items {
        [] => "nothing".to_owned(),
        [only] => only.to_string(),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(ToString::to_string).collect();
            format!("{} and {last}", first.join(", "))
        }
    }
}

/// Where a tenant or an identity is read from.
pub(super) fn source(source: &Source) -> String {
    match source {
        Source::Header(Ok(name)) => format!("the header {name}"),
        Source::Header(Err(text)) => format!("the header {text}"),
        Source::Parameter(name) => format!("the path parameter {{{name}}}"),
        Source::Subdomain(domain) => format!("the subdomain of {domain}"),
        Source::With(_) => "a function of the request".to_owned(),
    }
}

/// Who may be served what was stored for somebody else.
pub(super) fn shared_by(route: &CachedRoute) -> String {
    let of = if route.tenantless { "everyone of all tenants" } else { "everyone of the tenant" };
    match &route.users {
        Some(Users::Per(identity)) => {
            format!("the user alone, by {}", source(identity.source()))
        }
        Some(Users::Same) => of.to_owned(),
        None => {
            let refusals = &route.refusals;
            let mut without = Vec::new();
            if !refusals.ignore_authorization {
                without.push("Authorization");
            }
            if !refusals.ignore_cookies {
                without.push("Cookie");
            }
            if without.is_empty() {
                return of.to_owned();
            }
            let with = list(&without).replace(" and ", " or ");
            format!("{of} whose request has no {with}")
        }
    }
}

/// What of a request's target is in the key.
pub(super) fn key(route: &CachedRoute) -> String {
    use crate::key::KeyTemplate;
    let mut said = match (&route.key, &route.query) {
        (KeyTemplate::Text(template), _) => format!("the text {}", template.as_str()),
        (KeyTemplate::Path, Query::All) => "the path and the whole query".to_owned(),
        (KeyTemplate::Path, Query::AsSaid) => {
            "the path and what of the query its responses say in No-Vary-Search".to_owned()
        }
        (KeyTemplate::Path, Query::Named(names)) if names.is_empty() => {
            "the path, and nothing of the query".to_owned()
        }
        (KeyTemplate::Path, Query::Named(names)) => {
            let word = if names.len() == 1 { "parameter" } else { "parameters" };
            format!("the path and the query {word} {}", list(names))
        }
    };
    if route.method.has_content() {
        said.push_str(", with the request's content");
    }
    if !route.keyed_headers.is_empty() {
        let word = if route.keyed_headers.len() == 1 { "header" } else { "headers" };
        said = format!("{said}, with the {word} {}", list(&route.keyed_headers));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_their_largest_whole_unit() {
        for (millis, said) in [
            (0, "0 s"),
            (250, "250 ms"),
            (1500, "1.5 s"),
            (1000, "1 s"),
            (90_000, "90 s"),
            (300_000, "5 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 d"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), said);
        }
    }

    #[test]
    fn lists_end_in_and() {
        assert_eq!(list::<&str>(&[]), "nothing");
        assert_eq!(list(&["a"]), "a");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }
}
