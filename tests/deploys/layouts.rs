//! The deploy that spreads tenants over slots, or takes that back: two layouts of one tenant.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderName;
use axum::routing::get;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tower_response_cache::{Cache, CacheBuilder, On, Route, Tenant};

use crate::support::Backend;
use crate::support::app::App;
use crate::{Guard, on_each_store};

const GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// What handlers answer with, all of them in one group; one that has begun goes on when it may.
#[derive(Clone)]
struct News {
    text: Arc<Mutex<String>>,
    begun: Arc<Semaphore>,
    may_go_on: Arc<Semaphore>,
}

impl News {
    fn new() -> Self {
        Self {
            text: Arc::new(Mutex::new("first".into())),
            begun: Arc::new(Semaphore::new(0)),
            may_go_on: Arc::new(Semaphore::new(0)),
        }
    }

    fn router(&self) -> Router {
        let news = self.clone();
        let read = async move || {
            let text = news.text.lock().clone();
            news.begun.add_permits(1);
            news.may_go_on.acquire().await.unwrap().forget();
            ([(GROUPS, "\"news\"")], text)
        };
        Router::new().route("/news", get(read).put(async || "written"))
    }
}

async fn instance(
    backend: &Backend,
    guard: Guard,
    news: &News,
    layout: fn(CacheBuilder) -> CacheBuilder,
) -> App {
    let builder = Cache::builder(backend.another().await)
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .invalidate(On::put("/news").path("/news"))
        .route(Route::get("/news").ttl(Duration::from_secs(60)));
    let builder = if guard == Guard::Off { builder.shared_namespace() } else { builder };
    App::of(layout(builder), news.router())
}

fn plain(builder: CacheBuilder) -> CacheBuilder {
    builder
}

on_each_store! {
    async fn neither_layout_finds_what_the_other_one_has_stored(backend: Backend) {
        let news = News::new();
        news.may_go_on.add_permits(100);
        let old = instance(&backend, Guard::On, &news, plain).await;
        let new = instance(&backend, Guard::On, &news, CacheBuilder::spread_tenants).await;
        old.warm("4", "/news").await;
        new.get("4", "/news").await.assert_miss();
        new.cache.settled().await;
        new.get("4", "/news").await.assert_hit();
        old.get("4", "/news").await.assert_hit();
    }

    async fn what_either_layout_invalidates_is_gone_from_both(backend: Backend) {
        let news = News::new();
        news.may_go_on.add_permits(1000);
        let old = instance(&backend, Guard::On, &news, plain).await;
        let new = instance(&backend, Guard::On, &news, CacheBuilder::spread_tenants).await;
        let mut version = 0;
        for (writer, reader) in [(&old, &new), (&new, &old)] {
            for way in ["path", "group", "pattern", "tenant"] {
                reader.warm("4", "/news").await;
                writer.get("4", "/news").await;
                version += 1;
                version.to_string().clone_into(&mut news.text.lock());
                let tenant = writer.cache.tenant("4").unwrap();
                match way {
                    "path" => drop(writer.put("4", "/news", "").await),
                    "group" => tenant.invalidate_group("news").await.unwrap(),
                    "pattern" => drop(tenant.delete_pattern("/news*").await.unwrap()),
                    _ => tenant.invalidate_all().await.unwrap(),
                }
                let answer = reader.get("4", "/news").await;
                assert_eq!(answer.text(), version.to_string(), "{way}");
                reader.cache.settled().await;
                writer.cache.settled().await;
            }
        }
    }

    async fn a_value_that_either_layout_sets_or_removes_is_gone_from_both(backend: Backend) {
        let hour = Duration::from_secs(3600);
        let news = News::new();
        news.may_go_on.add_permits(100);
        let old = instance(&backend, Guard::On, &news, plain).await;
        let new = instance(&backend, Guard::On, &news, CacheBuilder::spread_tenants).await;
        for (writer, reader) in [(&old, &new), (&new, &old)] {
            let (here, there) = (writer.cache.tenant("4").unwrap(), reader.cache.tenant("4").unwrap());
            for way in ["set", "remove"] {
                there.set("hours", hour, "before").await.unwrap();
                let found = there.get::<String>("hours").await.unwrap();
                assert_eq!(found.as_deref(), Some("before"), "{way}");
                // A miss tells that there is another one.
                writer.get("4", "/news").await;
                writer.cache.settled().await;
                match way {
                    "set" => here.set("hours", hour, "after").await.unwrap(),
                    _ => drop(here.remove("hours").await.unwrap()),
                }
                assert_eq!(there.get::<String>("hours").await.unwrap(), None, "{way}");
            }
        }
    }

    async fn a_response_under_way_in_one_layout_is_not_stored_after_its_group_moved_in_the_other(
        backend: Backend
    ) {
        assert!(!is_stale_after_a_group(&backend, Guard::On).await);
    }
}

/// The epochs of the other layout stand when a group is invalidated; what moves is all of the tenant.
/// Who shares a namespace for good has to agree in the layout.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_that_are_not_told_apart_must_agree_in_the_layout() {
    assert!(is_stale_after_a_group(&Backend::redis().await, Guard::Off).await);
}

/// Whether a handler that began before a group was invalidated in another layout has left its answer.
async fn is_stale_after_a_group(backend: &Backend, guard: Guard) -> bool {
    let news = News::new();
    let old = instance(backend, guard, &news, plain).await;
    let new = instance(backend, guard, &news, CacheBuilder::spread_tenants).await;
    // So that there is a generation of the group.
    news.may_go_on.add_permits(1);
    old.get("4", "/news").await;
    old.cache.settled().await;
    news.begun.forget_permits(1);
    old.cache.tenant("4").unwrap().invalidate_group("news").await.unwrap();
    let reading = tokio::spawn({
        let old = old.clone();
        async move { old.get("4", "/news").await }
    });
    news.begun.acquire().await.unwrap().forget();
    "second".clone_into(&mut news.text.lock());
    new.cache.tenant("4").unwrap().invalidate_group("news").await.unwrap();
    news.may_go_on.add_permits(100);
    assert_eq!(reading.await.unwrap().text(), "first");
    old.cache.settled().await;
    old.get("4", "/news").await.text() == "first"
}
