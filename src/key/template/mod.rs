//! Templates that an application configures: routes, key texts, scopes.
//!
//! All of them write a parameter as `{name}` and a brace as `{{` or `}}`, as axum does.

mod captures;
mod error;
mod key_text;
mod language;
mod lex;
mod path;
mod reach;
mod scope;
mod scope_bind;
mod scope_glob;
mod scope_match;

pub use self::captures::{Captures, MAX_PARAMS};
pub use self::error::{TemplateError, Unbound};
pub use self::key_text::{KeyTemplate, TextTemplate};
pub use self::path::{PathTemplate, Segment};
pub use self::reach::{Binding, Reach};
pub use self::scope::{ScopeKind, ScopeTemplate};

#[cfg(test)]
mod tests;
