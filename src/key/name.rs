//! Everything that one key is called in a store.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use smallvec::SmallVec;
use twox_hash::XxHash3_64;

use super::fingerprint::Configured;
use super::scope_names::fence_of;
use super::space::{EPOCHS, Space, push_number};

/// Everything that one request's key is called in a store: its entry, its epoch, its scopes.
///
/// All in one buffer, since every request makes one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Names {
    space: Space,
    buffer: String,
    /// Where the key text begins within the entry's name.
    text: usize,
    /// The end of each name: the entry, the epoch, then the scopes.
    ends: SmallVec<[usize; 8]>,
    all_tenants: bool,
    configured: Configured,
    digests: Digests,
}

/// The digests of the names, once somebody has asked for them: those of a key that is remembered are asked
/// for by each of its requests. Whatever changes the names forgets them.
#[derive(Default)]
struct Digests(OnceLock<(u64, [u8; 8])>);

impl Names {
    /// The names of the key `text` in `space`. `variant` is the method and whatever else tells
    /// entries of one text apart; it must not contain a space.
    #[must_use]
    pub fn new(space: &Space, variant: &str, text: &str) -> Self {
        Self::with_epoch_of(text, space, variant, text)
    }

    /// The same, but with the epoch of the key `other`: for keys of which it is known only later
    /// which of several they are. Keys that may turn out to be each other need one epoch.
    #[must_use]
    pub fn with_epoch_of(other: &str, space: &Space, variant: &str, text: &str) -> Self {
        debug_assert!(!variant.contains(' '));
        let mut buffer = String::with_capacity(192 + 2 * text.len() + variant.len());
        let epoch = XxHash3_64::oneshot(other.as_bytes()) % EPOCHS;
        let part = space.part(epoch);
        space.push('e', part, &mut buffer);
        buffer.push_str(variant);
        buffer.push(' ');
        let start = buffer.len();
        buffer.push_str(text);
        let mut ends = SmallVec::new();
        ends.push(buffer.len());
        space.push('g', part, &mut buffer);
        buffer.push('!');
        push_number(epoch, &mut buffer);
        ends.push(buffer.len());
        let configured = Configured::default();
        let digests = Digests::default();
        Self {
            space: space.clone(),
            buffer,
            text: start,
            ends,
            all_tenants: false,
            configured,
            digests,
        }
    }

    /// The names of another key with the same epoch and scopes: `more` is added to the variant, and
    /// the text is another. `more` must not contain a space.
    #[must_use]
    pub fn respelled(&self, more: &str, text: &str) -> Self {
        debug_assert!(!more.contains(' '));
        let (before, after) = (&self.buffer[..self.text - 1], &self.buffer[self.ends[0]..]);
        let buffer = [before, more, " ", text, after].concat();
        let start = self.text + more.len();
        let end = start + text.len();
        let ends = self.ends.iter().map(|was| was - self.ends[0] + end).collect();
        let (space, digests) = (self.space.clone(), Digests::default());
        Self { space, buffer, text: start, ends, digests, ..*self }
    }

    /// The names of one of the key's variants: the same but for the entry and its lease.
    ///
    /// Variants are what responses vary by beside what the key holds. There are `slots` of them at
    /// most, among which `selection` finds its own; two that find the same take each other's place.
    #[must_use]
    pub fn variant(&self, selection: &[u8], slots: u32) -> Self {
        // No name of a header field begins with an at sign.
        let slot = XxHash3_64::oneshot(selection) % u64::from(slots.max(1));
        let suffix = format!(";@~{slot}");
        let mut names = self.clone();
        names.extend_variant(&suffix);
        names
    }

    /// Adds to the variant, which is then that of another entry. `more` must not contain a space.
    pub fn extend_variant(&mut self, more: &str) {
        debug_assert!(!more.contains(' '));
        self.digests = Digests::default();
        self.buffer.insert_str(self.text - 1, more);
        self.text += more.len();
        self.ends.iter_mut().for_each(|end| *end += more.len());
    }

    /// Adds the scope of the tenant with this text.
    pub fn push_scope(&mut self, text: &str) {
        debug_assert!(!self.all_tenants, "the scope of all tenants is the last");
        self.digests = Digests::default();
        if self.space.is_spread() {
            self.space.push('g', None, &mut self.buffer);
        } else {
            // As the epoch's begins, which is the first of these names.
            let start = self.ends[0];
            self.buffer.extend_from_within(start..start + self.space.prefix_len());
        }
        self.buffer.push_str(text);
        self.ends.push(self.buffer.len());
    }

