//! The cache protocol as a model, checked exhaustively in small numbers: see `docs/MODEL.md`.

#![allow(
    clippy::unused_self,
    reason = "a step is a method of the model, whether or not it looks at scenario and rules"
)]

mod canonical;
mod doubled;
mod explore;
mod faults;
mod flights;
mod machine;
mod near;
mod properties;
mod reads;
mod rules;
mod scenario;
mod scripts;
mod state;
mod stored;
mod story;
mod variants;
mod writes;
