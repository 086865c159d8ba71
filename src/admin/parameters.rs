//! The parameters of a query, each known and each once.

use super::problem::Problem;

/// A query's parameters.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Those of `pairs`, none of which may be another than these, and only those of `repeated` may
    /// come again: of two values for one name, two readers may take different ones.
    pub(super) fn new(
        pairs: Vec<(String, String)>,
        once: &[&str],
        repeated: &[&str],
    ) -> Result<Self, Problem> {
        for (at, (name, _)) in pairs.iter().enumerate() {
            let name = name.as_str();
            if once.contains(&name) {
                if pairs[..at].iter().any(|(before, _)| before == name) {
                    return Err(Problem::bad(format!("`{name}` is there twice")));
                }
            } else if !repeated.contains(&name) {
                let known = [once, repeated].concat().join(", ");
                return Err(Problem::bad(format!("there is no parameter {name:?}, but: {known}")));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter; an empty one counts as missing, since forms send what is not filled
    /// in.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether a parameter says yes.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1" | "on") => Ok(true),
            Some(_) => Err(Problem::bad(format!("`{name}` is true or false"))),
        }
    }
}
