//! User, password, database and socket.

use std::io::{self, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use tower_response_cache::store::{StoreErrorKind, conformance};

use crate::fleet::{Instance, address, assert_says, patiently, source, tell};
use crate::support::redis_server::RedisServer;

fn with_user() -> RedisServer {
    let server = RedisServer::start();
    tell(&server, "ACL SETUSER app on >s3cret@/#% ~* +@all");
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password_from_the_url_or_from_code() {
    let server = with_user();
    let in_url = format!("redis://app:s3cret%40%2F%23%25@{}", address(&server));
    let plain = patiently(&server.url()).credentials("app", "s3cret@/#%");
    // What is said in code goes before the URL.
    let both = patiently(&format!("redis://who:wr0ng@{}", address(&server)))
        .credentials("app", "s3cret@/#%");
    for builder in [patiently(&in_url), plain, both] {
        assert!(!format!("{builder:?}").contains("s3cret"));
        let store = builder.connect().await.unwrap();
        assert!(!format!("{store:?}").contains("s3cret"));
        let users = tell(&server, "CLIENT LIST");
        assert!(users.contains("user=app"), "{users}");
        Instance::new(store, &source()).recovers("42").await;
    }
}

#[tokio::test]
async fn a_password_without_a_user() {
    let server = RedisServer::with_args(&["--requirepass", "s3cret"]);
    for builder in [
        patiently(&format!("redis://:s3cret@{}", address(&server))),
        patiently(&server.url()).credentials("", "s3cret"),
    ] {
        Instance::new(builder.connect().await.unwrap(), &source()).recovers("42").await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_app_answers_without_its_cache() {
    let server = with_user();
    let wrong = patiently(&server.url()).credentials("app", "wr0ng");
    let error = wrong.clone().connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["WRONGPASS", "check the user and the password"]);

    let app = Instance::new(wrong.connect_lazy().unwrap(), &source());
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    assert!(app.read("42").await.cache_status().contains("fwd=bypass"));
    // The cause is gone.
    tell(&server, "ACL SETUSER app >wr0ng");
    app.confirmed().await;
    app.recovers("42").await;
}

/// What is logged, at every level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_log_has_a_password() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = with_user();
    // Redis repeats the arguments of a command that it doesn't know.
    let deaf = RedisServer::with_args(&["--rename-command", "HELLO", ""]);
    for url in [server.url(), deaf.url(), "redis://127.0.0.1:1".to_owned()] {
        for password in ["wr0ng", "s3cret"] {
            let store = patiently(&url).credentials("app", password).connect_lazy().unwrap();
            let app = Instance::new(store, &source());
            app.read("42").await.assert_bypass("store");
            app.write("42", "new").await;
            app.read("42").await;
        }
    }
    let log = String::from_utf8(log.0.lock().clone()).unwrap();
    for expected in ["WRONGPASS", "7.0 or later", "127.0.0.1:1"] {
        assert!(log.contains(expected), "no {expected} in {log}");
    }
    assert!(!log.contains("wr0ng") && !log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn no_password_where_one_is_wanted_is_named() {
    let server = RedisServer::with_args(&["--requirepass", "s3cret"]);
    let error = patiently(&server.url()).connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["NOAUTH", "it wants a password"]);
}

#[tokio::test]
async fn the_number_of_the_database() {
    let server = RedisServer::start();
    let in_url = format!("{}/3", server.url());
    let source = source();
    for builder in
        [patiently(&in_url), patiently(&in_url).database(5), patiently(&server.url()).database(7)]
    {
        Instance::new(builder.connect().await.unwrap(), &source).recovers("42").await;
    }
    let spaces = tell(&server, "INFO keyspace");
    for (number, used) in [(0, false), (3, true), (5, true), (7, true)] {
        assert_eq!(spaces.contains(&format!("db{number}:")), used, "{number}: {spaces}");
    }
    let error = patiently(&server.url()).database(99).connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &address(&server), &["database"]);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let mut server = RedisServer::with_args(&["--unixsocket", path]);
    tell(&server, "ACL SETUSER app on >s3cret ~* +@all");
    let store = patiently(&format!("unix://{path}?user=app&pass=s3cret&db=2")).connect().await;
    conformance::all(&store.unwrap()).await;
    let store = patiently(&format!("redis+unix://{path}")).connect().await.unwrap();
    let app = Instance::new(store, &source());
    app.recovers("42").await;
    server.kill();
    app.read("42").await.assert_bypass("store");
    let error = patiently(&format!("unix://{path}")).connect().await.unwrap_err();
    assert_says(&error, path, &["start it"]);
    server.restart();
    app.recovers("42").await;
}
