//! The names under which things are stored: one namespace, one tenant, and one cluster slot or many.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;
use twox_hash::XxHash3_64;

use super::encode::{encode, is_unreserved};
use super::fingerprint::{Configured, Fingerprint};

/// How many epochs a tenant has.
pub const EPOCHS: u64 = 64;

/// The text of the scope of a whole tenant, which is the first scope of every key.
pub(crate) const TENANT: &str = "tenant";

/// A tenant within a namespace: the unit that nothing reaches across.
///
/// Every name of the tenant is `{namespace}:{kind}:{{tenant}}:{rest}`, where `kind` is one letter
/// and the braces round the escaped tenant are literal: they make all of it one slot of a cluster.
///
/// | name | what |
/// |---|---|
/// | `gym:e:{4}:GET /users` | the entry of a key, in version 1 of the format |
/// | `gym:l:{4}:GET /users` | its lease |
/// | `gym:g:{4}:path:/users` | the generation of a scope |
/// | `gym:f:{4}:path:/users` | the scope's fence tokens |
/// | `gym:g:{4}:group:news` | the generation of a group that responses name |
/// | `gym:g:{4}:!17` | one of the tenant's epochs |
/// | `gym:w:{4}:…` | an entry on its way in |
/// | `gym:c:{4}:all` | the configurations that have filled entries of the tenant |
/// | `gym:a:all` | the generation of all tenants at once |
/// | `gym:b:{gym:a:all}` | its fence tokens: the braces put them in the same slot |
///
/// A frame of another version stands under another letter. Side by side, two builds would take each
/// other's entries for broken ones, and remove and overwrite them by turns.
///
/// In a [spread](Space::spread) space what belongs to one key has a slot by the number of its epoch:
/// the entry, its lease, its epoch, and its bytes on their way in. All else stays where it is.
///
/// | name | what |
/// |---|---|
/// | `gym:e:{4:17}:GET /users` | the entry of a key whose epoch is number 17 |
/// | `gym:l:{4:17}:GET /users` | its lease |
/// | `gym:g:{4:17}:!17` | its epoch |
/// | `gym:w:{4:17}:…` | an entry on its way in |
///
/// A colon in a tenant is escaped, so none has the braces of another's part. Two spaces of one tenant
/// are equal, spread or not: they have the same scopes.
#[derive(Clone)]
pub struct Space {
    namespace: Arc<str>,
    /// Escaped; `!` stands for no tenant, which the escaping never yields.
    tenant: Arc<str>,
    spread: bool,
}

impl PartialEq for Space {
    fn eq(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.tenant == other.tenant
    }
}

impl Eq for Space {}

impl Hash for Space {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.tenant.hash(state);
    }
}

impl Space {
    /// The space of `tenant`, which may be any text.
    ///
    /// `namespace` must be of the letters that [`Space::is_namespace`] allows.
    #[must_use]
    pub fn new(namespace: &Arc<str>, tenant: &str) -> Self {
        if !tenant.is_empty() && tenant.bytes().all(is_unreserved) {
            return Self { namespace: Arc::clone(namespace), tenant: tenant.into(), spread: false };
        }
        let mut escaped = String::with_capacity(tenant.len());
        encode(tenant.as_bytes(), &mut escaped);
        if escaped.is_empty() {
            // Empty braces make no slot. The escaping yields no percent sign by itself.
            escaped.push('%');
        }
        Self { namespace: Arc::clone(namespace), tenant: escaped.into(), spread: false }
    }

    /// The space of what belongs to no tenant.
    #[must_use]
    pub fn tenantless(namespace: &Arc<str>) -> Self {
        Self { namespace: Arc::clone(namespace), tenant: "!".into(), spread: false }
    }

    /// The same space with its entries spread over slots of a cluster, or not: over as many as there
    /// are epochs.
    #[must_use]
    pub fn spread(self, spread: bool) -> Self {
        Self { spread, ..self }
    }

