//! The cache's admin pages, for whoever has the token.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tower_response_cache::{AdminUser, Cache};

/// `app` with the pages under `/admin`, if there is a token to protect them with.
pub(crate) fn mount(app: Router, cache: &Cache, token: Option<String>) -> Router {
    let Some(token) = token else { return app };
    let authentication = from_fn_with_state(Arc::<str>::from(token), authenticate);
    app.nest("/admin", cache.admin_router().layer(authentication))
}

/// Lets those pass who know the token, as `Bearer` or as the password of `Basic`, which browsers ask
/// for; the name that comes with it is for the log.
async fn authenticate(State(token): State<Arc<str>>, mut request: Request, next: Next) -> Response {
    match credentials(request.headers()) {
        // Digests are compared in constant time.
        Some((user, given)) if blake3::hash(&given) == blake3::hash(token.as_bytes()) => {
            request.extensions_mut().insert(AdminUser(user));
            next.run(request).await
        }
        _ => {
            let ask = [(header::WWW_AUTHENTICATE, "Basic realm=\"cache\", charset=\"UTF-8\"")];
            (StatusCode::UNAUTHORIZED, ask, "the admin pages need a token\n").into_response()
        }
    }
}

/// Who says to be there, and the token that goes with it.
fn credentials(headers: &HeaderMap) -> Option<(String, Vec<u8>)> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(("token".to_owned(), rest.as_bytes().to_vec()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = STANDARD.decode(rest.trim()).ok()?;
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some((String::from_utf8_lossy(&pair[..colon]).into_owned(), pair[colon + 1..].to_vec()))
}
