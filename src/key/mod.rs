//! From tenant, path, query and variant to one injective name.

mod byte_set;
mod encode;
mod fingerprint;
mod glob;
mod name;
mod path;
mod query;
mod scope_names;
mod space;
mod template;
mod tenant;

pub use self::encode::{Malformed, encode, normalize_value, normalize_value_lossy};
pub(crate) use self::encode::{normal_value, normal_value_lossy};
pub use self::fingerprint::{Configured, Fingerprint};
pub use self::glob::{Glob, GlobError};
pub use self::name::Names;
pub use self::path::{PathError, normalize_path, normalize_path_lossy};
pub use self::query::{Keep, QueryError, QueryLimits, kept_pairs, normalize_query, template_value};
pub use self::scope_names::ScopeNames;
pub(crate) use self::space::TENANT;
pub use self::space::{EPOCHS, Space};
pub use self::template::{
    Binding, Captures, KeyTemplate, MAX_PARAMS, PathTemplate, Reach, ScopeKind, ScopeTemplate,
    Segment, TemplateError, TextTemplate, Unbound,
};
pub use self::tenant::{TenantError, TenantId};