    /// Whether its entries are spread over slots.
    #[must_use]
    pub fn is_spread(&self) -> bool {
        self.spread
    }

    /// Whether a namespace is 1 to 64 of the letters `A-Z a-z 0-9 - _ .`.
    #[must_use]
    pub fn is_namespace(text: &str) -> bool {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    }

    /// The names of the `kind` that `letter` stands for begin with this, but for those that are
    /// [spread](Space::spread).
    #[must_use]
    pub fn prefix(&self, letter: char) -> String {
        format!("{}:{letter}:{{{}}}:", self.namespace, self.tenant)
    }

    /// The name of an epoch.
    #[must_use]
    pub fn epoch(&self, number: u64) -> String {
        let mut name = String::with_capacity(self.prefix_len() + 6);
        self.push('g', self.part(number), &mut name);
        name.push('!');
        push_number(number, &mut name);
        name
    }

    /// What the names of all entries begin with, as a glob of Redis: of nothing else, as long as
    /// [`key_of`](Space::key_of) has the last word.
    #[must_use]
    pub fn entries_glob(&self) -> String {
        // Nothing in a prefix has a meaning in a pattern: tenants are escaped.
        let part = if self.spread { ":*" } else { "" };
        format!("{}:e:{{{}{part}}}:", self.namespace, self.tenant)
    }

    /// What follows that beginning in the name of one of its entries: the variant, a space, and the key
    /// text. `None` for every other name.
    #[must_use]
    pub fn key_of<'a>(&self, entry: &'a str) -> Option<&'a str> {
        let rest = entry.strip_prefix(&*self.namespace)?.strip_prefix(":e:{")?;
        let rest = rest.strip_prefix(&*self.tenant)?;
        if !self.spread {
            return rest.strip_prefix("}:");
        }
        let (part, rest) = rest.strip_prefix(':')?.split_once("}:")?;
        (0..EPOCHS).any(|number| is_number(part, number)).then_some(rest)
    }

    /// The name of the generation of all that the tenant has.
    #[must_use]
    pub fn whole_tenant(&self) -> String {
        format!("{}{TENANT}", self.prefix('g'))
    }

    /// The name of its fence.
    #[must_use]
    pub fn whole_tenant_fence(&self) -> String {
        format!("{}{TENANT}", self.prefix('f'))
    }

    /// The name of the list of configurations that may have entries of the tenant.
    #[must_use]
    pub fn configurations(&self) -> String {
        format!("{}all", self.prefix('c'))
    }

    /// The name of the generation of all tenants at once.
    #[must_use]
    pub fn all_tenants(namespace: &str) -> String {
        format!("{namespace}:a:all")
    }

    /// The name of the fence of all tenants at once, in the slot of their generation.
    #[must_use]
    pub fn all_tenants_fence(namespace: &str) -> String {
        format!("{namespace}:b:{{{}}}", Self::all_tenants(namespace))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The tenant, escaped.
    #[must_use]
    pub fn escaped_tenant(&self) -> &str {
        &self.tenant
    }

    fn prefix_len(&self) -> usize {
        self.namespace.len() + self.tenant.len() + ":g:{}:".len()
    }

    /// Which part of a spread space the epoch with this number is in.
    fn part(&self, number: u64) -> Option<u64> {
        self.spread.then_some(number)
    }

    fn push(&self, letter: char, part: Option<u64>, buffer: &mut String) {
        buffer.push_str(&self.namespace);
        buffer.push(':');
        buffer.push(letter);
        buffer.push_str(":{");
        buffer.push_str(&self.tenant);
        if let Some(number) = part {
            buffer.push(':');
            push_number(number, buffer);
        }
        buffer.push_str("}:");
    }
}

/// Appends a number below 100.
#[allow(clippy::cast_possible_truncation, reason = "a digit is small")]
fn push_number(number: u64, buffer: &mut String) {
    if number >= 10 {
        buffer.push(char::from(b'0' + (number / 10) as u8));
    }
    buffer.push(char::from(b'0' + (number % 10) as u8));
}

