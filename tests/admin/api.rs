//! Every end point of the API, on each store.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use crate::fixture::{app, config, get, operator, post, send};
use crate::support::Backend;
use crate::support::app::{App, Source};

on_each_store! {
    async fn stats_count_what_has_happened(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        let before = get(&admin, "/v1/stats").await.ok();
        assert_eq!(before["totals"]["requests"], 0);
        assert_eq!(before["totals"]["hit_ratio"], json!(null));
        assert_eq!(before["store"]["answers"], true);
        assert_eq!(before["store"]["breaker_open"], false);
        app.source.put("4", "1", "Ada");
        app.warm("4", "/users/1").await;
        app.get("4", "/users/1").await.assert_hit();
        app.put("4", "/users/1", "Grace").await;
        let after = get(&admin, "/v1/stats").await.ok();
        let totals = &after["totals"];
        assert_eq!(totals["outcomes"]["hit"], 2, "{after}");
        assert_eq!(totals["outcomes"]["miss"], 1, "{after}");
        assert_eq!(totals["requests"], 3);
        assert_eq!(totals["counts"]["stored"], 1);
        let line = totals["routes"].as_array().unwrap().iter().find(|route| route["requests"] == 3);
        let line = line.unwrap_or_else(|| panic!("{after}"));
        assert_eq!((&line["method"], &line["template"]), (&json!("GET"), &json!("/users/{id}")));
        assert!(line["handler"]["saved_ms"].as_f64().unwrap() > 0.0, "{line}");
        let recent = &after["recent_invalidations"][0];
        assert_eq!(recent["tenant"], "4");
        assert_eq!(recent["confirmed"], true);
        assert!(recent["lag_ms"].as_f64().unwrap() > 0.0);
        assert!(recent["scopes"].as_array().unwrap().contains(&json!("subtree:/users/1")));
    }

    async fn routes_and_rules_are_those_in_force(backend: Backend) {
        let app = app(backend.store.clone());
        let known = get(&operator(&app), "/v1/routes").await.ok();
        assert_eq!(known["namespace"], "gym");
        let routes = known["routes"].as_array().unwrap();
        let list = routes.iter().find(|route| route["template"] == "/users").unwrap();
        assert_eq!(list["query"], json!(["role", "status"]));
        assert_eq!(list["headers_if_sent"][0], "host");
        assert_eq!(list["ttl_s"], 300.0);
        assert_eq!(list["users"], "same for all");
        let by = list["invalidated_by"].as_array().unwrap();
        for write in ["PUT /users/{id}", "DELETE /users/{id}", "POST /users"] {
            assert!(by.contains(&json!(write)), "{list}");
        }
        let stats = routes.iter().find(|route| route["template"] == "/users/{id}/stats").unwrap();
        assert!(!stats["invalidated_by"].as_array().unwrap().contains(&json!("POST /users")));
        let rules = known["rules"].as_array().unwrap();
        let put = rules.iter().find(|rule| rule["on"] == "PUT /users/{id}").unwrap();
        assert_eq!(put["targets"], json!(["subtree(\"/users/{id}\")", "path(\"/users\")"]));
        assert_eq!(put["reaches"].as_array().unwrap().len(), 3);
        assert_eq!(known["sets"][0]["name"], "user");
    }

    async fn an_invalidation_has_a_receipt_and_is_kept(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        let orders = [
            (json!({ "path": "/users/1" }), json!(["path:/users/1"])),
            (json!({ "subtree": "/users/{id}", "with": { "id": "1" } }), json!(["subtree:/users/1"])),
            (json!({ "everything": true }), json!(["tenant"])),
            (json!({ "set": "user", "with": { "id": "1" } }), json!(["subtree:/users/1", "path:/users"])),
            (json!({ "set": "user", "for_all": true }), json!(["subtree:/users/{}", "path:/users"])),
        ];
        for (mut order, scopes) in orders {
            app.warm("4", "/users/1").await;
            app.warm("5", "/users/1").await;
            order["tenant"] = json!("4");
            let receipt = post(&admin, "/v1/invalidate", &order).await.ok();
            assert_eq!(receipt["action"], "invalidate");
            assert_eq!(receipt["tenant"], "4");
            assert_eq!(receipt["scopes"], scopes);
            assert_eq!((&receipt["confirmed"], &receipt["mode"]), (&json!(true), &json!("hard")));
            assert!(receipt["moved"].as_u64().unwrap() >= 1, "{order} {receipt}");
            assert!(receipt["took_ms"].as_f64().is_some() && receipt["at"].is_string());
            app.get("4", "/users/1").await.assert_miss();
            app.get_settled("5", "/users/1").await.assert_hit();
        }
        app.warm("4", "/users/1").await;
        let group = json!({ "tenant": "4", "group": "nobody" });
        assert_eq!(post(&admin, "/v1/invalidate", &group).await.ok()["moved"], 0);
        let world = json!({ "tenant": "4", "set": "world" });
        let receipt = post(&admin, "/v1/invalidate", &world).await.ok();
        assert_eq!(receipt["scopes"], json!(["all tenants"]));
        app.get("5", "/users/1").await.assert_miss();
    }

    async fn deletion_by_a_pattern_counts(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        for target in ["/users/1", "/users/2", "/users?role=a"] {
            app.warm("4", target).await;
            app.warm("5", target).await;
        }
        let order = json!({ "tenant": "4", "glob": "/users/*" });
        let receipt = post(&admin, "/v1/delete", &order).await.ok();
        assert_eq!((&receipt["action"], &receipt["removed"]), (&json!("delete-pattern"), &json!(2)));
        assert_eq!((&receipt["moved"], &receipt["confirmed"]), (&json!(null), &json!(true)));
        app.get("4", "/users/1").await.assert_miss();
        app.get("4", "/users?role=a").await.assert_hit();
        app.get("5", "/users/1").await.assert_hit();
    }

    async fn what_makes_no_sense_is_said_in_words(backend: Backend) {
        let app = app(backend.store.clone());
        let admin = operator(&app);
        for (order, status, error) in [
            (json!({ "path": "/users" }), 400, "bad-request"),
            (json!({ "tenant": "4" }), 400, "bad-request"),
            (json!({ "tenant": "", "path": "/users" }), 400, "bad-request"),
            (json!({ "tenant": "4", "tenantless": true, "path": "/users" }), 400, "bad-request"),
            (json!({ "tenant": "4", "path": "/users", "tag": "a" }), 400, "bad-request"),
            (json!({ "tenant": "4", "glob": "a*" }), 400, "bad-request"),
            (json!({ "tenant": "4", "path": "/users", "for_all": true }), 400, "bad-request"),
            (json!({ "tenant": "4", "group": "g", "soft": true }), 400, "bad-request"),
            (json!({ "tenant": "4", "group": "g", "with": { "id": "1" } }), 400, "bad-request"),
            (json!({ "tenant": "4", "path": "/nothing" }), 422, "unknown-scope"),
            (json!({ "tenant": "4", "subtree": "/users/{id}" }), 422, "unknown-scope"),
            (json!({ "tenant": "4", "path": "users" }), 422, "unknown-scope"),
            (json!({ "tenant": "4", "set": "nobody" }), 422, "unknown-scope"),
            (json!({ "tenant": "4", "pattern": "users:*" }), 422, "unknown-scope"),
            (json!({ "tenant": "4", "unknown": 1 }), 422, "bad-body"),
            (json!([1]), 422, "bad-body"),
        ] {
            let answer = post(&admin, "/v1/invalidate", &order).await;
            assert_eq!(answer.error(status), error, "{order}");
        }
        let bad = json!({ "tenant": "4", "glob": "[" });
        assert_eq!(post(&admin, "/v1/delete", &bad).await.error(400), "bad-request");
        let path = json!({ "tenant": "4", "path": "/users" });
        assert_eq!(post(&admin, "/v1/delete", &path).await.error(400), "bad-request");
        for target in ["/v1/stats?a=b", "/v1/routes?tenant=4", "/v1/keys", "/v1/keys?tenant=4&tenant=5",
            "/v1/keys?tenant=4&limit=0", "/v1/keys?tenant=4&glob=%5B", "/v1/key?tenant=4",
            "/v1/key?tenant=4&target=/users&body=perhaps", "/v1/key?tenant=4&target=http://a/users",
            "/v1/key?tenant=4&entry=GET", "/v1/key?tenant=4&target=/users&header=bad"] {
            assert_eq!(get(&admin, target).await.error(400), "bad-request", "{target}");
        }
        assert_eq!(get(&admin, "/v1/nothing").await.error(404), "no-such-page");
        assert_eq!(get(&admin, "/v2/stats").await.status, StatusCode::NOT_FOUND);
        let large = json!({ "tenant": "4", "path": "/".repeat(100_000) });
        assert_eq!(post(&admin, "/v1/invalidate", &large).await.error(413), "bad-body");
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
            let request = Request::builder().method(method).uri("/v1/invalidate");
            let answer = send(&admin, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        }
        assert_eq!(get(&admin, "/v1/invalidate").await.status, StatusCode::METHOD_NOT_ALLOWED);
    }

    async fn a_soft_one_leaves_what_is_stale(backend: Backend) {
        let app = app(backend.store.clone());
        app.warm("4", "/users/1").await;
        let order = json!({ "tenant": "4", "path": "/users/1", "soft": true });
        let receipt = post(&operator(&app), "/v1/invalidate", &order).await.ok();
        assert_eq!((&receipt["mode"], &receipt["moved"]), (&json!("soft"), &json!(1)));
        let found = get(&operator(&app), "/v1/key?tenant=4&target=/users/1").await.ok();
        let softened = found["stamps"].as_array().unwrap().iter().any(|s| s["state"] == "softened");
        assert!(softened, "{found}");
        assert_eq!(found["state"], "expired", "its route has no window");
    }
}

