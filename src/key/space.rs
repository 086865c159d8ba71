//! A tenant within a namespace, and what all of its names begin with.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::encode::{encode, is_unreserved};

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

    pub(super) fn prefix_len(&self) -> usize {
        self.namespace.len() + self.tenant.len() + ":g:{}:".len()
    }

    /// Which part of a spread space the epoch with this number is in.
    pub(super) fn part(&self, number: u64) -> Option<u64> {
        self.spread.then_some(number)
    }

    pub(super) fn push(&self, letter: char, part: Option<u64>, buffer: &mut String) {
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
pub(super) fn push_number(number: u64, buffer: &mut String) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_out_of_its_entrys_name_and_no_other() {
        let plain = Space::new(&"gym".into(), "4");
        let spread = plain.clone().spread(true);
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
}
