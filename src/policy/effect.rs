//! How a rule's invalidation is carried out.

use std::time::Duration;

use crate::store::Mode;

/// When and how the targets of a rule move.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is another matter")]
pub(crate) struct Effect {
    pub(crate) when: When,
    pub(crate) mode: Mode,
    pub(crate) background: bool,
    pub(crate) must_confirm: bool,
    pub(crate) after_body: bool,
    pub(crate) fence: Option<Fence>,
    pub(crate) hold: Option<Duration>,
    /// Whether the targets stay closed for a while when nobody knows what became of the write.
    pub(crate) hold_if_lost: bool,
}

impl Effect {
    /// That of a request's own path where HTTP alone has the word: after what is no error (RFC
    /// 9111, section 4.4), and after what nobody has seen.
    pub(crate) fn of_http() -> Self {
        let when = When { client_error: false, server_error: false, lost: true };
        Self { when, ..Self::default() }
    }
}

/// After which outcomes of the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) client_error: bool,
    pub(crate) server_error: bool,
    pub(crate) lost: bool,
}

/// A scope that is closed while the handler runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) longest: Duration,
    /// Without the fence the handler must not run.
    pub(crate) required: bool,
}

impl Default for Effect {
    fn default() -> Self {
        Self {
            when: When { client_error: false, server_error: true, lost: true },
            mode: Mode::Hard,
            background: false,
            must_confirm: false,
            after_body: false,
            fence: None,
            hold: None,
            hold_if_lost: true,
        }
    }
}
