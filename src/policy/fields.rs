//! Request fields that handlers read beside what a key holds of itself.

use std::sync::LazyLock;

use http::header::HOST;
use http::{HeaderMap, HeaderName};

use crate::protocol::{Glance, Several};

/// Request fields that say to which host, scheme, port or path a request was sent. Handlers build
/// links and redirections from them, and whoever can connect can send them.
///
/// They are part of each key, unless [`keyed_fields`](crate::CacheBuilder::keyed_fields) says
/// otherwise.
pub const TARGET_FIELDS: [&str; 18] = [
    "front-end-https",
    "host",
    "x-forwarded-host",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-forwarded-uri",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-url-scheme",
];

/// Request fields that say from which address a request comes. Of each client another one, so they are
/// no part of a key unless the app says so; a handler whose answer depends on one is for no cache.
///
/// They are for [`removed_fields`](crate::CacheBuilder::removed_fields).
pub const CLIENT_FIELDS: [&str; 11] = [
    "cf-connecting-ip",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "true-client-ip",
    "via",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-for",
    "x-real-ip",
];

/// Fields by which a request asks to be taken for one of another method.
static OF_METHOD: LazyLock<Several> = LazyLock::new(|| {
    let names = ["x-http-method", "x-http-method-override", "x-method-override"];
    Several::new(names.map(HeaderName::from_static))
});

/// Whether a request asks to be taken for one of another method. Who obeys that further in would
/// change what the cache takes for read.
pub(crate) fn overrides_method(fields: &Glance<'_>) -> bool {
    fields.some_of(&OF_METHOD).next().is_some()
}

/// Names of request fields, in the order in which they stand in a key.
#[derive(Clone, Debug, Default)]
pub(crate) struct FieldSet {
    has_host: bool,
    /// The others, sorted.
    others: Several,
}

impl FieldSet {
    pub(crate) fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        let all = names.len();
        names.retain(|name| *name != HOST);
        Self { has_host: names.len() < all, others: Several::new(names) }
    }

    /// Host, which HTTP/2 says in another way, is asked for apart from the other fields.
    pub(crate) fn has_host(&self) -> bool {
        self.has_host
    }

    /// All of the names.
    #[cfg(feature = "admin")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let host = self.has_host.then_some("host");
        host.into_iter().chain(self.others.names().map(HeaderName::as_str))
    }

    /// Those of the names that a request has, but for Host.
    pub(crate) fn found<'a, 'b>(
        &'a self,
        fields: Glance<'b>,
    ) -> impl Iterator<Item = &'a HeaderName> + use<'a, 'b> {
        fields.some_of(&self.others)
    }

    /// Removes every line of each of the fields.
    pub(crate) fn remove_from(&self, headers: &mut HeaderMap) {
        if self.has_host {
            headers.remove(HOST);
        }
        if self.others.is_empty() {
            return;
        }
        let found: Vec<_> = self.found(Glance::of(headers)).collect();
        for name in found {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn set(names: &[&str]) -> FieldSet {
        FieldSet::new(names.iter().map(|name| name.parse().unwrap()))
    }

    fn headers(names: &[&'static str]) -> HeaderMap {
        let value = HeaderValue::from_static("x");
        names.iter().map(|name| (HeaderName::from_static(name), value.clone())).collect()
    }

    #[test]
    fn fields_are_found_in_one_order_and_in_any_case() {
        let set = set(&["X-B", "x-a", "Host", "x-a"]);
        let found = |names: &[&'static str]| {
            set.found(Glance::of(&headers(names)))
                .map(|name| name.as_str().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&["x-b", "host", "x-a"]), ["x-a", "x-b"]);
        // Much like one that is wanted.
        assert_eq!(found(&["x-c"]), [""; 0]);
        assert!(set.has_host());
    }

    #[test]
    fn each_line_of_a_field_is_removed() {
        let mut all = headers(&["x-a", "x-a", "accept", "host"]);
        set(&["x-a"]).remove_from(&mut all);
        assert_eq!(all, headers(&["accept", "host"]));
        set(&["host"]).remove_from(&mut all);
        assert_eq!(all, headers(&["accept"]));
    }

    #[test]
    fn the_lists_are_sorted_and_apart() {
        assert!(TARGET_FIELDS.is_sorted() && CLIENT_FIELDS.is_sorted());
        for name in TARGET_FIELDS.into_iter().chain(CLIENT_FIELDS) {
            assert!(HeaderName::from_static(name).as_str() == name);
        }
        assert!(CLIENT_FIELDS.iter().all(|name| !TARGET_FIELDS.contains(name)));
    }
}
