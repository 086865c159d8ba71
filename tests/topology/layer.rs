//! A layer over a cluster: what a store guarantees, what hits and what ends it.

use std::sync::Arc;
use std::time::Duration;

use tower_response_cache::store::conformance;
use tower_response_cache::{NearCache, RedisStore, Scope, Store};

use crate::cluster::{Cluster, PRIMARIES, ask};
use crate::traffic::{Seen, World};
use crate::{Instance, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_guarantee_of_a_store_holds_on_a_cluster() {
    let cluster = Cluster::start();
    let (plain, strict) = tokio::join!(
        RedisStore::builder(&cluster.url()).connect(),
        RedisStore::builder(&cluster.url()).near_cache(NearCache::strict()).connect(),
    );
    let coherent = RedisStore::builder(&cluster.url()).near_cache(NearCache::coherent());
    let (plain, strict) = (plain.unwrap(), strict.unwrap());
    let coherent = coherent.connect().await.unwrap();
    coherent.attach("conformance");
    eventually("every primary's feed is alive", async || coherent.is_near_alive()).await;
    tokio::join!(conformance::all(&plain), conformance::all(&strict), conformance::all(&coherent));
    tokio::join!(
        conformance::all_spread(&plain),
        conformance::all_spread(&strict),
        conformance::all_spread(&coherent),
    );
    assert_eq!(plain.redirects(), (0, 0), "every step went to the right node at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_a_hit_ends_it_on_every_node() {
    let cluster = Cluster::start();
    ends_on_every_node(&cluster, &World::default()).await;
    for node in &cluster.nodes[..PRIMARIES] {
        ask(node.port(), &["FLUSHALL"]);
    }
    ends_on_every_node(&cluster, &World::spread()).await;
}

async fn ends_on_every_node(cluster: &Cluster, world: &World) {
    for near in [None, Some(NearCache::coherent()), Some(NearCache::strict())] {
        let mut builder = RedisStore::builder(&cluster.url());
        if let Some(near) = &near {
            builder = builder.near_cache(near.clone());
        }
        let here = Instance::new(builder.clone(), world).await;
        let there = Instance::new(builder, world).await;
        if near.is_some() {
            eventually("alive", async || here.store.is_near_alive() && there.store.is_near_alive())
                .await;
        }
        let tenants: Vec<String> = (0..9).map(|tenant| tenant.to_string()).collect();
        let warm = async || {
            for tenant in &tenants {
                here.app.warm(tenant, "/users/1").await;
                there.app.get(tenant, "/users/1").await.assert_hit();
            }
        };
        // What another instance has ended may be seen later only within the feed's bound.
        let ended = async |tenant: &str| {
            eventually("ended", async || !there.app.get(tenant, "/users/1").await.is_hit()).await;
        };
        warm().await;
        for node in &cluster.nodes[..PRIMARIES] {
            assert!(!ask(node.port(), &["DBSIZE"]).starts_with(":0"), "every node has something");
        }
        here.app.put("4", "/users/1", "").await;
        ended("4").await;
        there.app.get("5", "/users/1").await.assert_hit();
        let four = here.app.cache.tenant("4").unwrap();
        let five = here.app.cache.tenant("5").unwrap();
        five.invalidate_group("group-1").await.unwrap();
        ended("5").await;
        warm().await;
        four.invalidate_all().await.unwrap();
        ended("4").await;
        five.invalidate(&Scope::path("/users/1")).await.unwrap();
        ended("5").await;
        warm().await;
        assert_eq!(four.delete_pattern("/users*").await.unwrap(), 1);
        ended("4").await;
        here.app.put("7", "/fenced/1", "").await;
        ended("7").await;
        warm().await;
        assert!(here.app.put("1", "/plans", "").await.status.is_success());
        for tenant in &tenants {
            ended(tenant).await;
        }
        warm().await;
        assert_eq!(here.store.redirects(), (0, 0));
    }
}

/// The node of the scope of all tenants comes back with what it had before it moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scope_of_all_tenants_revives_nothing_from_an_old_snapshot() {
    let mut cluster = Cluster::start();
    let world = World::default();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let node = cluster.owner("gym:a:all");
    let elsewhere = (0..99).map(|tenant| tenant.to_string());
    let mut elsewhere =
        elsewhere.filter(|tenant| cluster.owner(&format!("gym:e:{{{tenant}}}:x")) != node);
    let tenant = elsewhere.next().unwrap();
    here.app.warm(&tenant, "/users/1").await;
    ask(cluster.nodes[node].port(), &["SAVE"]);
    world.bump(&tenant, "1");
    assert!(here.app.put(&tenant, "/plans", "").await.status.is_success());
    cluster.nodes[node].restart();
    cluster.nodes[node + PRIMARIES].resume();
    cluster.settle();
    eventually("hits again", async || {
        let answer = here.app.get(&tenant, "/users/1").await;
        assert_eq!(answer.text(), format!("{tenant}/1=1"));
        if !answer.is_hit() {
            here.app.cache.settled().await;
        }
        answer.is_hit()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_dies_under_traffic() {
    dies_under_traffic(World::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_dies_under_traffic_of_spread_tenants() {
    dies_under_traffic(World::spread()).await;
}

async fn dies_under_traffic(world: World) {
    let mut cluster = Cluster::start();
    let plain = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let strict = RedisStore::builder(&cluster.url()).near_cache(NearCache::strict());
    let strict = Instance::new(strict, &world).await;
    let seen = Arc::<Seen>::default();
    let apps = [plain.app.clone(), strict.app.clone()];
    let clients = world.traffic(&apps, 30, &seen);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let name = "gym:e:{4}:x";
    let was = cluster.owner(name);
    cluster.kill(was);
    let now = cluster.owner(name);
    assert_ne!(was, now);
    for app in &apps {
        eventually("hits again", async || {
            app.cache.settled().await;
            app.get("4", "/users/9").await.is_hit()
        })
        .await;
    }
    // It comes back, and is a replica: what it remembers of itself is believed by nobody.
    cluster.nodes[was].restart();
    cluster.settle();
    tokio::time::sleep(Duration::from_millis(500)).await;
    seen.end("a primary dies", clients).await;
    println!("redirects: {:?}, {:?}", plain.store.redirects(), strict.store.redirects());
}
