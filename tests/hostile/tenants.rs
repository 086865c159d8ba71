//! A tenant that asks for any number of keys, beside one that does not.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use bytes::Bytes;
use proptest::prelude::*;
use tower_response_cache::key::{Glob, Names, Space};
use tower_response_cache::store::{Filled, Miss, MissRequest};
use tower_response_cache::{Cache, MemoryStore, Route, Store, Tenant};

use crate::support::app::App;

const MIB: u64 = 1 << 20;

fn space(tenant: &str) -> Space {
    Space::new(&"gym".into(), tenant)
}

/// Bodies of 1000 bytes, and pages that are not there.
fn app(store: Arc<MemoryStore>) -> App {
    app_of(store, 1000)
}

fn app_of(store: Arc<MemoryStore>, size: usize) -> App {
    let cache = Cache::builder(store)
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/found/{id}"))
        .route(Route::get("/missing/{id}"));
    let found = move |Path(id): Path<String>| async move { format!("{id:0>size$}") };
    let router = Router::new()
        .route("/found/{id}", get(found))
        .route("/missing/{id}", get(|| async { StatusCode::NOT_FOUND }));
    App::of(cache, router)
}

async fn warm(app: &App, tenant: &str, count: usize) {
    for id in 0..count {
        app.get(tenant, &format!("/found/{id}")).await;
    }
    app.cache.settled().await;
}

/// How many of the tenant's pages are hits.
async fn hits(app: &App, tenant: &str, count: usize) -> usize {
    let mut hits = 0;
    for id in 0..count {
        hits += usize::from(app.get(tenant, &format!("/found/{id}")).await.is_hit());
    }
    hits
}

#[tokio::test]
async fn a_flood_gives_up_its_own_entries_and_not_those_of_others() {
    for (store, most, size) in [
        (MemoryStore::with_capacity(MIB), MIB, 1000),
        (MemoryStore::with_capacity(MIB).tenant_limit(MIB / 8), MIB / 8, 1000),
        // In eight parts.
        (MemoryStore::with_capacity(32 * MIB), 32 * MIB, 30_000),
    ] {
        let store = Arc::new(store);
        let app = app_of(Arc::clone(&store), size);
        warm(&app, "quiet", 50).await;
        assert_eq!(hits(&app, "quiet", 50).await, 50);
        let flood = usize::try_from(most).unwrap() / size * 2;
        for id in 0..flood {
            // As if each were worth keeping.
            for _ in 0..3 {
                app.get("loud", &format!("/found/{id}")).await;
                app.cache.settled().await;
            }
            assert!(store.bytes_of(&space("loud")) <= most);
        }
        assert_eq!(hits(&app, "quiet", 50).await, 50, "{store:?}");
        let loud = store.bytes_of(&space("loud"));
        assert!(loud >= most / 2, "it has what nobody else needs: {loud} of {most}");
        let last = format!("/found/{}", flood - 1);
        app.get("loud", &last).await.assert_hit();
    }
}

#[tokio::test]
async fn a_flood_of_pages_that_are_not_there_forgets_nothing_of_others() {
    let store = Arc::new(MemoryStore::with_capacity(MIB));
    let app = app(Arc::clone(&store));
    warm(&app, "quiet", 50).await;
    for id in 0..20_000 {
        app.get("loud", &format!("/missing/{id}")).await;
    }
    assert_eq!(hits(&app, "quiet", 50).await, 50);
}

#[tokio::test]
async fn what_is_of_use_to_the_tenant_that_floods_stays_too() {
    let store = Arc::new(MemoryStore::with_capacity(MIB));
    let app = app(Arc::clone(&store));
    warm(&app, "quiet", 10).await;
    warm(&app, "loud", 10).await;
    for id in 1..3000 {
        app.get("loud", &format!("/found/99?{id}")).await;
        app.cache.settled().await;
        if id % 50 == 0 {
            let stats = app.cache.stats();
            assert_eq!(hits(&app, "loud", 10).await, 10, "after {id}: {stats:?}");
        }
    }
}

