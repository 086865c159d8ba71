//! A primary that lives is passed over: sentinels name another, and nobody demotes the one before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tower_response_cache::{NearCache, RedisStore, RedisStoreBuilder, Store};

use crate::cluster::{ask, field, node, until};
use crate::sentinels::{Lone, PASSWORD};
use crate::support::redis_server::RedisServer;
use crate::traffic::{Seen, World};
use crate::{Instance, eventually};

fn behind(sentinel: &Lone) -> RedisStoreBuilder {
    RedisStore::builder(&sentinel.url()).sentinel_credentials("", PASSWORD)
}

/// Waits until the instance uses this server.
async fn uses(instance: &Instance, server: &RedisServer) {
    let expected = format!("Redis at 127.0.0.1:{}", server.port());
    eventually("it is used", async || instance.store.status().place == expected).await;
}

/// An instance, cut off with one server, confirms what another server knows nothing of, where others
/// have stored an answer from before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_with_one_primary_ends_what_another_holds() {
    let (one, two) = (RedisServer::start(), RedisServer::start());
    let sentinel = Lone::start(one.port());
    let world = World::default();
    let here = Instance::new(behind(&sentinel), &world).await;
    let there = Instance::new(RedisStore::builder(&two.url()), &world).await;
    let back = Instance::new(RedisStore::builder(&one.url()), &world).await;
    let path = "/users/1";
    let old = async |instance: &Instance, gyms: &[&str]| {
        for gym in gyms {
            let answer = instance.app.get(gym, path).await;
            answer.assert_hit();
            assert_eq!(answer.text(), format!("{gym}/1=0"), "the situation is made");
        }
    };
    let new = async |instance: &Instance, gyms: &[&str]| {
        for gym in gyms {
            let answer = instance.app.get(gym, path).await;
            assert_eq!(answer.text(), format!("{gym}/1=1"), "{answer:?}");
        }
    };
    let tenants = ["path", "tenant", "group", "pattern", "fence", "other"];
    for gym in tenants {
        there.app.warm(gym, path).await;
        back.app.warm(gym, path).await;
    }
    let tenant = |gym: &str| here.app.cache.tenant(gym).unwrap();
    here.app.put("path", path, "").await;
    here.app.put("fence", "/fenced/1", "").await;
    for gym in ["tenant", "group", "pattern"] {
        world.bump(gym, "1");
    }
    tenant("tenant").invalidate_all().await.unwrap();
    tenant("group").invalidate_group("group-1").await.unwrap();
    tenant("pattern").delete_pattern("/users*").await.unwrap();
    old(&there, &tenants).await;

    sentinel.name(two.port());
    uses(&here, &two).await;
    new(&there, &tenants[..5]).await;
    new(&here, &tenants[..5]).await;
    old(&there, &["other"]).await;

    // And back: the first has been a primary all the while, so that its entries are of the same run.
    back.app.warm("back", path).await;
    here.app.put("back", path, "").await;
    old(&back, &["back"]).await;
    sentinel.name(one.port());
    uses(&here, &one).await;
    new(&back, &["back"]).await;

    // Of all tenants.
    for gym in ["a", "b"] {
        there.app.warm(gym, path).await;
        world.bump(gym, "1");
    }
    assert!(here.app.put("a", "/plans", "").await.status.is_success());
    old(&there, &["a", "b"]).await;
    sentinel.name(two.port());
    uses(&here, &two).await;
    new(&there, &["a", "b"]).await;

    // Without the sentinel nobody knows of another.
    drop(sentinel);
    here.app.warm("other", path).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    here.app.get("other", path).await.assert_hit();
    here.app.put("other", path, "").await;
    assert_eq!(here.app.get("other", path).await.text(), "other/1=1");
}

/// Each instance hears of the other server in its own time, and both servers take all that comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_lives_is_passed_over_under_traffic() {
    let (one, two) = (RedisServer::start(), RedisServer::start());
    let sentinel = Lone::start(one.port());
    let world = World::default();
    let mut instances = Vec::new();
    for near in [None, Some(NearCache::strict()), None] {
        let builder = behind(&sentinel);
        let builder = match near {
            Some(near) => builder.near_cache(near),
            None => builder,
        };
        instances.push(Instance::new(builder, &world).await);
    }
    let apps: Vec<_> = instances.iter().map(|instance| instance.app.clone()).collect();
    let seen = Arc::<Seen>::default();
    let clients = world.traffic(&apps, 5, &seen);
    for server in [&two, &one, &two] {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sentinel.name(server.port());
        for instance in &instances {
            uses(instance, server).await;
            eventually("hits again", async || {
                instance.app.cache.settled().await;
                instance.app.get("4", "/users/9").await.is_hit()
            })
            .await;
        }
    }
    seen.end("a primary is passed over", clients).await;
}