#[tokio::test]
async fn without_the_store_nothing_is_claimed() {
    let mut backend = Backend::redis().await;
    let app = App::with(
        config(backend.store.clone()).invalidate_timeout(std::time::Duration::from_millis(300)),
        Source::default(),
    );
    let admin = operator(&app);
    app.warm("4", "/users/1").await;
    backend.server.as_mut().unwrap().kill();
    let stats = get(&admin, "/v1/stats").await.ok();
    assert_eq!(stats["store"]["answers"], false);
    assert!(stats["store"]["error"].is_string());
    let order = json!({ "tenant": "4", "path": "/users/1" });
    let answer = post(&admin, "/v1/invalidate", &order).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    let receipt = answer.json();
    assert_eq!((&receipt["confirmed"], &receipt["moved"]), (&json!(false), &json!(null)));
    assert!(receipt["error"].as_str().unwrap().contains("goes on trying"));
    let stats = get(&admin, "/v1/stats").await.ok();
    assert_eq!(stats["store"]["unconfirmed_scopes"], 1);
    assert_eq!(stats["recent_invalidations"][0]["lag_ms"], json!(null));
    let glob = json!({ "tenant": "4", "glob": "*" });
    assert_eq!(post(&admin, "/v1/delete", &glob).await.error(503), "store-away");
    for target in ["/v1/keys?tenant=4", "/v1/key?tenant=4&target=/users/1"] {
        assert_eq!(get(&admin, target).await.error(503), "store-away");
    }
    assert_eq!(get(&admin, "/v1/routes").await.status, StatusCode::OK);

    backend.server.as_mut().unwrap().restart();
    let began = std::time::Instant::now();
    loop {
        let stats = get(&admin, "/v1/stats").await.ok();
        if stats["store"]["unconfirmed_scopes"] == 0 {
            assert!(stats["recent_invalidations"][0]["lag_ms"].as_f64().unwrap() > 0.0, "{stats}");
            break;
        }
        assert!(began.elapsed().as_secs() < 30, "it is never confirmed: {stats}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
