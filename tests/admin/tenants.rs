//! Who asks most: counted for operators, within bounds, and shown to nobody else.

use std::convert::Infallible;
use std::time::Duration;

use serde_json::{Value, json};
use tower_response_cache::TenantCache;

use crate::fixture::{app, config, get, of_tenant, operator};
use crate::support::Backend;
use crate::support::app::{App, Source};

/// The lines of the API.
async fn told(app: &App) -> Value {
    get(&operator(app), "/v1/stats").await.ok()["totals"]["tenants"].clone()
}

/// A value of this tenant is asked for, as code does that takes any name for one.
async fn ask(tenant: &TenantCache) {
    let fetch = async || Ok::<_, Infallible>(1);
    tenant.get_or_fetch("k", Duration::from_secs(60), fetch).await.unwrap();
}

on_each_store! {
    async fn requests_are_counted_by_tenant(backend: Backend) {
        let app = app(backend.store.clone());
        // Nobody wants to know yet.
        app.get("3", "/users").await;
        assert_eq!(told(&app).await, json!({ "requests": 0, "sampled": false, "top": [] }));
        app.warm("4", "/users/1").await;
        app.get("4", "/users/1").await.assert_hit();
        app.get("5", "/users/1").await.assert_miss();
        // Whose it is can't be told.
        app.get("", "/users").await.assert_bypass("bad-tenant");
        app.cache.settled().await;
        let expected = json!({
            "requests": 4,
            "sampled": false,
            "top": [
                { "tenant": "4", "requests": 3, "at_least": 3, "hits": 2, "hit_ratio": 0.6667, "share": 0.75 },
                { "tenant": "5", "requests": 1, "at_least": 1, "hits": 0, "hit_ratio": 0.0, "share": 0.25 },
            ],
        });
        assert_eq!(told(&app).await, expected);
        let page = get(&operator(&app), "/").await.text;
        let table = page.split("id=\"by-tenant\"").nth(1).expect("a table");
        assert!(table.contains("of 4 that were counted"), "{table}");
        let row = "<bdi>4</bdi></th><td class=\"number\">3</td><td class=\"number\">75.0 %</td>";
        assert!(table.contains(row), "{table}");
    }

    async fn values_and_what_belongs_to_no_tenant_count_too(backend: Backend) {
        let app = app(backend.store.clone());
        told(&app).await;
        for cache in [app.cache.tenantless(), app.cache.tenantless(), app.cache.tenant("no tenant").unwrap()] {
            ask(&cache).await;
            app.cache.settled().await;
        }
        let told = told(&app).await;
        let lines = told["top"].as_array().unwrap();
        assert_eq!((&lines[0]["tenant"], &lines[0]["hits"]), (&Value::Null, &json!(1)), "{told}");
        assert_eq!(lines[1]["tenant"], "no tenant");
        // The two are told apart.
        let page = get(&operator(&app), "/").await.text;
        assert!(page.contains("<em>no tenant</em>") && page.contains("<bdi>no tenant</bdi>"));
    }
}

#[tokio::test]
async fn the_builder_has_the_last_word() {
    for (count, expected) in [(false, Value::Null), (true, json!(1))] {
        let builder = config(Backend::memory().store).count_tenants(count);
        let app = App::with(builder, Source::default());
        app.get("4", "/users").await;
        assert_eq!(told(&app).await["requests"], expected);
        let page = get(&operator(&app), "/").await.text;
        assert_eq!(page.contains("id=\"by-tenant\""), count);
        assert!(!page.contains("id=\"no-tenants\""));
    }
}

#[tokio::test]
async fn names_stay_text_and_are_shown_in_part() {
    let app = app(Backend::memory().store);
    told(&app).await;
    let markup = "</bdi><script>alert(1)</script>\"'&";
    let backwards = "\u{202e}nimda";
    let long = format!("begins{}ends", "-and-goes-on".repeat(9));
    for tenant in [markup, backwards, &long] {
        ask(&app.cache.tenant(tenant).unwrap()).await;
    }
    let page = get(&operator(&app), "/").await;
    let live = get(&operator(&app), "/live").await.ok()["html"].as_str().unwrap().to_owned();
    for html in [&page.text, &live] {
        assert!(!html.contains("<script>alert") && html.contains("&#60;script&#62;alert(1)"));
        // What is written from right to left stays within its element.
        assert!(html.contains(&format!("<bdi>{backwards}</bdi>")));
        assert!(html.contains("<bdi>begins-and-goes-on") && html.contains("…</bdi>"));
        assert!(!html.contains("ends</bdi>"));
    }
    // A program gets all of it.
    let told = told(&app).await;
    let names: Vec<_> =
        told["top"].as_array().unwrap().iter().map(|line| &line["tenant"]).collect();
    for tenant in [markup, backwards, &long] {
        assert!(names.contains(&&json!(tenant)), "{names:?}");
    }
}

#[tokio::test]
async fn a_tenant_learns_nothing_of_others() {
    let app = app(Backend::memory().store);
    told(&app).await;
    for tenant in ["4", "5-secret", "6-secret"] {
        app.warm(tenant, "/users/1").await;
    }
    assert_eq!(told(&app).await["top"].as_array().unwrap().len(), 3);
    for own in [of_tenant(&app, "4"), app.cache.tenantless().admin_router()] {
        for target in ["/", "/live", "/overview", "/v1/stats", "/v1/routes"] {
            let answer = get(&own, target).await;
            assert_eq!(answer.status, 200, "{target}");
            for word in ["secret", "by-tenant", "share", "Tenants with", "\"tenants\""] {
                assert!(!answer.text.contains(word), "{target} shows {word}: {}", answer.text);
            }
        }
    }
}
