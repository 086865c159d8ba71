//! The names of what one write moves.

use super::encode::encode;
use super::fingerprint::Fingerprint;
use super::space::{EPOCHS, Space};

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
        let everybody = Space::all_tenants(space.namespace());
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
        self.all_tenants.then(|| Space::all_tenants(self.space.namespace()))
    }
}

/// `gym:g:{4}:x` to `gym:f:{4}:x`, and `gym:a:all` to `gym:b:{gym:a:all}`.
pub(super) fn fence_of(space: &Space, generation: &str) -> String {
    let at = space.namespace().len() + 1;
    if generation[at..].starts_with('a') {
        return Space::all_tenants_fence(space.namespace());
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

    proptest! {
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
