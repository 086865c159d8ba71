//! How a rule's invalidation is carried out.

/// When and how the targets of a rule move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) on_client_error: bool,
    pub(crate) background: bool,
}
