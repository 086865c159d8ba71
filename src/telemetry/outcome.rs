//! Why a request on a configured route was not looked up.

use std::fmt;

/// Why a request went past the cache. Its name, in lower case with hyphens (`no-tenant`), stands in
/// the `detail` of Cache-Status beside `fwd=bypass`.
///
/// A `detail` beside `fwd=miss` says why the response was not stored: see
/// [`Uncacheable`](crate::protocol::Uncacheable).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bypass {
    /// The request has no tenant.
    NoTenant,
    /// The tenant is given twice, is too long, or holds control characters.
    BadTenant,
    /// The request carries Authorization, and the route doesn't say what of it is in the key.
    Authorization,
    /// The request carries Cookie, and the route doesn't say what of it is in the key.
    Cookie,
    /// The route is cached per user, and the request has no identity.
    NoIdentity,
    /// The identity is given twice, is too long, or holds control characters.
    BadIdentity,
    /// The request asks for a range.
    Range,
    /// The request is to be done only if the resource is in a certain state.
    Precondition,
    /// The request asks that its response is not stored (RFC 9111, section 5.2.1.5).
    RequestNoStore,
    /// The request has content, which is no part of a key.
    Content,
    /// The request's content is over the limit, so that it can't be in the key.
    RequestTooLarge,
    /// The request's content did not come in time.
    RequestTooSlow,
    /// The request's content failed before its end.
    RequestBroken,
    /// The request's content can't be read and handed on: its type has no
    /// [`replay`](crate::CacheLayer::replay).
    BodyType,
    /// The request says two things of its host or of where its content ends, or its path is of one
    /// route as it is spelled and of another as it is meant.
    Ambiguous,
    /// The request asks to be taken for one of another method (`X-HTTP-Method-Override`).
    MethodOverride,
    /// The request wants to change the protocol.
    Upgrade,
    /// The path has dot segments.
    DotSegment,
    /// Path or query has a `%` without two hexadecimal digits.
    MalformedEscape,
    /// The query has more parameters than are allowed.
    TooManyParameters,
    /// Path, query, headers or body make a key over the limit.
    KeyTooLong,
    /// The route says that the response to this request has no lifetime.
    NoTtl,
    /// A write's invalidation has not been confirmed yet.
    Dirty,
    /// A write that fences the key is under way.
    Fenced,
    /// The store did not answer.
    Store,
}

impl Bypass {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoTenant => "no-tenant",
            Self::BadTenant => "bad-tenant",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::NoIdentity => "no-identity",
            Self::BadIdentity => "bad-identity",
            Self::Range => "range",
            Self::Precondition => "precondition",
            Self::RequestNoStore => "request-no-store",
            Self::Content => "content",
            Self::RequestTooLarge => "request-too-large",
            Self::RequestTooSlow => "request-too-slow",
            Self::RequestBroken => "request-broken",
            Self::BodyType => "body-type",
            Self::Ambiguous => "ambiguous",
            Self::MethodOverride => "method-override",
            Self::Upgrade => "upgrade",
            Self::DotSegment => "dot-segment",
            Self::MalformedEscape => "malformed-escape",
            Self::TooManyParameters => "too-many-parameters",
            Self::KeyTooLong => "key-too-long",
            Self::NoTtl => "no-ttl",
            Self::Dirty => "dirty",
            Self::Fenced => "fenced",
            Self::Store => "store",
        }
    }
}

/// The reason in words, as the second half of a sentence.
impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTenant => "the request has no tenant",
            Self::BadTenant => {
                "its tenant is given twice, is empty or too long, or holds control characters"
            }
            Self::Authorization => {
                "it carries Authorization, and the route does not say what of it is in the key: \
                 `per_user`, `same_for_all_users` or `ignore_authorization` would"
            }
            Self::Cookie => {
                "it carries Cookie, and the route does not say what of it is in the key: \
                 `per_user`, `same_for_all_users` or `ignore_cookies` would"
            }
            Self::NoIdentity => "the route is cached per user, and the request has no identity",
            Self::BadIdentity => {
                "its identity is given twice, is empty or too long, or holds control characters"
            }
            Self::Range => "it asks for a range",
            Self::Precondition => "it is to be done only if the resource is in a certain state",
            Self::RequestNoStore => "it asks that its response is not stored",
            Self::Content => "it has content, which is no part of a key",
            Self::RequestTooLarge => "its content is over the limit, `max_request_body`",
            Self::RequestTooSlow => "its content did not come within `request_body_timeout`",
            Self::RequestBroken => "its content failed before its end",
            Self::BodyType => "its content is of a type that has no `replay` in the layer",
            Self::Ambiguous => {
                "it says two things of its host or of where its content ends, or its path is of one \
                 route as it is spelled and of another as it is meant"
            }
            Self::MethodOverride => "it asks to be taken for one of another method",
            Self::Upgrade => "it wants to change the protocol",
            Self::DotSegment => "its path has dot segments",
            Self::MalformedEscape => {
                "its path or query has a `%` without two hexadecimal digits, or its path spells a \
                 literal of the route with escapes"
            }
            Self::TooManyParameters => "its query has more parameters than `max_parameters`",
            Self::KeyTooLong => "its key would be longer than `max_key`",
            Self::NoTtl => "the route's `ttl_with` gives the response to it no lifetime",
            Self::Dirty => "an invalidation of what it reads has not been confirmed yet",
            Self::Fenced => "a write that fences its key is under way",
            Self::Store => "the store is taken to be away, or did not answer",
        })
    }
}
