//! The pages without a browser: their links, their words, and that what is stored can't become markup.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::fixture::{app, escaped, get, of_tenant, operator, send};
use crate::support::Backend;

const MARKUP: &str = "<script>alert(1)</script>\"'&";

#[tokio::test]
async fn what_comes_from_outside_stays_text() {
    let app = app(Backend::memory().store);
    let admin = operator(&app);
    let target = format!("/users?role={}", escaped(MARKUP));
    app.get(MARKUP, &target).await;
    app.cache.settled().await;
    let tenant = escaped(MARKUP);
    for path in [
        format!("/key?tenant={tenant}&target={}&body=true", escaped(&target)),
        format!("/key?tenant={tenant}&target={tenant}"),
        format!("/key?tenant={tenant}&entry=GET%20{tenant}"),
        format!("/keys?tenant={tenant}"),
        format!("/keys?tenant={tenant}&glob={tenant}"),
        format!("/invalidate?tenant={tenant}&kind=group&value={tenant}"),
        format!("/invalidate?tenant={tenant}&kind=path&value={tenant}"),
        format!("/invalidate?tenant={tenant}&kind={tenant}"),
        format!("/key?{tenant}={tenant}"),
    ] {
        let answer = get(&admin, &path).await;
        assert!(answer.text.starts_with("<!doctype html>"), "{answer:?}");
        assert!(!answer.text.contains("<script>alert"), "{path}: {}", answer.text);
    }
    assert!(!get(&of_tenant(&app, MARKUP), "/").await.text.contains("<script>alert"));
}

#[tokio::test]
async fn the_policy_allows_the_page_its_own_script_and_nothing_else() {
    let app = app(Backend::memory().store);
    let (one, other) = (get(&operator(&app), "/").await, get(&operator(&app), "/").await);
    let nonce = |answer: &crate::fixture::Answer| {
        let policy = answer.headers["content-security-policy"].to_str().unwrap().to_owned();
        let (_, rest) = policy.split_once("script-src 'nonce-").expect("a nonce");
        let nonce = rest.split('\'').next().unwrap().to_owned();
        assert!(answer.text.contains(&format!("<script nonce=\"{nonce}\">")));
        assert!(answer.text.contains(&format!("<style nonce=\"{nonce}\">")));
        assert_eq!(answer.text.matches("<script").count(), 1);
        nonce
    };
    assert_ne!(nonce(&one), nonce(&other));
    for word in [" style=\"", "http://", "https://", " src=", "onclick", "javascript:"] {
        assert!(!one.text.contains(word), "{word}");
    }
}

#[tokio::test]
async fn links_lead_where_the_router_is_mounted() {
    let app = app(Backend::memory().store);
    for (mount, page, link) in [
        ("/admin", "/admin", "action=\"./admin/key\""),
        ("/a/b", "/a/b", "action=\"./b/key\""),
        ("/admin", "/admin/overview", "action=\"./key\""),
        ("/admin", "/admin/keys?tenant=4", "href=\"overview\""),
    ] {
        let router = Router::new().nest(mount, operator(&app));
        let answer = send(&router, Request::get(page).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{mount}");
        assert!(answer.text.contains(link), "{mount}: {}", answer.text);
    }
    let root = get(&operator(&app), "/").await;
    assert!(root.text.contains("action=\"./key\""));
}

#[tokio::test]
async fn mistakes_are_said_in_words() {
    let app = app(Backend::memory().store);
    let admin = operator(&app);
    for (path, status, words) in [
        ("/key?tenant=4", 400, "say what to look up"),
        ("/key?target=/users", 400, "say whose keys are meant"),
        ("/key?tenant=4&target=/nothing", 404, "compare it with the list of routes"),
        ("/invalidate?tenant=4&kind=path&value=/nothing", 422, "no cached route, rule or set"),
        ("/invalidate?tenant=4&kind=path", 400, "write what is to be invalidated"),
        ("/invalidate?tenant=4&kind=subtree&value=/users/{id}&with=id", 400, "id=42"),
        ("/keys?tenant=4&glob=%5B", 400, "the pattern is malformed"),
        ("/keys?tenant=4", 200, "None."),
    ] {
        let answer = get(&admin, path).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.text.contains(words), "{path}: {}", answer.text);
    }
}