/// Meanwhile others have long used another primary, and confirmed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_was_suspended_believes_nothing_from_before() {
    let (one, two) = (RedisServer::start(), RedisServer::start());
    let sentinel = Arc::new(Lone::start(one.port()));
    let world = World::default();
    let (ready, is_ready) = tokio::sync::oneshot::channel();
    let (wake, wakes) = std::sync::mpsc::channel::<()>();
    let suspended = {
        let (sentinel, world) = (Arc::clone(&sentinel), world.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let here = Instance::new(behind(&sentinel), &world).await;
                here.app.warm("4", "/users/1").await;
                here.app.get("4", "/users/1").await.assert_hit();
                ready.send(()).unwrap();
                // Nothing of it runs until then.
                wakes.recv().unwrap();
                here.app.get("4", "/users/1").await.text().to_owned()
            })
        })
    };
    is_ready.await.unwrap();
    let there = Instance::new(behind(&sentinel), &world).await;
    sentinel.name(two.port());
    uses(&there, &two).await;
    assert_eq!(there.app.put("4", "/users/1", "").await.text(), "1");
    wake.send(()).unwrap();
    let seen = tokio::task::spawn_blocking(|| suspended.join().unwrap()).await.unwrap();
    assert_eq!(seen, "4/1=1");
}

/// Whoever names the primary and answers is heard, whatever becomes of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_that_hangs_is_not_waited_for() {
    let (one, two) = (RedisServer::start(), RedisServer::start());
    let (prompt, hung) = (Lone::start(one.port()), Lone::start(one.port()));
    let world = World::default();
    let url = format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/gym", prompt.port(), hung.port());
    let builder = RedisStore::builder(&url).sentinel_credentials("", PASSWORD);
    let here = Instance::new(builder.clone(), &world).await;
    here.app.warm("4", "/users/1").await;
    hung.pause(true);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        here.app.get("4", "/users/1").await.assert_hit();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    prompt.name(two.port());
    uses(&here, &two).await;
    // One that starts now learns it as well.
    uses(&Instance::new(builder, &world).await, &two).await;
    // It is of the same epoch, and knows no better.
    hung.pause(false);
    tokio::time::sleep(Duration::from_secs(2)).await;
    uses(&here, &two).await;
}

/// Two nodes that do not know of each other each take all slots for theirs; then they meet, and one of
/// them loses, with all that was confirmed with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_with_one_node_ends_what_the_next_one_holds() {
    ends_what_the_next_one_holds(World::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_of_a_spread_tenant_ends_what_the_next_one_holds() {
    ends_what_the_next_one_holds(World::spread()).await;
}

async fn ends_what_the_next_one_holds(world: World) {
    let (one, two) = (node(&[]), node(&[]));
    for (node, epoch) in [(&one, "1"), (&two, "2")] {
        ask(node.port(), &["CLUSTER", "SET-CONFIG-EPOCH", epoch]);
        ask(node.port(), &["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        until("it is a cluster by itself", || {
            ask(node.port(), &["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
    }
    let url = |node: &RedisServer| format!("redis+cluster://127.0.0.1:{}", node.port());
    let here = Instance::new(RedisStore::builder(&url(&one)), &world).await;
    let there = Instance::new(RedisStore::builder(&url(&two)), &world).await;
    for gym in ["4", "all", "other"] {
        there.app.warm(gym, "/users/1").await;
    }
    here.app.put("4", "/users/1", "").await;
    there.app.get("4", "/users/1").await.assert_hit();
    let bus = field(&ask(two.port(), &["CONFIG", "GET", "cluster-port"]));
    ask(one.port(), &["CLUSTER", "MEET", "127.0.0.1", &two.port().to_string(), &bus]);
    eventually("the second has won, and is told", async || {
        here.app.get("x", "/users/1").await;
        there.app.get("4", "/users/1").await.text() == "4/1=1"
    })
    .await;
    there.app.get("other", "/users/1").await.assert_hit();
    uses(&here, &two).await;
}
