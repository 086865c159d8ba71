//! The span of a request: its fields, and on which tasks it is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Request, header};
use axum::routing::get;
use parking_lot::Mutex;
use tower_response_cache::{Cache, MemoryStore, Route, Tenant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::support::app::{App, request};

type Fields = BTreeMap<String, String>;

/// Its id, its name and its fields.
type SeenSpan = (u64, &'static str, Fields);

/// What it says, and in which span.
type SeenEvent = (String, Option<u64>);

/// Every span that was made, and in which span each event of the handlers was.
#[derive(Clone, Debug, Default)]
struct Seen {
    spans: Arc<Mutex<Vec<SeenSpan>>>,
    events: Arc<Mutex<Vec<SeenEvent>>>,
}

struct Visitor<'a>(&'a mut Fields);

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Visitor(&mut fields));
        self.spans.lock().push((id.into_u64(), attributes.metadata().name(), fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.spans.lock();
        let found = spans.iter_mut().rev().find(|(known, ..)| *known == id.into_u64());
        values.record(&mut Visitor(&mut found.unwrap().2));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "handler" {
            let mut fields = Fields::new();
            event.record(&mut Visitor(&mut fields));
            let span = context.lookup_current().map(|span| span.id().into_u64());
            self.events.lock().push((fields["message"].clone(), span));
        }
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn app() -> App {
    let cache = Cache::builder(MemoryStore::new())
        .tenant(Tenant::header("x-gym-id"))
        .route(Route::get("/users/{id}"))
        .route(Route::get("/private"));
    let handlers = Router::new()
        .route(
            "/users/{id}",
            get(|| async {
                tracing::info!(target: "handler", "ran");
                "somebody"
            })
            .put(|| async {}),
        )
        .route("/private", get(|| async { ([(header::CACHE_CONTROL, "private")], "") }));
    App::of(cache, handlers)
}

// The subscriber is the thread's, so all tasks are on one thread.
#[tokio::test]
async fn each_request_has_one_with_its_route_outcome_and_reason() {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = app();
    app.get("4", "/users/1").await;
    app.get_settled("4", "/users/1").await.assert_hit();
    let naked = Request::get("/users/1").body(axum::body::Body::empty()).unwrap();
    app.send(naked).await.assert_bypass("no-tenant");
    app.get("4", "/private").await;
    app.send(request(Method::PUT, "4", "/users/1")).await;
    app.cache.settled().await;
    let route = |template, outcome, reason: &[(&'static str, &'static str)]| {
        let mut all = vec![("method", "GET"), ("route", template), ("outcome", outcome)];
        all.extend(reason);
        ("cached_request", fields(&all))
    };
    let expected = [
        route("/users/{id}", "miss", &[("reason", "miss")]),
        route("/users/{id}", "hit", &[]),
        route("/users/{id}", "bypass", &[("reason", "no-tenant")]),
        route("/private", "miss", &[("reason", "private")]),
        ("mutating_request", fields(&[("method", "PUT")])),
    ];
    let spans = seen.spans.lock().clone();
    let spans: Vec<_> = spans.into_iter().map(|(_, name, fields)| (name, fields)).collect();
    assert_eq!(spans, expected);
    // The run is on a task of its own, in the span of the request that missed.
    let first = seen.spans.lock()[0].0;
    let third = seen.spans.lock()[2].0;
    let events = seen.events.lock().clone();
    assert_eq!(events, [("ran".to_owned(), Some(first)), ("ran".to_owned(), Some(third))]);
}

#[tokio::test]
async fn there_is_none_where_nobody_wants_it() {
    let seen = Seen::default();
    let filter = tracing_subscriber::EnvFilter::new("info");
    let subscriber = tracing_subscriber::registry().with(filter).with(seen.clone());
    let _guard = tracing::subscriber::set_default(subscriber);
    let app = app();
    app.get("4", "/users/1").await;
    app.get_settled("4", "/users/1").await.assert_hit();
    assert!(seen.spans.lock().is_empty());
}