    /// Adds the scope of all tenants, after every other.
    pub fn push_all_tenants(&mut self) {
        self.digests = Digests::default();
        self.buffer.push_str(self.space.namespace());
        self.buffer.push_str(":a:all");
        self.ends.push(self.buffer.len());
        self.all_tenants = true;
    }

    /// Says by which configuration these names were made.
    pub fn set_configured(&mut self, configured: Configured) {
        self.digests = Digests::default();
        self.configured = configured;
    }

    /// By which configuration they were made.
    #[must_use]
    pub fn configured(&self) -> Configured {
        self.configured
    }

    /// The tenant that all of these belong to.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The entry's name.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.buffer[..self.ends[0]]
    }

    /// The key text, the part of the entry's name that patterns match.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.buffer[self.text..self.ends[0]]
    }

    /// The name of the lease.
    #[must_use]
    pub fn lease(&self) -> String {
        self.renamed(self.entry(), 'l')
    }

    /// A name for the entry's bytes on their way in, in its slot.
    #[must_use]
    pub fn in_transit(&self, nonce: u64) -> String {
        // What stands before the epoch's own part is the beginning of all names of the slot.
        let start = self.epoch().rfind('!').unwrap_or_default();
        format!("{}{nonce:016x}", self.renamed(&self.epoch()[..start], 'w'))
    }

    /// The name of the epoch.
    #[must_use]
    pub fn epoch(&self) -> &str {
        &self.buffer[self.ends[0]..self.ends[1]]
    }

    /// How many scopes there are, the one of all tenants included.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.ends.len() - 2
    }

    /// The names of the generations: the tenant's, then that of all tenants if the key has it.
    pub fn scopes(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.ends.windows(2).skip(1).map(|ends| &self.buffer[ends[0]..ends[1]])
    }

    /// The names of the fences, one for each scope.
    pub fn fences(&self) -> impl Iterator<Item = String> {
        self.scopes().map(|name| fence_of(&self.space, name))
    }

    /// What they take of memory, roughly, in bytes.
    pub(crate) fn size(&self) -> usize {
        let spilled =
            if self.ends.spilled() { self.ends.capacity() * size_of::<usize>() } else { 0 };
        size_of::<Self>() + self.buffer.capacity() + spilled + self.space.escaped_tenant().len()
    }

    /// Whether the last scope is the one of all tenants, which lives in a slot of its own.
    #[must_use]
    pub fn has_all_tenants(&self) -> bool {
        self.all_tenants
    }

    /// A digest of the scopes' names in their order, and of what made the key what it is. An entry
    /// repeats it, so that one that was stored under a configuration that saw the key in another way is
    /// not believed.
    #[must_use]
    pub fn scopes_digest(&self) -> [u8; 8] {
        self.digests().1
    }

    /// A digest of the entry's name. An entry repeats it, so that a reply meant for another key
    /// is recognised.
    #[must_use]
    pub fn entry_digest(&self) -> u64 {
        self.digests().0
    }

    fn digests(&self) -> &(u64, [u8; 8]) {
        self.digests
            .0
            .get_or_init(|| (XxHash3_64::oneshot(self.entry().as_bytes()), self.digest_of_scopes()))
    }

    fn digest_of_scopes(&self) -> [u8; 8] {
        // The seed holds where each name ends, so that no two lists run together.
        let start = self.ends[1];
        let seed = self.ends[1..].iter().fold(self.configured.layout, |seed: u64, end| {
            seed.wrapping_mul(0x100_0000_01b3) ^ (end - start) as u64
        });
        XxHash3_64::oneshot_with_seed(seed, &self.buffer.as_bytes()[start..]).to_be_bytes()
    }

    fn renamed(&self, name: &str, letter: char) -> String {
        let at = self.space.namespace().len() + 1;
        format!("{}{letter}{}", &name[..at], &name[at + 1..])
    }
}

