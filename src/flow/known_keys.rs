//! Keys that were worked out before: to make the names of one costs more than to look one up.

use std::sync::Arc;

use foldhash::quality::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, OptionsBuilder, Weighter};

use super::keying::{Said, Whose};
use crate::key::Names;

/// The names of the keys that are asked for most, by all that they are made of: whole texts, which are
/// compared byte for byte, so that no request gets the key of another. (In the place of long fields stands
/// a BLAKE3 digest, of which nobody finds two that are equal.)
///
/// What is forgotten is worked out again.
pub(crate) struct KnownKeys(Cache<Asked, Arc<Names>, Weight, RandomState>);

/// How many bytes are remembered.
const BYTES: u64 = 4 << 20;

/// The longest texts that are.
const LONGEST: usize = 1024;

/// One in so many keys is remembered when it is worked out. One that is asked for often soon is; of those
/// that are asked for once, most are not worth their place.
const ONE_IN: u8 = 4;

impl KnownKeys {
    pub(super) fn get(&self, said: &Said<'_>) -> Option<Arc<Names>> {
        Texts::of(said).and_then(|texts| self.0.get(&texts))
    }

    pub(super) fn remember(&self, said: &Said<'_>, names: &Arc<Names>) {
        if fastrand::u8(..ONE_IN) == 0
            && let Some(texts) = Texts::of(said)
            && texts.length() <= LONGEST
        {
            self.0.insert(texts.to_owned(), Arc::clone(names));
        }
    }
}

impl Default for KnownKeys {
    fn default() -> Self {
        let options = OptionsBuilder::new()
            .shards(8)
            .weight_capacity(BYTES)
            .estimated_items_capacity(4096)
            .build()
            .expect("both capacities are set");
        Self(Cache::with_options(
            options,
            Weight,
            // Clients pick the texts.
            RandomState::default(),
            DefaultLifecycle::default(),
        ))
    }
}

/// The texts of a [`Said`], borrowed or kept: equal, and of one hash, if all parts are.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts<T, B> {
    index: usize,
    /// `None` on a route without tenants.
    tenant: Option<T>,
    path: T,
    query: Option<T>,
    beside: B,
}

type Texts<'a> = Parts<&'a str, &'a [u8]>;
type Asked = Parts<Box<str>, Box<[u8]>>;

impl<'a> Texts<'a> {
    /// `None` of somebody who looks at another's key.
    fn of(said: &'a Said<'_>) -> Option<Self> {
        let tenant = match said.whose {
            Whose::Nobody => None,
            Whose::Tenant(tenant) => Some(&**tenant),
            Whose::Space(_) => return None,
        };
        let &Said { index, path, query, beside, .. } = said;
        Some(Self { index, tenant, path, query, beside })
    }

    fn to_owned(&self) -> Asked {
        Parts {
            index: self.index,
            tenant: self.tenant.map(Box::from),
            path: self.path.into(),
            query: self.query.map(Box::from),
            beside: self.beside.into(),
        }
    }
}

impl<T: AsRef<str>, B: AsRef<[u8]>> Parts<T, B> {
    fn length(&self) -> usize {
        let length = |text: Option<&T>| text.map_or(0, |text| text.as_ref().len());
        let Self { tenant, path, query, beside, .. } = self;
        length(tenant.as_ref())
            + length(Some(path))
            + length(query.as_ref())
            + beside.as_ref().len()
    }
}

impl Equivalent<Asked> for Texts<'_> {
    fn equivalent(&self, kept: &Asked) -> bool {
        self.index == kept.index
            && self.path == &*kept.path
            && self.tenant == kept.tenant.as_deref()
            && self.query == kept.query.as_deref()
            && self.beside == &*kept.beside
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Asked, Arc<Names>> for Weight {
    fn weight(&self, asked: &Asked, names: &Arc<Names>) -> u64 {
        // Its slot, and the two counts before the names.
        const SLOT: usize = 64;
        (size_of::<Asked>() + asked.length() + names.size() + SLOT) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::hash::BuildHasher as _;

    use proptest::prelude::*;

    use super::*;
    use crate::key::Space;

    fn said<'a>(
        whose: &'a Whose<'a>,
        (index, path, query, beside): (usize, &'a str, Option<&'a str>, &'a str),
    ) -> Said<'a> {
        Said { index, whose, path, query, beside: beside.as_bytes() }
    }

    fn names(text: &str) -> Arc<Names> {
        Arc::new(Names::new(&Space::new(&"gym".into(), "4"), "GET", text))
    }

    fn remember(keys: &KnownKeys, said: &Said<'_>, names: &Arc<Names>) {
        for _ in 0..1000 {
            keys.remember(said, names);
        }
    }

    #[test]
    fn what_was_worked_out_often_is_known() {
        let keys = KnownKeys::default();
        let whose = Whose::Tenant(Cow::Borrowed("4"));
        let one = said(&whose, (0, "/users", None, "GET"));
        assert!(keys.get(&one).is_none());
        remember(&keys, &one, &names("/users"));
        assert_eq!(keys.get(&one).unwrap().text(), "/users");
        let long = "x".repeat(LONGEST);
        let long = said(&whose, (0, &long, None, "GET"));
        remember(&keys, &long, &names("/long"));
        assert!(keys.get(&long).is_none());
        // Who looks at what a tenant has says nothing of that tenant's requests.
        let space = Space::new(&"gym".into(), "4");
        let other = Whose::Space(&space);
        assert!(keys.get(&said(&other, (0, "/users", None, "GET"))).is_none());
    }

    #[test]
    fn no_more_is_remembered_than_may_be() {
        let keys = KnownKeys::default();
        let whose = Whose::Nobody;
        for number in 0..100_000 {
            let path = format!("/users/{number}");
            keys.remember(&said(&whose, (0, &path, None, "GET")), &names(&path));
        }
        assert!(keys.0.weight() <= BYTES);
        assert!(keys.0.len() > 1000);
    }

    proptest! {
        #[test]
        fn no_two_requests_are_taken_for_one(one in texts(), other in texts()) {
            let borrowed = Texts {
                index: other.index,
                tenant: other.tenant.as_deref(),
                path: &other.path,
                query: other.query.as_deref(),
                beside: &other.beside,
            };
            prop_assert_eq!(borrowed.equivalent(&one), one == other);
            let hasher = RandomState::default();
            if one == other {
                prop_assert_eq!(hasher.hash_one(&borrowed), hasher.hash_one(&one));
            }
            prop_assert!(borrowed.to_owned() == other);
        }
    }

    /// Short and of few letters, so that two are often made of the same.
    fn texts() -> impl Strategy<Value = Asked> {
        let some = || "[a/]{0,2}".prop_map(String::into_boxed_str);
        let maybe = || proptest::option::of(some());
        (0..2_usize, maybe(), some(), maybe(), some()).prop_map(
            |(index, tenant, path, query, beside)| {
                let beside = beside.into_boxed_bytes();
                Parts { index, tenant, path, query, beside }
            },
        )
    }
}
