//! The templates and what they are filled with.

use askama::Template;

use super::live::Live;
use crate::admin::keys::Listed;
use crate::admin::lookup::Found;
use crate::admin::order::KINDS;
use crate::admin::problem::Problem;
use crate::admin::receipt::Receipt;
use crate::admin::routes::Configuration;

/// What every page has.
pub(super) struct Frame {
    /// What links begin with.
    pub(super) base: String,
    pub(super) nonce: String,
    /// The tenant that the pages are confined to; empty for what belongs to none.
    pub(super) tenant: Option<String>,
}

#[derive(Template)]
#[template(path = "index.html")]
pub(super) struct Index {
    pub(super) frame: Frame,
    pub(super) live: Live,
    pub(super) configuration: Configuration,
}

impl Index {
    fn kinds() -> [(&'static str, &'static str); 8] {
        KINDS
    }
}

#[derive(Template)]
#[template(path = "live.html")]
pub(super) struct LiveParts {
    pub(super) live: Live,
}

#[derive(Template)]
#[template(path = "key.html")]
pub(super) struct KeyPage {
    pub(super) frame: Frame,
    pub(super) found: Found,
}

#[derive(Template)]
#[template(path = "keys.html")]
pub(super) struct KeyList {
    pub(super) frame: Frame,
    pub(super) keys: Listed,
}

#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct Confirm {
    pub(super) frame: Frame,
    pub(super) what: String,
    pub(super) tenant: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) soft: bool,
    pub(super) deletes: bool,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) token: String,
}

#[derive(Template)]
#[template(path = "receipt.html")]
pub(super) struct ReceiptPage {
    pub(super) frame: Frame,
    pub(super) receipt: Receipt,
}

#[derive(Template)]
#[template(path = "problem.html")]
pub(super) struct ProblemPage {
    pub(super) frame: Frame,
    pub(super) problem: Problem,
}