impl Clone for Digests {
    /// Most clones are changed next.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Digests {
    /// They follow from the rest.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Digests {}

impl Hash for Digests {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names")
            .field("entry", &self.entry())
            .field("epoch", &self.epoch())
            .field("scopes", &self.scopes().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::TENANT;

    #[test]
    fn a_spread_space_has_the_same_scopes_and_a_slot_for_each_epoch() {
        let plain = Space::new(&"gym".into(), "4");
        let spread = plain.clone().spread(true);
        assert_eq!(plain, spread);
        let named = |space: &Space| {
            let mut names = Names::new(space, "GET", "/users/42");
            names.push_scope(TENANT);
            names.push_scope("path:/users/42");
            names.push_all_tenants();
            names
        };
        let (plain, spread) = (named(&plain), named(&spread));
        assert_eq!(plain.entry(), "gym:e:{4}:GET /users/42");
        assert_eq!(plain.lease(), "gym:l:{4}:GET /users/42");
        assert_eq!(plain.epoch(), "gym:g:{4}:!16");
        assert_eq!(plain.in_transit(10), "gym:w:{4}:000000000000000a");
        assert_eq!(spread.entry(), "gym:e:{4:16}:GET /users/42");
        assert_eq!(spread.lease(), "gym:l:{4:16}:GET /users/42");
        assert_eq!(spread.epoch(), "gym:g:{4:16}:!16");
        assert_eq!(spread.in_transit(10), "gym:w:{4:16}:000000000000000a");
        assert_eq!(spread.epoch(), spread.space().epoch(16));
        assert!(plain.scopes().eq(spread.scopes()) && plain.fences().eq(spread.fences()));
        assert_eq!(spread.text(), "/users/42");
        assert_eq!(plain.space().configurations(), spread.space().configurations());
        let variant = spread.variant(b"gzip", 4);
        assert!(variant.entry().starts_with("gym:e:{4:16}:GET;@~"), "{variant:?}");
        assert_eq!(variant.epoch(), spread.epoch());
        let nobody = Space::tenantless(&"gym".into()).spread(true);
        let of_nobody = Names::new(&nobody, "GET", "/");
        assert!(of_nobody.in_transit(0).starts_with("gym:w:{!:"), "{of_nobody:?}");
        assert_eq!(nobody.key_of(of_nobody.entry()), Some("GET /"));
    }

    #[test]
    fn digests_are_of_the_names_as_they_are_now() {
        type Change<'a> = (&'a str, &'a dyn Fn(&mut Names));
        let space = Space::new(&"gym".into(), "4");
        let mut names = Names::new(&space, "GET", "/users/42");
        let configured = Configured { layout: 7, fingerprint: None };
        let changes: [Change<'_>; 6] = [
            ("nothing yet", &|_| ()),
            ("a scope", &|names| names.push_scope("path:/users/42")),
            ("all tenants", &|names| names.push_all_tenants()),
            ("a configuration", &|names| names.set_configured(configured)),
            ("a variant", &|names| names.extend_variant(";a=1")),
            ("a spelling", &|names| *names = names.respelled(";@s", "/users/43")),
        ];
        let mut before = Vec::new();
        for (what, change) in changes {
            change(&mut names);
            let asked = (names.entry_digest(), names.scopes_digest());
            assert!(!before.contains(&asked), "{what}");
            assert_eq!(asked.0, XxHash3_64::oneshot(names.entry().as_bytes()), "{what}");
            assert_eq!(asked.1, names.digest_of_scopes(), "{what}");
            assert_eq!(names.clone().entry_digest(), asked.0, "{what}");
            before.push(asked);
        }
    }

    proptest! {
        #[test]
        fn spread_names_are_of_one_key_of_one_tenant(
            a: (String, String), b: (String, String), one: bool, other: bool,
        ) {
            let named = |(tenant, text): &(String, String), spread: bool| {
                let mut names =
                    Names::new(&Space::new(&"gym".into(), tenant).spread(spread), "GET", text);
                names.push_scope(TENANT);
                names
            };
            let (a, b) = ((named(&a, one), &a), (named(&b, other), &b));
            let same = a.1 == b.1 && one == other;
            prop_assert_eq!(a.0.entry() == b.0.entry(), same);
            prop_assert_eq!(a.0.lease() == b.0.lease(), same);
            let scopes = |names: &Names| names.scopes().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(scopes(&a.0) == scopes(&b.0), a.1.0 == b.1.0);
            if a.1.0 != b.1.0 {
                prop_assert_ne!(a.0.epoch(), b.0.epoch());
            }
            let key = format!("GET {}", a.1.1);
            prop_assert_eq!(a.0.space().key_of(a.0.entry()), Some(&*key));
            prop_assert_eq!(b.0.space().key_of(a.0.entry()).is_some(), a.1.0 == b.1.0 && one == other);
        }
    }
}
