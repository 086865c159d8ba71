//! What is stored under one key.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use super::{Head, Id, Millis, Prepared};

/// A stored response or value, with all that decides whether and how it may be served.
///
/// All moments are of the store's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The run, the stamps, and until when the entry is fresh.
    pub head: Head,
    /// The digest of the entry's own name ([`crate::key::Names::entry_digest`]): what this is the
    /// answer to. A reader compares it with what it asked for.
    pub name: u64,
    /// When the response was generated.
    pub stored_at: Millis,
    /// How many seconds old the response was already when it was stored (its `Age`, RFC 9111
    /// 5.1), or 0.
    pub age: u32,
    /// Until when it may be served stale while a refresh runs (RFC 5861 3).
    pub stale_until: Millis,
    /// Until when it may be served if the handler fails (RFC 5861 4).
    pub error_until: Millis,
    /// How long the handler ran, in microseconds, at most [`u32::MAX`].
    pub cost: u32,
    /// The tags that the response itself named, each with its generation at the fill.
    pub tags: Vec<(String, Id)>,
    /// Digest of what the request said in the fields that responses of this key vary by, if they
    /// do: a reader compares it with what its own request says.
    pub selection: Option<[u8; 16]>,
    /// Whether the body is that of a response, and of which.
    pub content: Content,
    /// The body of the response, or the encoded value.
    pub body: Bytes,
    /// What hits have made of it while it is kept in this process: nothing yet, of a new one.
    pub prepared: Prepared,
}

impl Entry {
    /// An entry that is new as of the store's first moment, never stale, and in no group; the other
    /// fields can be set after.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use tower_response_cache::entry::{Content, Entry, Head, RunId};
    ///
    /// let head = Head { run: RunId([1; 8]), scopes: [2; 8], stamps: Box::default(), fresh_until: 60_000 };
    /// let mut entry = Entry::new(head, 7, Content::Value, Bytes::from_static(b"{}"));
    /// entry.stored_at = 30_000;
    /// assert_eq!(Entry::decode(entry.encode()), Ok(entry));
    /// ```
    #[must_use]
    pub fn new(head: Head, name: u64, content: Content, body: Bytes) -> Self {
        Self {
            head,
            name,
            stored_at: 0,
            age: 0,
            stale_until: 0,
            error_until: 0,
            cost: 0,
            tags: Vec::new(),
            selection: None,
            content,
            body,
            prepared: Prepared::default(),
        }
    }

    /// What it takes in memory beside the bytes that it was decoded from, roughly.
    pub(crate) fn overhead(&self) -> usize {
        // What a map of fields has for each, and a hash table's room to spare.
        const FIELD: usize = 144;
        let content = match &self.content {
            Content::Response { headers, .. } => (headers.len() + Self::ROOM) * FIELD,
            Content::Value => 0,
            Content::Varies(names) => names.len() * size_of::<HeaderName>(),
        };
        let tags = self.tags.iter().map(|(tag, _)| tag.len() + size_of::<(String, Id)>());
        size_of::<Self>() + self.head.stamps.len() * Id::LEN + content + tags.sum::<usize>()
    }

    /// How many fields a decoded response has room for, beside its own.
    pub(crate) const ROOM: usize = 3;
}

/// What the body of an [`Entry`] belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// An HTTP response.
    Response {
        /// Its status.
        status: StatusCode,
        /// Its header fields, without the hop-by-hop ones.
        headers: HeaderMap,
    },
    /// A value of the typed data cache.
    Value,
    /// No content: it stands where a response would, and says by which request fields the responses
    /// of the key vary (RFC 9111 4.1). They are stored beside it, one for each selection.
    Varies(Vec<HeaderName>),
}

impl Content {
    /// The status of a response; 200 for what is none.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Response { status, .. } => *status,
            Self::Value | Self::Varies(_) => StatusCode::OK,
        }
    }
}
