//! Where a request's tenant, or its user, is read from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use http::header::{HOST, HeaderName};
use http::request::Parts;

use super::params::Params;

/// Where the tenant of a request is read from.
///
/// Choose a source that the request has *proved*: an extension that an authentication layer left
/// behind, or a header that a trusted proxy sets. Whoever may choose the tenant may read, and with
/// a mutating route invalidate, what that tenant has cached.
///
/// ```
/// use tower_response_cache::Tenant;
///
/// #[derive(Clone)]
/// struct Session { gym: u32 }
///
/// let from_header = Tenant::header("x-gym-id");
/// let from_path = Tenant::path("gym");
/// let from_host = Tenant::subdomain_of("example.com");
/// let from_auth = Tenant::extension(|session: &Session| session.gym.to_string());
/// let from_all = Tenant::with(|parts| parts.uri.host().map(str::to_owned));
/// ```
#[derive(Clone, Debug)]
pub struct Tenant(Source);

/// Where the identity of a request's user is read from, for routes that are cached
/// [per user](crate::Route::per_user).
///
/// It has the same sources as [`Tenant`], and the same warning.
///
/// ```
/// use tower_response_cache::{Identity, Route};
///
/// let route = Route::get("/me").per_user(Identity::header("x-user-id"));
/// ```
#[derive(Clone, Debug)]
pub struct Identity(Source);

macro_rules! sources {
    ($of:ident, $what:literal) => {
        impl $of {
            #[doc = concat!("The value of a request header, which must occur once, as the ", $what, ".")]
            pub fn header(name: &str) -> Self {
                Self(Source::Header(name.parse().map_err(|_| name.to_owned())))
            }

            #[doc = concat!("A parameter of the route's path, percent-decoded, as the ", $what, ".")]
            pub fn path(parameter: &str) -> Self {
                Self(Source::Parameter(parameter.to_owned()))
            }

            #[doc = concat!("The one label before `.domain` in the request's host as the ", $what, ".")]
            pub fn subdomain_of(domain: &str) -> Self {
                Self(Source::Subdomain(domain.trim_start_matches('.').to_ascii_lowercase()))
            }

            #[doc = concat!("What `read` makes of the request extension of type `T` as the ", $what, ".")]
            pub fn extension<T: Send + Sync + 'static>(
                read: impl Fn(&T) -> String + Send + Sync + 'static,
            ) -> Self {
                Self::with(move |parts| parts.extensions.get::<T>().map(&read))
            }

            #[doc = concat!("What `read` makes of the request's head as the ", $what, "; `None` if it has none.")]
            pub fn with(read: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
                Self(Source::With(Arc::new(read)))
            }

            pub(crate) fn source(&self) -> &Source {
                &self.0
            }
        }
    };
}

sources!(Tenant, "tenant");
sources!(Identity, "user's identity");

type Read = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

#[derive(Clone)]
pub(crate) enum Source {
    /// The name, or the text that is none.
    Header(Result<HeaderName, String>),
    Parameter(String),
    Subdomain(String),
    With(Read),
}

/// Why a source gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The request does not have it.
    Missing,
    /// It has it twice, or in a form that is not text.
    Malformed,
}

impl Source {
    /// Whether it is this request field.
    pub(super) fn is(&self, field: &HeaderName) -> bool {
        matches!(self, Self::Header(Ok(name)) if name == field)
    }

    pub(crate) fn read<'a>(
        &self,
        parts: &'a Parts,
        params: &Params<'a>,
    ) -> Result<Cow<'a, str>, Unreadable> {
        match self {
            Self::Header(Err(_)) => Err(Unreadable::Missing),
            Self::Header(Ok(name)) => {
                let mut lines = parts.headers.get_all(name).iter();
                let value = lines.next().ok_or(Unreadable::Missing)?;
                if lines.next().is_some() {
                    return Err(Unreadable::Malformed);
                }
                let text = std::str::from_utf8(value.as_bytes());
                text.map(Cow::Borrowed).map_err(|_| Unreadable::Malformed)
            }
            Self::Parameter(name) => {
                let raw = params.raw(name).ok_or(Unreadable::Missing)?;
                percent_encoding::percent_decode_str(raw)
                    .decode_utf8()
                    .map_err(|_| Unreadable::Malformed)
            }
            Self::Subdomain(domain) => subdomain(parts, domain).map(Cow::Owned),
            Self::With(read) => read(parts).map(Cow::Owned).ok_or(Unreadable::Missing),
        }
    }
}

/// The label before `.domain` of the host, in lower case.
fn subdomain(parts: &Parts, domain: &str) -> Result<String, Unreadable> {
    let mut lines = parts.headers.get_all(HOST).iter();
    let header = match lines.next().map(http::HeaderValue::to_str).transpose() {
        Ok(header) => header.map(without_port),
        Err(_) => return Err(Unreadable::Malformed),
    };
    // A target in absolute form, or HTTP/2's `:authority`, takes precedence over Host (RFC 9110,
    // section 7.2); a Host that says another name is an attempt to be two tenants at once.
    let host = match (parts.uri.host(), header) {
        (Some(uri), Some(header)) if !uri.eq_ignore_ascii_case(header) => {
            return Err(Unreadable::Malformed);
        }
        (uri, header) => uri.or(header).ok_or(Unreadable::Missing)?.to_ascii_lowercase(),
    };
    if lines.next().is_some() {
        return Err(Unreadable::Malformed);
    }
    let label = host
        .strip_suffix(domain)
        .and_then(|rest| rest.strip_suffix('.'))
        .ok_or(Unreadable::Missing)?;
    if label.is_empty() || label.contains('.') {
        return Err(Unreadable::Malformed);
    }
    Ok(label.to_owned())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(Ok(name)) => write!(f, "header {name}"),
            Self::Header(Err(text)) => write!(f, "header {text:?} (malformed)"),
            Self::Parameter(name) => write!(f, "path parameter {{{name}}}"),
            Self::Subdomain(domain) => write!(f, "subdomain of {domain}"),
            Self::With(_) => f.write_str("function of the request"),
        }
    }
}
