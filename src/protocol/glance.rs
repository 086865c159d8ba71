//! Which fields a message has, at one look.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a message, and a mark for each name.
///
/// A request is asked for some forty fields, of which it has almost none. To look each of them up costs
/// more than all else that is done with its head; a mark that is not there says the same at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Glance<'a> {
    pub(crate) headers: &'a HeaderMap,
    marks: u64,
    /// The first Host, which almost every request is asked for twice.
    host: Option<&'a HeaderValue>,
    has_more_hosts: bool,
}

impl<'a> Glance<'a> {
    /// Looks at each of the fields once.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut glance = Self { headers, marks: 0, host: None, has_more_hosts: false };
        for (name, value) in headers {
            glance.marks |= mark(name);
            if *name == HOST {
                glance.has_more_hosts = glance.host.is_some();
                glance.host.get_or_insert(value);
            }
        }
        glance
    }

    /// The first Host, and whether there is another.
    pub(crate) fn host(&self) -> (Option<&'a HeaderValue>, bool) {
        (self.host, self.has_more_hosts)
    }

    /// Whether the field is there.
    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.may_have(mark(name)) && self.headers.contains_key(name)
    }

    /// Those of some names that are there.
    pub(crate) fn some_of<'n>(
        self,
        names: &'n Several,
    ) -> impl Iterator<Item = &'n HeaderName> + use<'n, 'a> {
        // Mostly none is.
        let asked: &[_] = if self.may_have(names.marks) { &names.names } else { &[] };
        let marked = asked.iter().filter(move |(mark, _)| self.may_have(*mark));
        marked.map(|(_, name)| name).filter(move |name| self.headers.contains_key(*name))
    }

    /// Whether a field with this mark, or with one of these, may be there.
    fn may_have(&self, mark: u64) -> bool {
        self.marks & mark != 0
    }
}

/// Names of fields that are asked for together, in an order of their own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Several {
    marks: u64,
    /// Each with its own.
    names: Box<[(u64, HeaderName)]>,
}

impl Several {
    pub(crate) fn new(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let names: Box<[_]> = names.into_iter().map(|name| (mark(&name), name)).collect();
        Self { marks: names.iter().fold(0, |marks, (mark, _)| marks | mark), names }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All of them.
    #[cfg(feature = "admin")]
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.names.iter().map(|(_, name)| name)
    }
}

/// One bit for a name, which few others have.
fn mark(name: &HeaderName) -> u64 {
    let text = name.as_str().as_bytes();
    let (first, last) = match text {
        [first, .., last] => (usize::from(*first), usize::from(*last)),
        _ => (0, 0),
    };
    1 << ((text.len() + 5 * first + 11 * last) % 64)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::{ACCEPT, CONTENT_LENGTH, HOST, RANGE};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_head_has_nothing() {
        let headers = HeaderMap::new();
        assert!(
            [ACCEPT, HOST, RANGE, CONTENT_LENGTH]
                .iter()
                .all(|name| !Glance::of(&headers).has(name))
        );
    }

    proptest! {
        #[test]
        fn it_says_what_the_map_says(there in names(), asked in names()) {
            let mut headers = HeaderMap::new();
            for name in there {
                headers.append(name, HeaderValue::from_static(""));
            }
            let glance = Glance::of(&headers);
            for name in asked.iter().chain(headers.keys()) {
                prop_assert_eq!(glance.has(name), headers.contains_key(name));
            }
            for names in asked.chunks_exact(2) {
                let several = Several::new(names.iter().cloned());
                let found: Vec<_> = glance.some_of(&several).collect();
                let there: Vec<_> = names.iter().filter(|name| headers.contains_key(*name)).collect();
                prop_assert_eq!(found, there);
            }
        }
    }

    fn names() -> impl Strategy<Value = Vec<HeaderName>> {
        let name = "(a|b|range|host|[a-z][a-z-]{0,20})".prop_map(|name| name.parse().unwrap());
        proptest::collection::vec(name, 0..12)
    }
}
