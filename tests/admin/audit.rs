//! What is told to `tracing`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Extension;
use serde_json::json;
use tower_response_cache::AdminUser;
use tracing::field::{Field, Visit};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::fixture::{app, config, get, of_tenant, operator, post};
use crate::support::Backend;
use crate::support::app::{App, Source};

type Events = Arc<Mutex<Vec<BTreeMap<String, String>>>>;

struct Recorder(Events);

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "tower_response_cache::admin" {
            let mut fields = Fields::default();
            event.record(&mut fields);
            fields.0.insert("level".to_owned(), event.metadata().level().to_string());
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

#[tokio::test]
async fn every_change_is_told_with_who_made_it() {
    let events = Events::default();
    let subscriber = tracing_subscriber::registry().with(Recorder(Arc::clone(&events)));
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = app(Backend::memory().store);
    let admin = operator(&app).layer(Extension(AdminUser("ada".to_owned())));
    app.warm("4", "/users/1").await;

    get(&admin, "/v1/stats").await.ok();
    get(&admin, "/v1/key?tenant=4&target=/users/1").await.ok();
    assert!(events.lock().unwrap().is_empty(), "reading metadata is not told");
    post(&admin, "/v1/invalidate", &json!({ "tenant": "4", "path": "/users/1" })).await.ok();
    app.warm("4", "/users/1").await;
    post(&admin, "/v1/delete", &json!({ "tenant": "4", "glob": "/users/*" })).await.ok();
    app.warm("4", "/users/1").await;
    get(&admin, "/v1/key?tenant=4&target=/users/1&body=true").await.ok();
    post(&of_tenant(&app, "4"), "/v1/invalidate", &json!({ "tenant": "5", "everything": true }))
        .await;

    let events = events.lock().unwrap();
    let field = |index: usize, name: &str| events[index].get(name).cloned().unwrap_or_default();
    assert_eq!(events.len(), 4, "{events:?}");
    for (name, value) in [
        ("user", "ada"),
        ("tenant", "4"),
        ("action", "invalidate"),
        ("what", "path /users/1"),
        ("mode", "hard"),
        ("scopes", "path:/users/1"),
        ("moved", "1"),
        ("confirmed", "true"),
        ("level", "INFO"),
    ] {
        assert_eq!(field(0, name), value, "{name}: {events:?}");
    }
    assert!(!field(0, "took_ms").is_empty());
    assert_eq!((field(1, "action"), field(1, "removed")), ("delete-pattern".into(), "1".into()));
    assert_eq!((field(2, "action"), field(2, "what")), ("read-body".into(), "GET /users/1".into()));
    assert_eq!((field(3, "user"), field(3, "error")), ("unknown".into(), "confined".into()));
    assert_eq!(field(3, "level"), "WARN");
}

/// Who leaves before the store has answered does not get away with it.
#[tokio::test]
async fn a_change_is_told_though_its_client_has_left() {
    let events = Events::default();
    let subscriber = tracing_subscriber::registry().with(Recorder(Arc::clone(&events)));
    let _guard = tracing::subscriber::set_default(subscriber);
    let backend = Backend::redis().await;
    let patient = config(backend.store.clone()).invalidate_timeout(Duration::from_secs(20));
    let app = App::with(patient, Source::default());
    let admin = operator(&app);
    app.warm("4", "/users/1").await;
    for (target, order) in [
        ("/v1/invalidate", json!({ "tenant": "4", "path": "/users/1" })),
        ("/v1/delete", json!({ "tenant": "4", "glob": "*" })),
    ] {
        backend.server.as_ref().unwrap().pause();
        let asked = post(&admin, target, &order);
        let left = tokio::time::timeout(Duration::from_millis(200), asked).await;
        backend.server.as_ref().unwrap().resume();
        assert!(left.is_err(), "the store did not answer");
        app.cache.settled().await;
        let told = events.lock().unwrap().pop().expect("it is told");
        assert_eq!((&*told["tenant"], &*told["confirmed"]), ("4", "true"), "{told:?}");
    }
    app.get("4", "/users/1").await.assert_miss();
}
