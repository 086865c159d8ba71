//! The keys that a tenant has.

use serde::Serialize;

use super::access::{Access, tenant_of};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::flow;
use crate::key::Glob;
use crate::store::StoredKey;

pub(super) const PARAMETERS: [&str; 5] = ["tenant", "tenantless", "glob", "cursor", "limit"];

/// How many keys a page has, unless the request says otherwise, and how many at most.
const LIMIT: usize = 100;
const MOST: usize = 1000;

/// One page.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    pub(super) tenant: Option<String>,
    pub(super) glob: String,
    pub(super) keys: Vec<Key>,
    /// The `cursor` of the next page; `null` if this is the last one.
    pub(super) next: Option<String>,
}

/// A key, in the order in which its name has them.
#[derive(Debug, Serialize)]
pub(super) struct Key {
    /// What `entry` of the look-up takes.
    pub(super) entry: String,
    /// The method, and what else tells entries of one text apart.
    pub(super) variant: String,
    /// The text that patterns match.
    pub(super) text: String,
}

pub(super) async fn list(access: &Access, parameters: &Parameters) -> Result<Listed, Problem> {
    let part = access.part(parameters.get("tenant"), parameters.flag("tenantless")?)?;
    let glob = parameters.get("glob").unwrap_or("*");
    let glob = Glob::new(glob)
        .map_err(|error| Problem::bad(format!("the pattern is malformed: {error}")))?;
    let limit = match parameters.get("limit").map(str::parse) {
        None => LIMIT,
        Some(Ok(limit @ 1..=MOST)) => limit,
        Some(_) => return Err(Problem::bad(format!("`limit` is 1 to {MOST}"))),
    };
    let shared = access.shared();
    let page = flow::list(shared, part.space(), &glob, parameters.get("cursor"), limit).await;
    let page = page.map_err(|error| Problem::of_store(&error))?;
    Ok(Listed {
        tenant: tenant_of(part.space()),
        glob: glob.as_str().to_owned(),
        keys: page.keys.into_iter().map(Key::of).collect(),
        next: page.next,
    })
}

impl Key {
    fn of(StoredKey { variant, text }: StoredKey) -> Self {
        Self { entry: format!("{variant} {text}"), variant, text }
    }
}
