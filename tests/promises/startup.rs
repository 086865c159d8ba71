//! A store that is not there when the app starts.
use std::error::Error;
use std::time::Duration;

use crate::support::app::{App, Source, gym_cache};
use crate::support::redis_server::RedisServer;
use tower_response_cache::RedisStore;

fn whole(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn connecting_says_clearly_what_is_missing_and_what_to_do() {
    let mut server = RedisServer::start();
    let url = server.url();
    let port = server.port().to_string();
    server.stop();
    let error = RedisStore::connect(&url).await.unwrap_err();
    let text = whole(&error);
    assert!(text.contains("127.0.0.1") && text.contains(&port), "{text}");
    assert!(text.contains("connect_lazy") || text.contains("start"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lazy_start_is_degraded_and_recovers_by_itself() {
    let mut server = RedisServer::start();
    server.stop();
    let store = RedisStore::builder(&server.url()).connect_lazy().unwrap();
    let source = Source::default();
    source.put("4", "42", "Ada");
    let app = App::with(gym_cache(std::sync::Arc::new(store)), source);
    for _ in 0..3 {
        let answer = app.get("4", "/users/42").await;
        answer.assert_bypass("store");
        assert_eq!(answer.text(), "4/42=Ada");
    }
    assert_eq!(app.source.runs(), 3);
    server.restart();
    let mut recovered = false;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        recovered |= app.get("4", "/users/42").await.is_hit();
    }
    assert!(recovered, "no hit within a second of Redis' start");
}
