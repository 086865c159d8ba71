//! The key of a value, and its tags.

use std::fmt::Write as _;

use super::error::{DataError, DataErrorKind};
use crate::key::{KeyTemplate, Names, ScopeTemplate, Space, encode};
use crate::policy::Rules;

/// The key of a value within its tenant: a text, or a template and the values of its parameters.
///
/// What comes from a request belongs into a parameter: there it is data, and `*`, `:` or `/` in it match
/// only themselves. Keys of values and of responses never meet, whatever their texts.
///
/// A write that invalidates a pattern reaches the values whose text matches it, so `users:*` reaches
/// `users:42`. A text that begins with `/` counts as a path too, and is reached by paths and
/// subtrees. Whatever the text, [tags](Self::tag) reach it. A pattern or tag that is for values alone
/// needs [`CacheBuilder::with_values`](crate::CacheBuilder::with_values).
///
/// ```
/// use tower_response_cache::DataKey;
///
/// let hours = DataKey::from("hours");
/// let stats = DataKey::template("stats:{user}:{period}")
///     .with("user", "42")
///     .with("period", "week")
///     .tag("user:{user}");
/// ```
///
/// # What does not compile
///
/// A key that is no text, whose spelling would be left to chance:
///
/// ```compile_fail,E0277
/// let key = tower_response_cache::DataKey::from(42);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct DataKey {
    text: String,
    is_template: bool,
    values: Vec<(String, String)>,
    tags: Vec<String>,
}

impl DataKey {
    /// A key with parameters, written as in [`Route::key`](crate::Route::key).
    pub fn template(template: impl Into<String>) -> Self {
        Self { is_template: true, ..Self::from(template.into()) }
    }

    /// Gives a parameter its value, which is any text. A value for a parameter that neither the key nor
    /// one of its tags has is an error: what it was to tell apart would share an entry.
    pub fn with(mut self, parameter: impl Into<String>, value: impl AsRef<str>) -> Self {
        let mut encoded = String::new();
        encode(value.as_ref().as_bytes(), &mut encoded);
        self.values.push((parameter.into(), encoded));
        self
    }

    /// Tags the value, so that a write can invalidate it by the tag. Parameters of the tag have the
    /// values of those of the key.
    ///
    /// Every use of a key must give it the same tags: they are part of what makes a stored value
    /// valid.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn written(&self) -> Result<String, DataError> {
        let mut text = String::with_capacity(self.text.len());
        if !self.is_template {
            escape(&self.text, &mut text);
            return Ok(text);
        }
        let wrong = |why: String| DataError::new(DataErrorKind::Key, why);
        let template = KeyTemplate::parse(&self.text).map_err(|error| wrong(error.to_string()))?;
        let KeyTemplate::Text(template) = template else {
            return Err(wrong("it is no template".to_owned()));
        };
        let value = |name: &str, out: &mut String| {
            self.value(name).map(|value| out.push_str(value)).ok_or_else(|| {
                wrong(format!("the parameter {{{name}}} has no value: add `.with({name:?}, …)`"))
            })
        };
        template.write(value, &mut text)?;
        Ok(text)
    }

    /// Fails if a value is for no parameter of the key or of a tag.
    fn has_no_value_to_spare(&self) -> Result<(), DataError> {
        let key = self.text.as_str();
        let templates = self.tags.iter().map(String::as_str).chain(self.is_template.then_some(key));
        let is_known = |name: &str| {
            let parameter = format!("{{{name}}}");
            templates.clone().any(|template| template.contains(&parameter))
        };
        match self.values.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let why = format!("neither the key nor a tag has the parameter {{{name}}}");
                Err(DataError::new(DataErrorKind::Key, why))
            }
        }
    }

    /// What the value is called in a store.
    pub(super) fn names(
        &self,
        rules: &Rules,
        (space, tenantless): (&Space, bool),
        most: usize,
    ) -> Result<Names, DataError> {
        let text = self.written()?;
        let wrong = |why: String| DataError::new(DataErrorKind::Key, why);
        if text.is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        if text.len() > most {
            return Err(wrong(format!("it is longer than {most} bytes")));
        }
        let mut tags = Vec::with_capacity(self.tags.len());
        for tag in &self.tags {
            let template = ScopeTemplate::tag(tag).map_err(|error| wrong(error.to_string()))?;
            let mut text = String::new();
            template
                .bind(|name| self.value(name), &mut text)
                .map_err(|error| wrong(format!("the tag {tag:?}: {error}")))?;
            tags.push(text);
        }
        self.has_no_value_to_spare()?;
        tags.sort_unstable();
        tags.dedup();
        let mut names = Names::new(space, "value", &text);
        rules.push_value_scopes(&mut names, tenantless, &tags);
        Ok(names)
    }
}

impl From<&str> for DataKey {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for DataKey {
    fn from(text: String) -> Self {
        Self { text, is_template: false, values: Vec::new(), tags: Vec::new() }
    }
}

impl From<&DataKey> for DataKey {
    fn from(key: &DataKey) -> Self {
        key.clone()
    }
}

/// Writes what has no meaning in a name or a pattern as it is, and all else in escapes: no two texts
/// come out alike.
fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~:/?&=,+@!$;".contains(&byte);
        if is_plain {
            out.push(char::from(byte));
        } else {
            // A `String` takes everything.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(key: &DataKey) -> String {
        key.written().unwrap()
    }

    #[test]
    fn what_is_a_value_is_data() {
        assert_eq!(written(&"hours".into()), "hours");
        assert_eq!(written(&"/users/42?a=b".into()), "/users/42?a=b");
        assert_eq!(written(&"a*b [c]\\%".into()), "a%2Ab%20%5Bc%5D%5C%25");
        let key = DataKey::template("users:{id}:x").with("id", "4*2:é");
        assert_eq!(written(&key), "users:4%2A2%3A%C3%A9:x");
        let missing = DataKey::template("users:{id}").written().unwrap_err();
        assert_eq!(missing.kind(), DataErrorKind::Key);
    }

    #[test]
    fn a_value_for_no_parameter_is_an_error() {
        let key = DataKey::template("users:{id}").with("id", "1");
        key.has_no_value_to_spare().unwrap();
        key.clone().with("role", "x").tag("role:{role}").has_no_value_to_spare().unwrap();
        for wrong in [key.with("role", "x"), DataKey::from("users:{id}").with("id", "1")] {
            let error = wrong.has_no_value_to_spare().unwrap_err();
            assert_eq!(error.kind(), DataErrorKind::Key, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_two_texts_are_one_key(one in ".{0,12}", other in ".{0,12}") {
            prop_assert_eq!(
                written(&one.as_str().into()) == written(&other.as_str().into()),
                one == other
            );
        }
    }
}