#[tokio::test]
async fn who_is_alone_has_the_whole_store() {
    let store = Arc::new(MemoryStore::with_capacity(MIB));
    let app = app(Arc::clone(&store));
    warm(&app, "alone", 2000).await;
    assert!(store.bytes_of(&space("alone")) > MIB * 9 / 10, "{store:?}");
    // And must make room for others.
    for id in 0..100 {
        warm(&app, "second", 50).await;
        app.get("alone", &format!("/found/{}", 2000 + id)).await;
        app.cache.settled().await;
    }
    assert_eq!(hits(&app, "second", 50).await, 50);
}

#[tokio::test]
async fn an_entry_over_the_tenants_limit_is_not_stored() {
    let store = Arc::new(MemoryStore::with_capacity(MIB).tenant_limit(1000));
    let app = app(Arc::clone(&store));
    warm(&app, "4", 2).await;
    assert_eq!(hits(&app, "4", 2).await, 0);
    assert_eq!(store.bytes_of(&space("4")), 0);
    assert_eq!(store.bytes(), 0);
}

/// One change to a store, of tenant `t` and key `k`.
#[derive(Clone, Debug)]
enum Step {
    Fill { t: u8, k: u8, size: usize },
    Remove { t: u8, k: u8 },
    Discard { t: u8, k: u8 },
    Delete { t: u8, glob: &'static str },
    Read { t: u8, k: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let (t, k) = (0..3_u8, 0..30_u8);
    prop_oneof![
        6 => (t.clone(), k.clone(), 0..3000_usize).prop_map(|(t, k, size)| Step::Fill { t, k, size }),
        1 => (t.clone(), k.clone()).prop_map(|(t, k)| Step::Remove { t, k }),
        1 => (t.clone(), k.clone()).prop_map(|(t, k)| Step::Discard { t, k }),
        1 => (t.clone(), prop_oneof![Just("/1*"), Just("*")]).prop_map(|(t, glob)| Step::Delete { t, glob }),
        4 => (t, k).prop_map(|(t, k)| Step::Read { t, k }),
    ]
}

fn names(t: u8, k: u8) -> Names {
    let mut names = Names::new(&space(&t.to_string()), "GET", &format!("/{k}"));
    names.push_scope("tenant");
    names
}

async fn take(store: &MemoryStore, step: &Step) {
    match *step {
        Step::Fill { t, k, size } => {
            let names = names(t, k);
            let mut request = MissRequest::new(60_000, names.scopes_digest());
            request.ignore_entry = true;
            let Ok(Miss::Granted(snapshot)) = store.miss(&names, &request).await else {
                panic!("no snapshot");
            };
            let frame = Bytes::from(vec![k; size]);
            let filled = store.fill(&names, &snapshot, None, frame, 60_000).await.unwrap();
            let there = store.lookup(&names).await.unwrap().entry;
            assert_eq!(filled == Filled::Stored, there.is_some_and(|frame| frame.len() == size));
        }
        Step::Remove { t, k } => drop(store.remove(&names(t, k)).await),
        Step::Discard { t, k } => {
            let names = names(t, k);
            if let Some(frame) = store.lookup(&names).await.unwrap().entry {
                assert!(store.discard(&names, &frame).await.unwrap());
            }
        }
        Step::Delete { t, glob } => {
            let glob = Glob::new(glob).unwrap();
            store.delete_pattern(&space(&t.to_string()), &glob).await.unwrap();
        }
        Step::Read { t, k } => drop(store.lookup(&names(t, k)).await),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Also where the store gives up entries by itself, of whichever tenant.
    #[test]
    fn every_byte_is_on_somebodys_account(
        steps in proptest::collection::vec(step(), 1..200),
        limit in proptest::option::of(1000..20_000_u64),
    ) {
        let mut store = MemoryStore::with_capacity(20_000);
        if let Some(limit) = limit {
            store = store.tenant_limit(limit);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for step in &steps {
                take(&store, step).await;
                let held: HashMap<_, _> =
                    (0..3_u8).map(|t| (t, store.bytes_of(&space(&t.to_string())))).collect();
                assert_eq!(held.values().sum::<u64>(), store.bytes(), "{held:?} after {step:?}");
                assert!(store.bytes() <= 20_000);
                if let Some(limit) = limit {
                    assert!(held.values().all(|held| *held <= limit), "{held:?} over {limit}");
                }
            }
        });
    }
}
