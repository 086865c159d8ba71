//! How a request on a cached route was answered.

/// Each request on a cached route that gets an answer gets it in one of these ways. Its name, in
/// lower case, is the label `outcome` of metrics and the field `outcome` of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answered {
    /// From the store, fresh.
    Hit,
    /// From the store, stale.
    Stale,
    /// From the memory of this process, while the store could not be asked.
    Recalled,
    /// By the run of another request.
    Collapsed,
    /// With what was stored, after the handler has said that it is still good.
    Revalidated,
    /// By the handler, since nothing was stored that could be used.
    Miss,
    /// By the handler, past the cache.
    Bypass,
    /// By the layer itself, which had nothing to give.
    Refused,
    /// With an error of the inner service.
    Error,
}

impl Answered {
    pub(crate) const ALL: [Self; 9] = [
        Self::Hit,
        Self::Stale,
        Self::Recalled,
        Self::Collapsed,
        Self::Revalidated,
        Self::Miss,
        Self::Bypass,
        Self::Refused,
        Self::Error,
    ];

    /// Whether no handler had to run for it, then or for somebody else.
    #[cfg(feature = "admin")]
    pub(crate) fn is_without_handler(self) -> bool {
        matches!(self, Self::Hit | Self::Stale | Self::Recalled)
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Recalled => "recalled",
            Self::Collapsed => "collapsed",
            Self::Revalidated => "revalidated",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}