fn is_number(text: &str, number: u64) -> bool {
    match *text.as_bytes() {
        [one] => number < 10 && u64::from(one) == u64::from(b'0') + number,
        [ten, one] => {
            number >= 10
                && u64::from(ten) == u64::from(b'0') + number / 10
                && u64::from(one) == u64::from(b'0') + number % 10
        }
        _ => false,
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{{{}}}", self.namespace, self.tenant)
    }
}

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
}

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
        Self { space: space.clone(), buffer, text: start, ends, all_tenants: false, configured }
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
        Self { space: self.space.clone(), buffer, text: start, ends, ..*self }
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
        self.buffer.insert_str(self.text - 1, more);
        self.text += more.len();
        self.ends.iter_mut().for_each(|end| *end += more.len());
    }

    /// Adds the scope of the tenant with this text.
    pub fn push_scope(&mut self, text: &str) {
        debug_assert!(!self.all_tenants, "the scope of all tenants is the last");
        if self.space.spread {
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
        self.buffer.push_str(&self.space.namespace);
        self.buffer.push_str(":a:all");
        self.ends.push(self.buffer.len());
        self.all_tenants = true;
    }

    /// Says by which configuration these names were made.
    pub fn set_configured(&mut self, configured: Configured) {
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
        size_of::<Self>() + self.buffer.capacity() + self.space.tenant.len()
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
        // The seed holds where each name ends, so that no two lists run together.
        let start = self.ends[1];
        let seed = self.ends[1..].iter().fold(self.configured.layout, |seed: u64, end| {
            seed.wrapping_mul(0x100_0000_01b3) ^ (end - start) as u64
        });
        XxHash3_64::oneshot_with_seed(seed, &self.buffer.as_bytes()[start..]).to_be_bytes()
    }

    /// A digest of the entry's name. An entry repeats it, so that a reply meant for another key
    /// is recognised.
    #[must_use]
    pub fn entry_digest(&self) -> u64 {
        XxHash3_64::oneshot(self.entry().as_bytes())
    }

    fn renamed(&self, name: &str, letter: char) -> String {
        let at = self.space.namespace.len() + 1;
        format!("{}{letter}{}", &name[..at], &name[at + 1..])
    }
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

/// What the text of a group's scope begins with. That of a declared scope begins with `path:`,
/// `subtree:`, `glob:` or `tag:`, or is `tenant`, and an epoch's name goes on with `!`.
const GROUP: &str = "group:";

/// The names of the scopes that one write moves: generations of one tenant, or the one of all
/// tenants, or both; and with a group among them the tenant's epochs.
///
/// ```
/// use tower_response_cache::key::{ScopeNames, Space};
///
/// let space = Space::new(&"gym".into(), "4");
/// let mut scopes = ScopeNames::new(&space);
/// scopes.push_group("news: *");
/// assert_eq!(scopes.generations(), ["gym:g:{4}:group:news%3A%20%2A"]);
/// assert!(scopes.has_epochs());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ScopeNames {
    space: Space,
    generations: Vec<String>,
    all_tenants: bool,
    epochs: bool,
    configuration: Option<Fingerprint>,
}

impl ScopeNames {
    /// No scope yet of the tenant of `space`.
    #[must_use]
    pub fn new(space: &Space) -> Self {
        Self {
            space: space.clone(),
            generations: Vec::new(),
            all_tenants: false,
            epochs: false,
            configuration: None,
        }
    }

