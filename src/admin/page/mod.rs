//! The pages for people: rendered here, complete without a script.

mod handlers;
mod live;
mod templates;

pub(super) use self::handlers::router;
