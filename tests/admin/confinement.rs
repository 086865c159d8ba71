//! The router of one tenant reaches no other, whatever it is asked.

use serde_json::{Value, json};

use crate::fixture::{app, escaped, get, of_tenant, post};
use crate::support::app::App;

/// Names that a careless pattern or key would take for more than one tenant.
const HOSTILE: [&str; 12] =
    ["5", "*", "?", "[0-9]", "4}:*{5", "{5}", "5}:GET /users", "!", "..", "4 5", "%35", "5\u{301}"];

async fn warm(app: &App, tenants: &[&str]) {
    for tenant in tenants {
        for target in ["/users/1", "/users"] {
            app.get(tenant, target).await;
        }
    }
    app.cache.settled().await;
}

/// Whether what the tenant has is still served.
async fn is_untouched(app: &App, tenant: &str) -> bool {
    app.get(tenant, "/users/1").await.is_hit() && app.get(tenant, "/users").await.is_hit()
}

on_each_store! {
    async fn no_parameter_leads_to_another_tenant(backend: Backend) {
        let app = app(backend.store.clone());
        let others: Vec<&str> = HOSTILE.into_iter().filter(|name| name.is_ascii()).collect();
        warm(&app, &others).await;
        let own = of_tenant(&app, "4");
        for other in HOSTILE {
            for query in [format!("tenant={}", escaped(other)), "tenantless=true".to_owned()] {
                for path in ["/v1/keys?", "/v1/key?target=/users&", "/v1/key?entry=GET%20/users&",
                    "/keys?", "/key?target=/users&", "/invalidate?kind=everything&"] {
                    let answer = get(&own, &format!("{path}{query}")).await;
                    assert_eq!(answer.status, 403, "{path}{query}: {answer:?}");
                }
            }
            for order in [
                json!({ "tenant": other, "everything": true }),
                json!({ "tenantless": true, "everything": true }),
                json!({ "tenant": other, "path": "/users" }),
                json!({ "tenant": other, "set": "user", "for_all": true }),
            ] {
                assert_eq!(post(&own, "/v1/invalidate", &order).await.error(403), "confined");
            }
            let order = json!({ "tenant": other, "glob": "*" });
            assert_eq!(post(&own, "/v1/delete", &order).await.error(403), "confined");
        }
        // A set that reaches everybody is for operators.
        let order = json!({ "set": "world" });
        assert_eq!(post(&own, "/v1/invalidate", &order).await.error(403), "confined");
        let order = json!({ "tenant": "4", "set": "world" });
        assert_eq!(post(&own, "/v1/invalidate", &order).await.error(403), "confined");
        for other in others {
            assert!(is_untouched(&app, other).await, "{other}");
        }
    }

    async fn no_pattern_or_name_leads_to_another_tenant(backend: Backend) {
        let app = app(backend.store.clone());
        let others = ["5", "*", "44", "4x", "{4}"];
        warm(&app, &others).await;
        let own = of_tenant(&app, "4");
        let globs = ["*", "*}:*", "gym:e:{5}:*", "**", "[^x]*", "?*", "\\*", "*/users*", "{5}:*"];
        for glob in globs {
            let listed = get(&own, &format!("/v1/keys?glob={}", escaped(glob))).await.ok();
            assert_eq!(listed["keys"], json!([]), "{glob}");
            let order = json!({ "glob": glob });
            assert_eq!(post(&own, "/v1/delete", &order).await.ok()["removed"], 0, "{glob}");
        }
        let entries = ["GET /users", "}:{5}:GET /users", "GET gym:e:{5}:GET /users", "GET;x /users",
            "../5 /users", "GET \u{0}"];
        for entry in entries {
            let found = get(&own, &format!("/v1/key?entry={}", escaped(entry))).await.ok();
            assert_eq!((&found["state"], &found["tenant"]), (&json!("absent"), &json!("4")), "{entry}");
        }
        for cursor in ["0", "1", "7", "GET /users", "\u{10ffff}", "-1"] {
            let answer = get(&own, &format!("/v1/keys?cursor={}", escaped(cursor))).await;
            let keys = answer.json()["keys"].clone();
            assert!(keys == json!([]) || answer.status == 400, "{cursor}: {answer:?}");
        }
        // What a request would say of its tenant says nothing here.
        for header in ["x-gym-id: 5", "x-gym-id:5%0Ax-gym-id:5", "host: 5.example"] {
            let target = format!("/v1/key?target=/users&header={}", header.replace(' ', "%20"));
            let found = get(&own, &target).await.ok();
            assert_eq!((&found["state"], &found["tenant"]), (&json!("absent"), &json!("4")));
        }
        for order in [
            json!({ "everything": true }),
            json!({ "path": "/users" }),
            json!({ "subtree": "/users/{id}", "with": { "id": "*" } }),
            json!({ "subtree": "/users/{id}", "with": { "id": "}:{5}" } }),
            json!({ "group": "}:*" }),
            json!({ "set": "user", "for_all": true }),
        ] {
            let receipt = post(&own, "/v1/invalidate", &order).await.ok();
            assert_eq!(receipt["tenant"], "4");
        }
        for other in others {
            assert!(is_untouched(&app, other).await, "{other}");
        }
    }

    async fn its_own_tenant_is_within_reach(backend: Backend) {
        let app = app(backend.store.clone());
        for tenant in ["4", "a b", "*", "!"] {
            let own = of_tenant(&app, tenant);
            warm(&app, &[tenant]).await;
            let listed = get(&own, "/v1/keys").await.ok();
            assert_eq!(listed["keys"].as_array().unwrap().len(), 2, "{tenant}: {listed}");
            let named = format!("/v1/key?tenant={}&target=/users", escaped(tenant));
            assert_eq!(get(&own, &named).await.ok()["state"], "fresh");
            let receipt = post(&own, "/v1/invalidate", &json!({ "everything": true })).await.ok();
            assert_eq!((&receipt["tenant"], &receipt["moved"]), (&json!(tenant), &json!(1)));
            app.get(tenant, "/users").await.assert_miss();
        }
    }

    async fn what_all_tenants_share_is_not_shown(backend: Backend) {
        let app = app(backend.store.clone());
        let own = of_tenant(&app, "4");
        warm(&app, &["4", "5-secret"]).await;
        for tenant in ["4", "5-secret"] {
            app.put(tenant, "/users/1", "x").await;
        }
        let stats = get(&own, "/v1/stats").await.ok();
        assert_eq!((&stats["totals"], &stats["store"]["unconfirmed_scopes"]), (&Value::Null, &Value::Null));
        assert_eq!(stats["recent_invalidations"].as_array().unwrap().len(), 1);
        for target in ["/v1/stats", "/v1/routes", "/", "/live"] {
            let answer = get(&own, target).await;
            assert_eq!(answer.status, 200);
            assert!(!answer.text.contains("5-secret"), "{target}");
        }
        let all = get(&app.cache.admin_router(), "/v1/stats").await.ok();
        assert_eq!(all["recent_invalidations"].as_array().unwrap().len(), 2);
    }
}
