//! Why bytes are not an entry.

use std::fmt;

/// Why a frame could not be read. To the caller every one of them is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame ends before something that it announces.
    Truncated,
    /// The bytes do not begin as a frame does: somebody else wrote them.
    Magic,
    /// A frame of another version, as during a rolling update.
    Version(u8),
    /// The checksum differs: bytes were changed, lost or added.
    Checksum,
    /// The checksum is right, yet a field holds what no encoder writes.
    Malformed,
}

impl DecodeError {
    /// A short name, as used for the labels of metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Magic => "magic",
            Self::Version(_) => "version",
            Self::Checksum => "checksum",
            Self::Malformed => "malformed",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the stored frame ends too early"),
            Self::Magic => f.write_str("the stored bytes are not a frame of this crate"),
            Self::Version(version) => write!(f, "the stored frame is of unknown version {version}"),
            Self::Checksum => f.write_str("the stored frame does not match its checksum"),
            Self::Malformed => f.write_str("the stored frame holds an impossible field"),
        }
    }
}

impl std::error::Error for DecodeError {}
