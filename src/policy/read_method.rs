//! The methods whose responses can be cached.

use std::fmt;

use http::Method;

/// A method that reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMethod {
    /// HEAD too.
    Get,
    /// RFC 10008.
    Query,
    /// Only by the word of a route: HTTP knows nothing of a POST that changes nothing.
    Post,
}

impl ReadMethod {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Get, Self::Query, Self::Post];

    /// The method that a route declares, if it is one of these.
    pub(crate) fn of_route(method: &Method) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == method.as_str())
    }

    /// The method on whose routes a request may be.
    pub(crate) fn of_request(method: &Method) -> Option<Self> {
        if method == Method::HEAD { Some(Self::Get) } else { Self::of_route(method) }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Query => "QUERY",
            Self::Post => "POST",
        }
    }

    /// Whether the request's content says what is asked for, so that it is in the key.
    pub(crate) fn has_content(self) -> bool {
        !matches!(self, Self::Get)
    }
}

impl fmt::Display for ReadMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
