//! `caching_proxy` between an origin whose bytes the test decides and a client that sees each byte
//! of the answer.
//!
//! Most tests run four times: in both attitudes, on both stores.

#[macro_use]
mod case;
mod client;
mod origin;

mod arguments;
mod broken;
mod content;
mod credentials;
mod encodings;
mod fields;
mod freshness;
mod groups;
mod head_and_range;
pub(crate) mod http_md;
mod invalidation;
mod passing;
mod poisoning;
mod requests;
mod stale;
mod storing;
mod targeted;
mod validation;
mod vary;
