//! Changes that another site would make a logged-in browser ask for.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::fixture::{Answer, app, get, operator, send};
use crate::support::Backend;

const ORDER: &str = r#"{"tenant":"4","everything":true}"#;

async fn post(router: &Router, path: &str, fields: &[(&str, &str)], body: &str) -> Answer {
    let request = Request::post(path).header("host", "app.example");
    let request =
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    send(router, request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn changes_from_other_sites_are_refused() {
    let app = app(Backend::memory().store);
    let admin = operator(&app);
    app.warm("4", "/users/1").await;
    let json = ("content-type", "application/json");
    for fields in [
        &[("sec-fetch-site", "cross-site"), json][..],
        &[("sec-fetch-site", "same-site"), json],
        &[("sec-fetch-site", "cross-site"), ("origin", "https://app.example"), json],
        &[("origin", "https://evil.example"), json],
        &[("origin", "https://app.example.evil"), json],
        &[("origin", "null"), json],
    ] {
        let answer = post(&admin, "/v1/invalidate", fields, ORDER).await;
        assert_eq!(answer.error(403), "cross-site", "{fields:?}");
        let answer = post(&admin, "/v1/delete", fields, ORDER).await;
        assert_eq!(answer.error(403), "cross-site", "{fields:?}");
        let answer = post(&admin, "/invalidate", fields, "kind=everything&tenant=4").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?}");
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "a/json"]
    {
        let fields = [("content-type", kind), ("sec-fetch-site", "same-origin")];
        let answer = post(&admin, "/v1/invalidate", &fields, ORDER).await;
        assert_eq!(answer.error(415), "not-json", "{kind}");
    }
    app.get("4", "/users/1").await.assert_hit();
    for fields in [
        &[json][..],
        &[("sec-fetch-site", "same-origin"), json],
        &[("origin", "https://app.example"), ("content-type", "application/json; charset=utf-8")],
    ] {
        assert_eq!(post(&admin, "/v1/invalidate", fields, ORDER).await.status, StatusCode::OK);
        app.get("4", "/users/1").await.assert_miss();
        app.get_settled("4", "/users/1").await.assert_hit();
    }
}

#[tokio::test]
async fn a_form_needs_the_token_that_its_page_gave() {
    let app = app(Backend::memory().store);
    let admin = operator(&app);
    app.warm("4", "/users/1").await;
    let page = get(&admin, "/invalidate?kind=everything&tenant=4").await;
    assert_eq!(page.status, StatusCode::OK);
    app.get("4", "/users/1").await.assert_hit();
    let cookie = page.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"));
    let cookie = cookie.split(';').next().unwrap();
    let (_, token) = page.text.split_once("name=\"token\" value=\"").expect("a token");
    let token = token.split('"').next().unwrap();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let other = get(&admin, "/invalidate?kind=everything&tenant=4").await;
    let other = other.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let good = format!("kind=everything&tenant=4&token={token}");
    for (fields, body) in [
        (&[form][..], good.as_str()),
        (&[form, ("cookie", cookie)], "kind=everything&tenant=4"),
        (&[form, ("cookie", cookie)], "kind=everything&tenant=4&token="),
        (&[form, ("cookie", &other)], &good),
        (&[form, ("cookie", "response-cache-admin=")], "kind=everything&tenant=4&token="),
    ] {
        let answer = post(&admin, "/invalidate", fields, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?} {body}");
        assert!(answer.text.contains("confirm again"), "says what to do");
    }
    app.get("4", "/users/1").await.assert_hit();
    let answer = post(&admin, "/invalidate", &[form, ("cookie", cookie)], &good).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.text.contains("Done."));
    app.get("4", "/users/1").await.assert_miss();
}
