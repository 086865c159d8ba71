//! What else a write makes invalid, beside its own target (RFC 9111 4.4).

use http::header::{CONTENT_LOCATION, HOST, HeaderMap, LOCATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, StatusCode, Uri};

/// Whether the answer to a request makes what is stored for its target invalid: one to an unsafe
/// method, or to one that is unknown (RFC 9111 4.4, RFC 9110 9.2.1), with a status that is no error
/// (2xx and 3xx).
#[must_use]
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !is_safe(method) && (status.is_success() || status.is_redirection())
}

/// Whether the method asks for no change (RFC 9110 9.2.1). QUERY is safe; of other methods that
/// are not known nobody can say.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
        || method.as_str() == "QUERY"
}

/// The further paths, with their queries, whose stored responses a response that
/// [`invalidates`] names in `Location` and `Content-Location` (RFC 9111 4.4); each once, and
/// without the target's own.
///
/// References are resolved against the target (RFC 3986 5.2). What has another origin is left out,
/// or a response could empty the cache of somebody else. The target's host is that of `target`, or
/// of the request's `Host`; a server that does not know by which scheme it was reached (`target`
/// has none) takes `http` and `https` for the same. Fragments count not.
#[must_use]
pub fn also_invalid(
    target: &Uri,
    request_headers: &HeaderMap,
    response_headers: &HeaderMap,
) -> Vec<PathAndQuery> {
    let host = || request_headers.get(HOST).and_then(|h| Authority::try_from(h.as_bytes()).ok());
    let base = Base {
        scheme: target.scheme(),
        authority: target.authority().cloned().or_else(host),
        path: target.path(),
    };
    let mut named = Vec::new();
    let fields = [LOCATION, CONTENT_LOCATION];
    for line in fields.iter().flat_map(|name| response_headers.get_all(name)) {
        let Ok(reference) = str::from_utf8(line.as_bytes()) else { continue };
        let Some(found) = base.resolve(reference.trim_matches([' ', '\t'])) else { continue };
        if Some(&found) != target.path_and_query() && !named.contains(&found) {
            named.push(found);
        }
    }
    named
}

struct Base<'a> {
    scheme: Option<&'a Scheme>,
    authority: Option<Authority>,
    path: &'a str,
}

impl Base<'_> {
    /// RFC 3986 5.2.2, for references of the same origin.
    fn resolve(&self, reference: &str) -> Option<PathAndQuery> {
        let reference = reference.split('#').next().unwrap_or_default();
        let (scheme, rest) = match scheme_of(reference) {
            Some((scheme, rest)) => (Some(Scheme::try_from(scheme).ok()?), rest),
            None => (None, reference),
        };
        let (path, query) = match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let authority = Authority::try_from(&rest[..end]).ok()?;
                if !self.has_origin(scheme.as_ref(), &authority) {
                    return None;
                }
                split_query(&rest[end..])
            }
            // Of a scheme without an authority, such as `mailto:`.
            None if scheme.is_some() => return None,
            None => split_query(rest),
        };
        let has_authority = rest.starts_with("//");
        let (path, query) = match path {
            "" if has_authority => ("/".to_owned(), query),
            // Only the query differs, or nothing: then it is the target, query and all.
            "" => (self.path.to_owned(), Some(query?)),
            _ if has_authority || path.starts_with('/') => (without_dots(path), query),
            _ => {
                let directory = self.path.rfind('/').map_or("/", |last| &self.path[..=last]);
                (without_dots(&format!("{directory}{path}")), query)
            }
        };
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        PathAndQuery::try_from(format!("{path}{query}")).ok()
    }

    /// RFC 9110 4.3.1: scheme, host and port.
    fn has_origin(&self, scheme: Option<&Scheme>, authority: &Authority) -> bool {
        let Some(own) = &self.authority else { return false };
        let same_scheme = match (scheme, self.scheme) {
            (Some(scheme), Some(own)) => scheme == own,
            (Some(scheme), None) => *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS,
            (None, _) => true,
        };
        let scheme = scheme.or(self.scheme);
        let default = match scheme {
            Some(scheme) if *scheme == Scheme::HTTP => Some(80),
            Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
            _ => None,
        };
        let port = |authority: &Authority| authority.port_u16().or(default);
        same_scheme
            && authority.host().eq_ignore_ascii_case(own.host())
            && port(authority) == port(own)
    }
}

/// RFC 3986 3.1.
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let continues = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let starts = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (starts && scheme.bytes().all(continues)).then_some((scheme, rest))
}

fn split_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)))
}

/// RFC 3986 5.2.4, for a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests;
