//! Slots that move while they are used.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tower_response_cache::{NearCache, RedisStore};

use crate::cluster::{Cluster, PRIMARIES, ask};
use crate::traffic::{Seen, World};
use crate::{Instance, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_under_traffic() {
    let cluster = Cluster::start();
    let world = World::default();
    let plain = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let strict = RedisStore::builder(&cluster.url()).near_cache(NearCache::strict());
    let strict = Instance::new(strict, &world).await;
    let seen = Arc::<Seen>::default();
    let clients = world.traffic(&[plain.app.clone(), strict.app.clone()], 12, &seen);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let everybody = cluster.slot("gym:a:all");
    for round in 0..2 {
        for tenant in 0..12 {
            let slot = cluster.slot(&format!("gym:e:{{{tenant}}}:x"));
            let from = cluster.owner(&format!("gym:e:{{{tenant}}}:x"));
            let moving = cluster.moving(slot, from, (from + 1 + round) % PRIMARIES);
            while moving.step(3) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            moving.end();
        }
        let from = cluster.owner("gym:a:all");
        cluster.move_slot(everybody, from, (from + 1) % PRIMARIES);
    }
    eventually("hits again", async || {
        plain.app.cache.settled().await;
        plain.app.get("4", "/users/9").await.is_hit()
    })
    .await;
    seen.end("slots move", clients).await;
    let (moved, asked) = plain.store.redirects();
    println!("{moved} steps were sent on for good, {asked} for once");
    assert!(moved > 0 && asked > 0);
}

/// Half of the names are on either side, and then all of them on the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_is_deleted_wherever_the_slot_is_by_now() {
    let cluster = Cluster::start();
    let world = World::default();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let four = here.app.cache.tenant("4").unwrap();
    let fill = async || {
        for user in 0..40 {
            here.app.get("4", &format!("/users/{user}")).await;
        }
        here.app.cache.settled().await;
    };
    fill().await;
    let slot = cluster.slot("gym:e:{4}:x");
    let from = cluster.owner("gym:e:{4}:x");
    let to = (from + 1) % PRIMARIES;
    let moving = cluster.moving(slot, from, to);
    for _ in 0..8 {
        assert!(moving.step(4));
    }
    assert_eq!(four.delete_pattern("/users*").await.unwrap(), 40);
    while moving.step(20) {}
    moving.end();
    fill().await;
    // The map is old: nothing has been asked of this slot since.
    cluster.move_slot(slot, to, from);
    assert_eq!(four.delete_pattern("/users*").await.unwrap(), 40);
    // Invalidations are confirmed in the middle of a move too.
    here.app.warm("4", "/users/1").await;
    let moving = cluster.moving(slot, from, to);
    moving.step(4);
    four.invalidate_all().await.unwrap();
    four.invalidate_group("group-1").await.unwrap();
    while moving.step(20) {}
    moving.end();
    assert!(!here.app.get("4", "/users/1").await.is_hit());
}

/// The one that gives is passed over in the middle, and its replica knows nothing of the move (of Redis
/// 7.0). The one that takes has had the slot before, and would have its own old entries back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_a_fail_over_interrupts_is_mended_once_what_it_left_is_gone() {
    let cluster = Cluster::start();
    let world = World::default();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let name = "gym:e:{4}:x";
    let (slot, taker) = (cluster.slot(name), cluster.owner(name));
    here.app.warm("4", "/users/1").await;
    let giver = (taker + 1) % PRIMARIES;
    cluster.move_slot(slot, taker, giver);
    let moving = cluster.moving(slot, giver, taker);
    while moving.step(20) {}
    let heir = cluster.replica_of(giver);
    cluster.fail_over(heir);
    // Until then it sends whoever asks to the taker.
    eventually("the giver has heard", async || !cluster.is_primary(giver)).await;
    eventually("it is confirmed with the heir", async || {
        here.app.put("4", "/users/1", "").await.status.is_success()
    })
    .await;
    let version = world.version("4", "1");
    eventually("it is stored with the heir", async || {
        here.app.cache.settled().await;
        here.app.get("4", "/users/1").await.is_hit()
    })
    .await;
    let names = |node: usize| {
        let names = ["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "99"];
        ask(cluster.nodes[node].port(), &names)
    };
    assert!(names(taker).contains("gym:e:{4}") && names(heir).contains("gym:g:{4}"));

    // What docs/REDIS.md says.
    cluster.tell(taker, &["FLUSHALL"]);
    let node = format!("127.0.0.1:{}", cluster.nodes[taker].port());
    let mended = Command::new("redis-cli").args(["--cluster", "fix", &node]).output().unwrap();
    let said =
        [mended.stdout, mended.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(mended.status.success(), "{}\n{}", said[0], said[1]);
    cluster.settle();
    assert_eq!(cluster.owner(name), heir);
    cluster.move_slot(slot, heir, taker);
    eventually("hits again", async || {
        let answer = here.app.get("4", "/users/1").await;
        assert_eq!(answer.text(), format!("4/1={version}"), "{answer:?}");
        here.app.cache.settled().await;
        answer.is_hit()
    })
    .await;
}