    /// The groups with these names, which may be any text, in their order and each once.
    #[must_use]
    pub fn groups<'a>(space: &Space, groups: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scopes = Self::new(space);
        groups.into_iter().for_each(|group| scopes.push_group(group));
        scopes
    }

    /// The scopes with these names of generations, which are of this tenant or of all. With a
    /// group among them, the epochs are too.
    pub(crate) fn from_generations<'a>(
        space: &Space,
        names: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut scopes = Self::new(space);
        let everybody = Space::all_tenants(&space.namespace);
        let group = format!("{}{GROUP}", space.prefix('g'));
        for name in names {
            if name == everybody {
                scopes.all_tenants = true;
            } else {
                scopes.epochs |= name.starts_with(&group);
                scopes.generations.push(name.to_owned());
            }
        }
        scopes
    }

    /// Adds the scopes of another set of the same tenant.
    pub(crate) fn merge(&mut self, other: Self) {
        debug_assert_eq!(self.space, other.space);
        for name in other.generations {
            if !self.generations.contains(&name) {
                self.generations.push(name);
            }
        }
        self.all_tenants |= other.all_tenants;
        self.epochs |= other.epochs;
        self.configuration = self.configuration.or(other.configuration);
    }

    /// Says which configuration names these scopes: where entries of the tenant may be those of
    /// another one, which stamps them with scopes that this one does not know, all of the tenant moves
    /// with them.
    pub fn set_configuration(&mut self, configuration: Option<Fingerprint>) {
        self.configuration = configuration;
    }

    /// Which configuration names them, if that counts.
    #[must_use]
    pub fn configuration(&self) -> Option<Fingerprint> {
        self.configuration
    }

    /// Adds the scope with this text, once.
    pub fn push(&mut self, text: &str) {
        self.epochs |= text.starts_with(GROUP);
        let name = format!("{}{text}", self.space.prefix('g'));
        if !self.generations.contains(&name) {
            self.generations.push(name);
        }
    }

    /// Adds the group that a response names (RFC 9875), which may be any text, once; and the epochs
    /// of the tenant, without which a group must not move: a response that is under way may be in
    /// it, and only its epoch tells.
    pub fn push_group(&mut self, group: &str) {
        let mut text = String::from(GROUP);
        encode(group.as_bytes(), &mut text);
        self.push(&text);
    }

    /// Whether this one of the generations is a group's, which must not move before the epochs.
    #[must_use]
    pub fn is_group(&self, generation: &str) -> bool {
        let own = generation.get(self.space.prefix_len()..);
        own.is_some_and(|text| text.starts_with(GROUP))
    }

    /// Adds all epochs of the tenant: moving them refuses every fill that is under way.
    pub fn push_epochs(&mut self) {
        self.epochs = true;
    }

    /// Adds the scope of all tenants.
    pub fn push_all_tenants(&mut self) {
        self.all_tenants = true;
    }

    /// The tenant.
    #[must_use]
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Whether there is nothing to move, whatever other configurations there are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.generations.is_empty() && !self.all_tenants && !self.epochs
    }

    /// How many scopes there are, the one of all tenants included, and epochs not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.len() + usize::from(self.all_tenants)
    }

    /// The names of the tenant's generations.
    #[must_use]
    pub fn generations(&self) -> &[String] {
        &self.generations
    }

    /// Whether the tenant's epochs are among them.
    #[must_use]
    pub fn has_epochs(&self) -> bool {
        self.epochs
    }

    /// The names of the tenant's epochs, if they are among them, else none.
    pub fn epochs(&self) -> impl Iterator<Item = String> {
        (0..EPOCHS).filter(|_| self.epochs).map(|number| self.space.epoch(number))
    }

    /// The names of the fences, one for each of [`generations`](Self::generations).
    pub fn fences(&self) -> impl Iterator<Item = String> {
        self.generations.iter().map(|name| fence_of(&self.space, name))
    }

    /// The name of the generation of all tenants, if it is among them. It lives in a cluster slot
    /// of its own.
    #[must_use]
    pub fn all_tenants(&self) -> Option<String> {
        self.all_tenants.then(|| Space::all_tenants(&self.space.namespace))
    }
}

