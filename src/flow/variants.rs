//! Which of a key's variants a request is about (RFC 9111, section 4.1).
//!
//! By what the responses of a key vary is known only from the responses. Where they do, the name
//! of the key holds nothing but the names of the fields, and the responses have names of their own.
//! Each process remembers the fields, so that a look-up needs no second round trip; what it
//! remembers is a hint: an entry says itself which selection it is for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName};
use quick_cache::sync::Cache;

use super::read::Read;
use super::shared::Shared;
use crate::key::Names;
use crate::protocol::vary;

/// By which request fields the responses of each key vary, as far as this process has seen.
pub(crate) struct Variants {
    /// Read by every request, almost always false.
    any: AtomicBool,
    /// By a digest of the key's name: a collision tells apart what need not be, and nothing else.
    fields: Cache<u64, Arc<[HeaderName]>>,
}

/// How many keys are remembered. One that is forgotten costs a round trip.
const KEYS: usize = 10_000;

/// By how many fields a response may vary, beside those that are in the key.
const MOST_FIELDS: usize = 16;

/// How long their names may be together, in bytes.
const MOST_BYTES: usize = 1024;

impl Default for Variants {
    fn default() -> Self {
        Self { any: AtomicBool::new(false), fields: Cache::new(KEYS) }
    }
}

impl Variants {
    pub(super) fn known(&self, key: &Names) -> Option<Arc<[HeaderName]>> {
        if !self.any.load(Ordering::Relaxed) {
            return None;
        }
        self.fields.get(&key.entry_digest())
    }

    /// Adds to what is known of the key, and answers all of it; `None` if it would be too much.
    ///
    /// Never less than before: the finer a selection, the safer.
    fn learn(&self, key: &Names, fields: &[HeaderName]) -> Option<Arc<[HeaderName]>> {
        let digest = key.entry_digest();
        let mut all = self.fields.get(&digest).map_or_else(Vec::new, |known| known.to_vec());
        let before = all.len();
        for field in fields {
            if !all.contains(field) {
                // At once: a response may name thousands.
                if all.len() == MOST_FIELDS {
                    return None;
                }
                all.push(field.clone());
            }
        }
        if all.iter().map(|name| name.as_str().len()).sum::<usize>() > MOST_BYTES {
            return None;
        }
        all.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        let all: Arc<[HeaderName]> = all.into();
        if all.len() > before {
            self.fields.insert(digest, Arc::clone(&all));
            self.any.store(true, Ordering::Relaxed);
        }
        Some(all)
    }
}

/// One of a key's variants.
pub(crate) struct Variant {
    /// The names of the key, where the fields are stored.
    pub(crate) key: Names,
    pub(crate) fields: Arc<[HeaderName]>,
    /// What the request says in these fields, as an entry repeats it.
    pub(crate) selection: [u8; 16],
}

impl Variant {
    /// The variant that a request with these headers selects, and its names.
    pub(crate) fn of(
        shared: &Shared,
        key: &Names,
        fields: Arc<[HeaderName]>,
        headers: &HeaderMap,
    ) -> (Names, Self) {
        let text = vary::secondary_key(&fields, headers, shared.settings.normalise);
        let mut selection = [0; 16];
        // Whoever picks header fields must not find two that are told apart by nobody.
        selection.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
        let names = key.variant(&selection, shared.settings.max_variants);
        (names, Self { key: key.clone(), fields, selection })
    }
}

impl Read {
    /// The names of the key, whatever its responses vary by.
    pub(crate) fn key(&self) -> &Names {
        self.variant.as_ref().map_or(&self.names, |variant| &variant.key)
    }

    /// What an entry must be for, to be for this request.
    pub(crate) fn selection(&self) -> Option<[u8; 16]> {
        self.variant.as_ref().map(|variant| variant.selection)
    }

    /// Goes over to the key and the variant that the request selects, as far as this process knows. Answers
    /// whether that is another one than before.
    pub(crate) fn select(&mut self, shared: &Shared, headers: &HeaderMap) -> bool {
        let respelled = self.respell(shared);
        let Some(fields) = shared.variants.known(self.key()) else { return respelled };
        if self.variant.as_ref().is_some_and(|variant| variant.fields == fields) {
            return respelled;
        }
        let (names, variant) = Variant::of(shared, self.key(), fields, headers);
        self.names = Arc::new(names);
        self.variant = Some(Box::new(variant));
        true
    }

    /// Learns by what the responses of this key vary, be it from a response or from the store.
    /// `None` if that is by more than may be.
    pub(crate) fn learn(&self, shared: &Shared, by: &[HeaderName]) -> Option<Arc<[HeaderName]>> {
        self.learn_of(shared, self.key(), by)
    }

    /// The same, of another key.
    pub(super) fn learn_of(
        &self,
        shared: &Shared,
        key: &Names,
        by: &[HeaderName],
    ) -> Option<Arc<[HeaderName]>> {
        let by: Vec<_> =
            by.iter().filter(|name| !self.route.keyed_headers.contains(name)).cloned().collect();
        self.route.telemetry.varies_by(&by);
        shared.variants.learn(key, &by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Space;

    #[test]
    fn what_is_known_of_a_key_grows_up_to_a_limit() {
        let variants = Variants::default();
        let space = Space::new(&"gym".into(), "4");
        let key = Names::new(&space, "GET", "/users");
        assert!(variants.known(&key).is_none());
        let name = |number: usize| HeaderName::try_from(format!("x-{number:02}")).unwrap();
        assert_eq!(&*variants.learn(&key, &[name(2)]).unwrap(), [name(2)]);
        assert_eq!(&*variants.learn(&key, &[name(1)]).unwrap(), [name(1), name(2)]);
        assert_eq!(&*variants.learn(&key, &[name(2)]).unwrap(), [name(1), name(2)]);
        let many: Vec<_> = (1..=MOST_FIELDS).map(name).collect();
        assert_eq!(variants.learn(&key, &many).unwrap().len(), MOST_FIELDS);
        assert!(variants.learn(&key, &[name(MOST_FIELDS + 1)]).is_none());
        assert_eq!(variants.known(&key).unwrap().len(), MOST_FIELDS);
        let long = HeaderName::try_from("x".repeat(MOST_BYTES + 1)).unwrap();
        assert!(variants.learn(&Names::new(&space, "GET", "/long"), &[long]).is_none());
        assert!(variants.known(&Names::new(&space, "GET", "/other")).is_none());
    }

    #[test]
    fn of_no_more_keys_is_anything_remembered() {
        let variants = Variants::default();
        let space = Space::new(&"gym".into(), "4");
        for number in 0..2 * KEYS {
            let key = Names::new(&space, "GET", &format!("/users/{number}"));
            variants.learn(&key, &[HeaderName::from_static("accept")]);
        }
        assert!(variants.fields.len() <= KEYS);
    }
}
