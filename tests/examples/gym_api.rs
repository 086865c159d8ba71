//! `gym_api`, one process: every route, what each write ends, and what it leaves alone.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::redis_server::RedisServer;
use crate::server::{Server, bytes, create, send, write};

const GYM: (&str, &str) = ("x-gym-id", "4");
const OTHER: (&str, &str) = ("x-gym-id", "5");

/// Every path that a user shows in.
const ABOUT_USER_1: [&str; 6] = [
    "/users",
    "/users?role=member&status=active",
    "/users/1",
    "/users/1/stats?period=week",
    "/users/1/stats?period=year",
    "/participants",
];

#[tokio::test]
async fn every_route_on_the_memory_store() {
    let server = Server::start("gym_api", &[]).await;
    every_route(&server).await;
    assert!(server.terminate().await, "SIGTERM ends it well");
}

#[tokio::test]
async fn every_route_on_redis() {
    let redis = RedisServer::start();
    let server = Server::start("gym_api", &[("REDIS_URL", redis.url().as_ref())]).await;
    every_route(&server).await;
}

async fn every_route(server: &Server) {
    assert_eq!(server.settle(GYM, "/users").await.json(), json!([]));
    assert_eq!(server.get(GYM, "/users/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get(GYM, "/users/1/stats").await.status, StatusCode::NOT_FOUND);

    let created =
        write(server, Method::POST, "4", "/users", json!({ "name": "Ada", "role": "member" }))
            .await;
    let ada = json!({ "id": 1, "name": "Ada", "role": "member", "status": "active" });
    assert_eq!((created.status, created.json()), (StatusCode::CREATED, ada.clone()));

    assert_eq!(settled(server, "/users").await, json!([ada]));
    assert_eq!(settled(server, "/users?role=member").await, json!([ada]));
    assert_eq!(settled(server, "/users?role=coach").await, json!([]));
    assert_eq!(settled(server, "/users?role=member&status=frozen").await, json!([]));
    assert_eq!(settled(server, "/users/1").await, ada);
    assert_eq!(settled(server, "/participants").await, json!([{ "id": 1, "name": "Ada" }]));
    for (period, days) in [("week", 7), ("month", 30), ("quarter", 90), ("year", 365)] {
        let stats = settled(server, &format!("/users/1/stats?period={period}")).await;
        assert_eq!((&stats["days"], &stats["user"]), (&json!(days), &ada), "{stats}");
    }
    assert_eq!(settled(server, "/users/1/stats").await["period"], "month");
    assert_eq!(settled(server, "/operating-hours").await["sunday"], "08:00-20:00");

    every_path_changes(server, Method::PUT, json!({ "name": "Ada L." })).await;
    let changed = settled(server, "/users/1").await;
    assert_eq!(changed, json!({ "id": 1, "name": "Ada L.", "role": "member", "status": "active" }));
    every_path_changes(server, Method::PUT, json!({ "status": "frozen" })).await;
    assert_eq!(settled(server, "/participants").await, json!([]));
    assert_eq!(settled(server, "/users/1/stats").await["visits"], 0);

    let hours = json!({ "monday": "10:00-12:00", "1 May": null });
    let put = write(server, Method::PUT, "4", "/operating-hours", hours.clone()).await;
    assert_eq!((put.status, put.json()), (StatusCode::OK, hours.clone()));
    assert_eq!(settled(server, "/operating-hours").await, hours);

    let gone = write(server, Method::DELETE, "4", "/users/1", Value::Null).await;
    assert_eq!((gone.status, gone.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(server.get(GYM, "/users/1").await.status, StatusCode::NOT_FOUND);
    assert_eq!(settled(server, "/users").await, json!([]));
    assert_eq!(create(server, "4", "Grace").await, 2, "a number is given once");
}

/// The write shows in every path about user 1 at once, and ends nothing in another gym.
async fn every_path_changes(server: &Server, method: Method, body: Value) {
    for path in ["/users", "/operating-hours", "/participants"] {
        server.settle(OTHER, path).await;
    }
    server.settle(GYM, "/operating-hours").await;
    for path in ABOUT_USER_1 {
        server.settle(GYM, path).await;
    }
    let answer = write(server, method, "4", "/users/1", body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    for path in ABOUT_USER_1 {
        let fresh = server.get(GYM, path).await;
        assert!(!fresh.is_hit(), "{path}: {fresh:?}");
    }
    assert!(server.get(GYM, "/operating-hours").await.is_hit());
    for path in ["/users", "/operating-hours", "/participants"] {
        assert!(server.get(OTHER, path).await.is_hit(), "{path} of another gym");
    }
}

#[tokio::test]
async fn hits_run_no_handler() {
    let server = Server::start("gym_api", &[]).await;
    create(&server, "4", "Ada").await;
    server.settle(GYM, "/users/1").await;

    let before = server.runs("/users/{id}").await;
    for query in ["", "?", "?utm=1", "?role=x&role=y"] {
        let answer = server.get(GYM, &format!("/users/1{query}")).await;
        assert!(answer.is_hit(), "no query matters to a user: {query} {answer:?}");
    }
    let delayed = server.request(Method::GET, "/users/1").header("x-gym-id", "4");
    assert!(send(delayed.header("x-demo-delay-ms", "60000")).await.is_hit());
    assert_eq!(server.runs("/users/{id}").await, before);
}

#[tokio::test]
async fn a_write_to_user_1_leaves_user_10() {
    let server = Server::start("gym_api", &[]).await;
    for id in 1..=11 {
        assert_eq!(create(&server, "4", &format!("user {id}")).await, id);
    }
    let others = ["/users/10", "/users/11", "/users/10/stats?period=week", "/users/2"];
    for path in others {
        server.settle(GYM, path).await;
    }
    // The same path in an escape: percent-encoding hides no entry from a write.
    server.settle(GYM, "/users/%31").await;

    for method in [Method::PUT, Method::DELETE] {
        let answer = write(&server, method, "4", "/users/1", json!({ "name": "new" })).await;
        assert!(answer.status.is_success(), "{answer:?}");
        for path in others {
            assert!(server.get(GYM, path).await.is_hit(), "{path}");
        }
        assert!(!server.get(GYM, "/users/%31").await.text.contains("user 1"));
    }
}

#[tokio::test]
async fn ids_in_paths_and_gyms_are_data() {
    let redis = RedisServer::start();
    let server = Server::start("gym_api", &[("REDIS_URL", redis.url().as_ref())]).await;
    let longest = "é".repeat(64);
    let gyms = ["4", "4}:x", "{4}", "*", "?", "[0-9]", "4:users", r"4\", "🏋️", "4%7D", &longest];
    for gym in gyms {
        assert_eq!(create(&server, gym, &format!("of {gym}")).await, 1);
        server.settle(("x-gym-id", gym), "/users/1").await;
        server.settle(("x-gym-id", gym), "/users").await;
    }

    for gym in gyms {
        for path in ["/users/*", "/users/%2A", "/users/?", "/users/[0-9]", "/users/1*", "/users/01"]
        {
            for method in [Method::DELETE, Method::PUT] {
                let answer = write(&server, method, gym, path, json!({ "name": "x" })).await;
                assert!(answer.status.is_client_error(), "{path}: {answer:?}");
            }
        }
    }
    for gym in gyms {
        let user = server.get(("x-gym-id", gym), "/users/1").await;
        assert!(user.is_hit(), "{gym}: {user:?}");
        assert_eq!(user.json()["name"], format!("of {gym}"));
        assert!(server.get(("x-gym-id", gym), "/users").await.is_hit(), "{gym}");
    }

    let changed = write(&server, Method::PUT, "*", "/users/1", json!({ "name": "new" })).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(server.get(("x-gym-id", "*"), "/users/1").await.json()["name"], "new");
    for gym in gyms.into_iter().filter(|gym| *gym != "*") {
        assert!(server.get(("x-gym-id", gym), "/users/1").await.is_hit(), "{gym}");
    }
}

#[tokio::test]
async fn mistakes_get_a_clear_answer() {
    let server = Server::start("gym_api", &[]).await;
    create(&server, "4", "Ada").await;
    let get = |path| server.request(Method::GET, path);
    let post = |body: &'static str| {
        server.request(Method::POST, "/users").header("x-gym-id", "4").body(body)
    };
    let json = |body| post(body).header("content-type", "application/json");
    let put = |body: &'static str| {
        let put = server.request(Method::PUT, "/operating-hours").header("x-gym-id", "4");
        put.header("content-type", "application/json").body(body)
    };
    let not_utf8 = reqwest::header::HeaderValue::from_bytes(b"\xff4").expect("opaque bytes");
    let long = bytes(&"x".repeat(65));

    let mistakes = [
        (get("/users"), 400, "x-gym-id is missing"),
        (get("/users").header("x-gym-id", ""), 400, "1 to 64"),
        (get("/users").header("x-gym-id", long), 400, "1 to 64"),
        (get("/users").header("x-gym-id", not_utf8), 400, "UTF-8"),
        (get("/users").header("x-gym-id", "4").header("x-gym-id", "5"), 400, "twice"),
        (get("/users?role=a&role=b").header("x-gym-id", "4"), 400, "role"),
        (get("/users/1/stats?period=day").header("x-gym-id", "4"), 400, "period"),
        (get("/users/7").header("x-gym-id", "4"), 404, "no such user"),
        (get("/users/x").header("x-gym-id", "4"), 404, "no such user"),
        (get("/nothing").header("x-gym-id", "4"), 404, "no such route"),
        (post("{}"), 415, "application/json"),
        (json("{"), 400, "JSON"),
        (json("{}"), 422, "name is missing"),
        (json(r#"{"name": 1}"#), 422, "string"),
        (json(r#"{"name": "  "}"#), 422, "1 to 200"),
        (json(r#"{"name": "Ada", "role": ""}"#), 422, "role"),
        (put("[]"), 422, "map"),
        (put("{}"), 422, "at least one day"),
    ];
    for (request, status, words) in mistakes {
        let answer = send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{words}: {answer:?}");
        let said = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(settled(&server, "/users").await.as_array().map(Vec::len), Some(1));
}

async fn settled(server: &Server, path: &str) -> Value {
    server.settle(GYM, path).await.json()
}
