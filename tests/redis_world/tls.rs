//! `rediss://`: certificates that are right, and others.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tower_response_cache::store::{RedisStoreBuilder, StoreErrorKind, conformance};

use crate::authority::Authority;
use crate::fleet::{Instance, PATIENCE, address, assert_says, patiently, source, tell, whole};
use crate::support::redis_server::{RedisServer, free_port};

/// A server behind TLS. It also has a port without, for the test to say what it wants.
struct Secured {
    server: RedisServer,
    port: u16,
    authority: Authority,
    _files: TempDir,
}

impl Secured {
    fn start(clients: &str) -> Self {
        let authority = Authority::new();
        let files = TempDir::new().unwrap();
        let port = free_port();
        let mut args = authority.server_args("127.0.0.1", files.path(), port);
        args.extend(["--tls-auth-clients", clients].map(str::to_owned));
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let server = RedisServer::with_args(&args);
        Self { server, port, authority, _files: files }
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn builder(&self) -> RedisStoreBuilder {
        patiently(&format!("rediss://{}", self.address()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority() {
    let mut secured = Secured::start("no");
    tell(&secured.server, "ACL SETUSER app on >s3cret ~* +@all");
    let builder = secured
        .builder()
        .ca_certificate(secured.authority.pem())
        .credentials("app", "s3cret")
        .connections(2);
    assert!(!format!("{builder:?}").contains("BEGIN"));
    conformance::all(&builder.clone().connect().await.unwrap()).await;

    let app = Instance::new(builder.connect().await.unwrap(), &source());
    app.recovers("42").await;
    app.write("42", "new").await;
    app.read("42").await.assert_miss();
    app.recovers("42").await;
    tell(&secured.server, "CLIENT KILL TYPE normal");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(app.read("42").await.is_hit(), "a connection that ended while idle fails nobody");
    secured.server.kill();
    app.read("42").await.assert_bypass("store");
    app.write("42", "newer").await;
    secured.server.restart();
    tell(&secured.server, "ACL SETUSER app on >s3cret ~* +@all");
    app.confirmed().await;
    app.recovers("42").await;
}

/// The task behind a connection ends with it, although the server says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_keeps_no_connections() {
    let secured = Secured::start("no");
    let builder = secured.builder().ca_certificate(secured.authority.pem());
    let app = Instance::brief(builder.connect().await.unwrap(), &source());
    app.read("42").await;
    for round in 0..3 {
        secured.server.pause();
        for _ in 0..8 {
            app.read("7").await;
        }
        app.write("42", &format!("new {round}")).await;
        app.read("42").await;
        secured.server.resume();
        app.confirmed().await;
        app.recovers("42").await;
    }
    let began = Instant::now();
    // The app's and that of this question.
    while tell(&secured.server, "CLIENT LIST").matches("name=").count() > 2 {
        let list = tell(&secured.server, "CLIENT LIST");
        assert!(began.elapsed() < PATIENCE, "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn another_authority_is_refused_and_the_app_answers_without_its_cache() {
    let secured = Secured::start("no");
    let wrong = secured.builder().ca_certificate(Authority::named("another").pem());
    let namesake = secured.builder().ca_certificate(Authority::new().pem());
    // The system's authorities know nothing of it either.
    for builder in [wrong.clone(), namesake, secured.builder()] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{}", whole(&error));
        assert!(whole(&error).contains("ca_certificate"), "{}", whole(&error));
    }
    let error = wrong.clone().connect().await.unwrap_err();
    assert_says(&error, &secured.address(), &["UnknownIssuer", "not trusted", "ca_certificate"]);
    let app = Instance::new(wrong.connect_lazy().unwrap(), &source());
    app.read("42").await.assert_bypass("store");
    app.write("42", "new").await;
    app.read("42").await.assert_bypass("dirty");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let secured = Secured::start("no");
    let url = format!("rediss://localhost:{}", secured.port);
    let builder = patiently(&url).ca_certificate(secured.authority.pem());
    let error = builder.connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert_says(&error, &format!("localhost:{}", secured.port), &["another name"]);
}

#[tokio::test]
async fn a_client_certificate_where_one_is_asked_for() {
    let secured = Secured::start("yes");
    let builder = secured.builder().ca_certificate(secured.authority.pem());
    let (certificate, key) = secured.authority.signs("cache");
    let store = builder.clone().client_certificate(certificate, key).connect().await.unwrap();
    Instance::new(store, &source()).recovers("42").await;

    let error = builder.clone().connect().await.unwrap_err();
    assert_says(&error, &secured.address(), &["client certificate", "client_certificate"]);
    let (certificate, key) = Authority::new().signs("cache");
    let error = builder.client_certificate(certificate, key).connect().await.unwrap_err();
    assert_says(&error, &secured.address(), &["client certificate", "tls-ca-cert-file"]);
}

#[tokio::test]
async fn what_is_no_certificate_is_an_error_before_anything_connects() {
    let authority = Authority::new();
    let (certificate, key) = authority.signs("cache");
    let (_, other_key) = authority.signs("cache");
    let builder = || patiently("rediss://127.0.0.1:1");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut = &certificate[..certificate.len() / 2];
    for (builder, word) in [
        (builder().ca_certificate(""), "ca_certificate"),
        (builder().ca_certificate("no PEM"), "ca_certificate"),
        (builder().ca_certificate(broken), "ca_certificate"),
        (builder().ca_certificate(cut), "ca_certificate"),
        (builder().ca_certificate(&*key), "ca_certificate"),
        (
            builder().ca_certificate(authority.pem()).client_certificate("", &*key),
            "client_certificate",
        ),
        (
            builder().ca_certificate(authority.pem()).client_certificate(&*certificate, ""),
            "client_certificate",
        ),
        (
            builder().ca_certificate(authority.pem()).client_certificate(broken, &*key),
            "client_certificate",
        ),
        (
            builder()
                .ca_certificate(authority.pem())
                .client_certificate(&*certificate, &*other_key),
            "client_certificate",
        ),
        (patiently("redis://127.0.0.1:1").ca_certificate(authority.pem()), "rediss://"),
    ] {
        let error = builder.clone().connect_lazy().unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        let text = whole(&error);
        assert!(text.contains(word), "{word}: {text}");
        assert!(!text.contains("BEGIN"), "{text}");
        assert_eq!(whole(&builder.connect().await.unwrap_err()), text);
    }
}

#[tokio::test]
async fn a_port_with_tls_and_one_without_are_not_confused() {
    let secured = Secured::start("no");
    let url = format!("rediss://{}", address(&secured.server));
    let error = patiently(&url)
        .connect_timeout(Duration::from_millis(500))
        .ca_certificate(secured.authority.pem())
        .connect()
        .await
        .unwrap_err();
    assert_says(&error, &address(&secured.server), &["port for TLS"]);
    let error = patiently(&format!("redis://{}", secured.address())).connect().await.unwrap_err();
    assert_says(&error, &secured.address(), &["rediss://"]);
}

#[tokio::test]
async fn the_check_of_the_certificate_can_not_be_switched_off() {
    let secured = Secured::start("no");
    let url = format!("rediss://{}/#insecure", secured.address());
    let error = patiently(&url).connect().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(whole(&error).contains("#insecure"), "{}", whole(&error));
}
