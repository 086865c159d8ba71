//! What is refused before anything is done, and what every response says.
//!
//! A browser that is logged in to the app sends its credentials with whatever another site makes it
//! send. So a request that changes something is refused
//!
//! 1. if it says that it comes from another site or origin (`Sec-Fetch-Site`, else `Origin` against
//!    `Host`);
//! 2. in the API, if its content is not JSON, which no other site may send without being allowed to,
//!    and nobody is;
//! 3. from the page's form, if the form's token is not that of the cookie that came with it.

use axum::extract::Request;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::audit;
use super::problem::Problem;
use crate::store::LeaseToken;

/// The cookie that a form's token is compared with.
const COOKIE_NAME: &str = "response-cache-admin";

/// Refuses changes that another site asks for, and says of every response that it is for this one
/// reader and not to be framed.
pub(super) async fn guard(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let mut response = if method.is_safe() || is_own(request.headers(), request.uri()) {
        next.run(request).await
    } else {
        let message = "the request comes from another site. If this page is behind a proxy, let the \
                       proxy hand on `Host` as it came.";
        let problem = Problem::new(StatusCode::FORBIDDEN, "cross-site", message);
        audit::refused(&audit::user(request.extensions()), "change", &problem);
        problem.into_response()
    };
    let headers = response.headers_mut();
    // The page has a policy with its own nonce.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ));
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`, with which a form's `Origin` would be `null`.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the content is JSON by its own word.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Problem> {
    let text = single(headers, &CONTENT_TYPE).ok().flatten().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = "send JSON, with `content-type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", message))
}

/// A new token for a form, and the cookie that is to come back with it.
pub(super) fn token() -> (String, HeaderValue) {
    let bytes = LeaseToken::random().0;
    let token = blake3::hash(&bytes).to_hex().to_string();
    // No `Secure`: the service may not know that it is behind TLS. It is no credential, and another
    // site is stopped by its origin already.
    let cookie = format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict");
    (token, HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static("")))
}

/// Whether a form's token is that of the cookie.
pub(super) fn check_token(headers: &HeaderMap, token: Option<&str>) -> Result<(), Problem> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut known = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='));
    let token = token.filter(|token| !token.is_empty());
    // Digests are compared in constant time.
    let is_same = |cookie: &str| {
        token.is_some_and(|token| blake3::hash(token.as_bytes()) == blake3::hash(cookie.as_bytes()))
    };
    if known.any(is_same) {
        return Ok(());
    }
    let message = "this confirmation is too old, or the browser keeps no cookies for this site: go \
                   back, and confirm again.";
    Err(Problem::new(StatusCode::FORBIDDEN, "bad-token", message))
}

/// The policy of the page: its own styles and script, its own origin, nothing else.
pub(super) fn page_policy(nonce: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

/// Whether a request comes from this very origin, or from no browser.
fn is_own(headers: &HeaderMap, uri: &Uri) -> bool {
    let sec_fetch_site = HeaderName::from_static("sec-fetch-site");
    match single(headers, &sec_fetch_site) {
        Err(()) => return false,
        Ok(Some(site)) => return site == "same-origin",
        // Browsers say nothing of it over plain HTTP, and say the origin.
        Ok(None) => {}
    }
    match single(headers, &ORIGIN) {
        Err(()) => false,
        Ok(None) => true,
        Ok(Some(origin)) => {
            let host = single(headers, &HOST).ok().flatten();
            let host = uri.authority().map(axum::http::uri::Authority::as_str).or(host);
            let named = origin.split_once("://");
            named.zip(host).is_some_and(|((scheme, authority), host)| {
                let port = if scheme == "https" { ":443" } else { ":80" };
                let bare =
                    |text: &str| text.strip_suffix(port).unwrap_or(text).to_ascii_lowercase();
                bare(authority) == bare(host)
            })
        }
    }
}

/// The one value of a field; an error if there are two, or it is no text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next().map(|line| line.to_str().map_err(drop)).transpose()?;
    if lines.next().is_some() { Err(()) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_is_told() {
        for (fields, expected) in [
            (&[("host", "a.example")][..], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site"), ("host", "a.example")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://a.example"), ("host", "a.example")], true),
            (&[("origin", "https://A.example:443"), ("host", "a.example")], true),
            (&[("origin", "http://a.example:3000"), ("host", "a.example:3000")], true),
            (&[("origin", "http://a.example:3001"), ("host", "a.example:3000")], false),
            (&[("origin", "https://b.example"), ("host", "a.example")], false),
            (&[("origin", "https://a.example.b"), ("host", "a.example")], false),
            (&[("origin", "null"), ("host", "a.example")], false),
            (&[("origin", "https://a.example")], false),
            (&[("origin", "https://a.example"), ("origin", "https://b"), ("host", "b")], false),
            (&[("origin", "https://b"), ("host", "a.example"), ("host", "b")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(
                is_own(&headers, &Uri::from_static("/v1/invalidate")),
                expected,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn a_token_is_that_of_the_cookie_or_of_nobody() {
        let (token, cookie) = token();
        let mut headers = HeaderMap::new();
        assert!(check_token(&headers, Some(&token)).is_err());
        assert!(check_token(&headers, Some("")).is_err());
        let sent = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        headers.insert(COOKIE, HeaderValue::try_from(format!("a=b; {sent}; c=d")).unwrap());
        assert!(check_token(&headers, Some(&token)).is_ok());
        for other in [None, Some(""), Some(&token[1..])] {
            assert!(check_token(&headers, other).is_err());
        }
        headers.insert(COOKIE, HeaderValue::from_static("response-cache-admin="));
        assert!(check_token(&headers, Some("")).is_err());
    }
}