/// `gym:g:{4}:x` to `gym:f:{4}:x`, and `gym:a:all` to `gym:b:{gym:a:all}`.
fn fence_of(space: &Space, generation: &str) -> String {
    let at = space.namespace.len() + 1;
    if generation[at..].starts_with('a') {
        return Space::all_tenants_fence(&space.namespace);
    }
    format!("{}f{}", &generation[..at], &generation[at + 1..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::ScopeTemplate;

    fn space() -> Space {
        Space::new(&"gym".into(), "4")
    }

    #[test]
    fn a_group_brings_the_epochs_along_wherever_its_name_goes() {
        let groups = ScopeNames::groups(&space(), ["a", "b", "a"]);
        assert_eq!(groups.generations(), ["gym:g:{4}:group:a", "gym:g:{4}:group:b"]);
        assert_eq!(groups.epochs().count() as u64, EPOCHS);
        let mut scopes = ScopeNames::new(&space());
        assert!(scopes.is_empty());
        scopes.push("path:/a");
        assert!(!scopes.has_epochs() && scopes.epochs().next().is_none());
        let names = groups.generations().iter().map(String::as_str);
        assert_eq!(ScopeNames::from_generations(&space(), names), groups);
        scopes.merge(groups);
        assert!(scopes.has_epochs());
        assert_eq!(scopes.len(), 3);
        assert_eq!(ScopeNames::groups(&space(), []), ScopeNames::new(&space()));
        let mut epochs = ScopeNames::new(&space());
        epochs.push_epochs();
        assert!(!epochs.is_empty());
    }

    #[test]
    fn a_spread_space_has_the_same_scopes_and_a_slot_for_each_epoch() {
        let (plain, spread) = (space(), space().spread(true));
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
    fn a_key_is_read_out_of_its_entrys_name_and_no_other() {
        let (plain, spread) = (space(), space().spread(true));
        assert_eq!(plain.key_of("gym:e:{4}:GET /users 1"), Some("GET /users 1"));
        assert_eq!(spread.key_of("gym:e:{4:17}:GET /users 1"), Some("GET /users 1"));
        assert_eq!(spread.key_of("gym:e:{4:0}:"), Some(""));
        for foreign in ["gym:e:{4:17}:GET /", "gym:e:{5}:GET /", "gym:l:{4}:GET /", "gym:e:{4}", ""]
        {
            assert_eq!(plain.key_of(foreign), None, "{foreign}");
        }
        for foreign in [
            "gym:e:{4}:GET /",
            "gym:e:{4:}:GET /",
            "gym:e:{4:64}:GET /",
            "gym:e:{4:017}:GET /",
            "gym:e:{4:07}:GET /",
            "gym:e:{4:+7}:GET /",
            "gym:e:{45:7}:GET /",
            "gym:g:{4:7}:!7",
        ] {
            assert_eq!(spread.key_of(foreign), None, "{foreign}");
        }
        assert_eq!(plain.entries_glob(), "gym:e:{4}:");
        assert_eq!(spread.entries_glob(), "gym:e:{4:*}:");
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

        #[test]
        fn no_group_has_the_name_of_another_or_of_a_declared_scope(a: String, b: String) {
            let name = |group: &str| ScopeNames::groups(&space(), [group]).generations()[0].clone();
            prop_assert_eq!(name(&a) == name(&b), a == b);
            let text = &name(&a)[space().prefix('g').len()..];
            prop_assert!(!text.starts_with('!') && text != "tenant");
            let declared = [
                ScopeTemplate::path(&a),
                ScopeTemplate::subtree(&a),
                ScopeTemplate::pattern(&a),
                ScopeTemplate::tag(&a),
                ScopeTemplate::tag(text),
            ];
            for template in declared.into_iter().flatten() {
                let mut bound = String::new();
                if template.bind_any(|_| None, &mut bound).is_ok() {
                    prop_assert_ne!(&*bound, text);
                }
            }
        }
    }
}
