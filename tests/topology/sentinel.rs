//! Sentinels: the primary they name, and the next one.

use std::sync::Arc;
use std::time::Duration;

use tower_response_cache::store::{StoreErrorKind, conformance};
use tower_response_cache::{NearCache, RedisStore, RedisStoreBuilder, Store};

use crate::sentinels::{PASSWORD, Watched};
use crate::traffic::{Seen, World};
use crate::{Instance, eventually};

fn builder(watched: &Watched) -> RedisStoreBuilder {
    RedisStore::builder(&watched.url()).sentinel_credentials("", PASSWORD)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_guarantee_of_a_store_holds_behind_sentinels() {
    let watched = Watched::start();
    conformance::all(&builder(&watched).connect().await.unwrap()).await;
    // Mistakes are told apart.
    let wrong = [
        RedisStore::builder(&watched.url()),
        RedisStore::builder(&watched.url().replace("/gym", "/gim"))
            .sentinel_credentials("", PASSWORD),
        builder(&watched).credentials("", "another"),
    ];
    for (builder, said) in wrong.into_iter().zip(["NOAUTH", "`gim`", "WRONGPASS"]) {
        let error = builder.connect().await.unwrap_err();
        let text = std::error::Error::source(&error).unwrap().to_string();
        assert!(text.contains(said) && !text.contains(PASSWORD), "{text}");
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_dies_under_traffic_and_changes() {
    let mut watched = Watched::start();
    let world = World::default();
    let plain = Instance::new(builder(&watched), &world).await;
    let near = builder(&watched).near_cache(NearCache::strict());
    let near = Instance::new(near, &world).await;
    let seen = Arc::<Seen>::default();
    let apps = [plain.app.clone(), near.app.clone()];
    let clients = world.traffic(&apps, 5, &seen);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let hits_again = async |apps: &[crate::App]| {
        for app in apps {
            eventually("hits again", async || {
                app.cache.settled().await;
                app.get("4", "/users/9").await.is_hit()
            })
            .await;
        }
    };
    let primary = watched.primary();
    watched.servers[primary].kill();
    crate::cluster::until("another is the primary", || watched.primary() != primary);
    hits_again(&apps).await;
    // It comes back, and is what the sentinels say: a replica.
    watched.servers[primary].restart();
    watched.settle();
    hits_again(&apps).await;
    seen.end("the primary dies", clients).await;
    // By order, and the old one lives on. It is left within about a second; what it answers until
    // then is not judged here.
    watched.fail_over();
    let expected = format!("Redis at 127.0.0.1:{}", watched.servers[watched.primary()].port());
    eventually("the new one is known", async || plain.store.status().place == expected).await;
    hits_again(&apps).await;
}
