//! Tenants that are spread over the slots of a cluster.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower_response_cache::entry::{Generation, Id};
use tower_response_cache::key::{EPOCHS, Names, ScopeNames, Space};
use tower_response_cache::store::{Filled, Miss, MissRequest, Mode, Stamped};
use tower_response_cache::{NearCache, RedisStore, Store};

use crate::cluster::{Cluster, PRIMARIES, ask};
use crate::traffic::{Seen, World};
use crate::{Instance, eventually};

fn space(tenant: &str) -> Space {
    Space::new(&Arc::from("gym"), tenant).spread(true)
}

/// Which node has the entry of this user.
fn node_of(cluster: &Cluster, tenant: &str, path: &str) -> usize {
    cluster.owner(Names::new(&space(tenant), "GET", path).entry())
}

/// A path of the tenant whose entry is on this node, or on any other.
fn path_on(cluster: &Cluster, tenant: &str, node: usize, on_it: bool) -> String {
    let mut paths = (0..1000).map(|id| format!("/users/{id}"));
    paths
        .find(|path| (node_of(cluster, tenant, path) == node) == on_it)
        .expect("64 places are many")
}

/// What each primary has of the entries of tenant 4, in bytes.
fn bytes(cluster: &Cluster) -> Vec<u64> {
    let sum = "local sum = 0 for _, name in ipairs(redis.call('KEYS', 'gym:e:{4*')) do \
               sum = sum + redis.call('MEMORY', 'USAGE', name) end return sum";
    let primaries = cluster.nodes[..PRIMARIES].iter();
    primaries
        .map(|node| ask(node.port(), &["EVAL", sum, "0"])[1..].trim().parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_on_every_primary_and_about_a_third_of_it_on_each() {
    let cluster = Cluster::start();
    let fill = async |world: &World| {
        let here = Instance::new(RedisStore::builder(&cluster.url()), world).await;
        for id in 0..600 {
            here.app.get("4", &format!("/users/{id}")).await;
        }
        here.app.cache.settled().await;
        for id in 0..600 {
            here.app.get("4", &format!("/users/{id}")).await.assert_hit();
        }
        assert_eq!(here.store.redirects(), (0, 0), "every step went to the right node at once");
    };
    fill(&World::default()).await;
    let plain = bytes(&cluster);
    assert_eq!(plain.iter().filter(|&&bytes| bytes > 0).count(), 1, "{plain:?}");
    for node in &cluster.nodes[..PRIMARIES] {
        ask(node.port(), &["FLUSHALL"]);
    }
    fill(&World::spread()).await;
    let spread = bytes(&cluster);
    let sum: u64 = spread.iter().sum();
    let shares: Vec<u64> = spread.iter().map(|bytes| 100 * bytes / sum).collect();
    println!("in one slot {plain:?}, spread {spread:?}, in per cent {shares:?}");
    assert!(shares.iter().all(|share| (20..=47).contains(share)), "{shares:?}");
}

/// The commands that a server was sent, with their times.
fn watched(port: u16) -> std::thread::JoinHandle<Vec<(f64, String)>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"*1\r\n$7\r\nMONITOR\r\n").unwrap();
    let mut lines = BufReader::new(stream);
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "+OK\r\n");
    std::thread::spawn(move || {
        let mut seen = Vec::new();
        for line in lines.lines() {
            let line = line.unwrap();
            if line.contains("that is all") {
                break;
            }
            let (at, command) = line[1..].split_once(' ').unwrap();
            seen.push((at.parse().unwrap(), command.to_owned()));
        }
        seen
    })
}

/// A response that is under way would be stamped with what the group becomes, if it could still find
/// its epoch: so all epochs are moved before it. The nodes have one clock here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_epochs_are_moved_before_the_first_group() {
    let cluster = Cluster::start();
    let world = World::spread();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    for id in 0..300 {
        here.app.get("4", &format!("/users/{id}")).await;
    }
    here.app.cache.settled().await;
    for _ in 0..5 {
        let watched: Vec<_> =
            cluster.nodes[..PRIMARIES].iter().map(|node| watched(node.port())).collect();
        here.app.cache.tenant("4").unwrap().invalidate_group("group-1").await.unwrap();
        for node in &cluster.nodes[..PRIMARIES] {
            ask(node.port(), &["ECHO", "that is all"]);
        }
        let seen: Vec<_> = watched.into_iter().flat_map(|seen| seen.join().unwrap()).collect();
        let times = |name: &str| {
            let set = format!("\"SET\" \"{name}\"").to_lowercase();
            let of = seen.iter().filter(move |(_, command)| command.to_lowercase().contains(&set));
            of.map(|(at, _)| *at).collect::<Vec<f64>>()
        };
        let group = times("gym:g:{4}:group:group-1");
        assert_eq!(group.len(), 1, "{seen:?}");
        let epochs: Vec<_> = (0..EPOCHS).map(|number| times(&space("4").epoch(number))).collect();
        let last = epochs.iter().flatten().copied().fold(0.0, f64::max);
        assert!(epochs.iter().filter(|times| !times.is_empty()).count() > 50, "{epochs:?}");
        assert!(last < group[0], "an epoch at {last}, the group at {}", group[0]);
    }
}

/// The harm in the other order: the group has moved, and waits for its replica before the epochs are
/// moved. Whatever a response from before is stamped with meanwhile, it must not be valid afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_from_before_is_not_in_what_its_group_becomes() {
    let cluster = Cluster::start();
    let url = cluster.url();
    let patient = RedisStore::builder(&url).replicas(1, Duration::from_secs(20));
    let here = Arc::new(patient.connect().await.unwrap());
    let there = RedisStore::builder(&url).connect().await.unwrap();
    let stamps = cluster.owner("gym:g:{4}:tenant");
    let mut names = Names::new(&space("4"), "GET", &path_on(&cluster, "4", stamps, false));
    names.push_scope("tenant");
    let groups = ScopeNames::groups(&space("4"), ["news"]);
    let request = MissRequest::new(60_000, names.scopes_digest());
    // So that there is a generation to move.
    let Miss::Granted(first) = there.miss(&names, &request).await.unwrap() else { panic!() };
    there.stamp(&names, &first, &groups, 60_000).await.unwrap();

    let Miss::Granted(snapshot) = there.miss(&names, &request).await.unwrap() else { panic!() };
    // Here its handler begins. Then somebody commits, and invalidates.
    let port = |name: &str| cluster.nodes[cluster.owner(name)].port();
    let (group, epoch) = ("gym:g:{4}:group:news", names.epoch());
    let dump = || [ask(port(group), &["DUMP", group]), ask(port(epoch), &["DUMP", epoch])];
    let was = dump();
    let replica = &cluster.nodes[cluster.replica_of(stamps)];
    replica.pause();
    let invalidation = tokio::spawn({
        let (here, groups) = (Arc::clone(&here), groups.clone());
        async move { here.invalidate(&groups, Mode::Hard).await }
    });
    eventually("one of them has moved", async || dump() != was).await;
    let mut ids = None;
    if let Stamped::Stamps(stamped) = there.stamp(&names, &snapshot, &groups, 60_000).await.unwrap()
    {
        let old = Bytes::from_static(b"old");
        let filled = there.fill(&names, &snapshot, None, old, 60_000).await.unwrap();
        ids = (filled == Filled::Stored).then_some(stamped);
    }
    assert!(!invalidation.is_finished(), "the situation is made");
    replica.resume();
    invalidation.await.unwrap().unwrap();
    let now = there.generations(&groups).await.unwrap().generations;
    let now: Option<Box<[Id]>> = now.iter().map(Generation::current).collect();
    assert!(ids.is_none() || ids != now, "what was made before is in the group of after");
}

/// A handler is under way while its group is invalidated, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_invalidated_while_responses_that_name_it_are_under_way() {
    let cluster = Cluster::start();
    let world = World::spread();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let there = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let began = Instant::now();
    let mut round = 0;
    while began.elapsed() < Duration::from_secs(3) {
        round += 1;
        let id = (round % 97).to_string();
        let path = format!("/users/{id}");
        let read = there.app.get("4", &path);
        let write = async {
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            world.bump("4", &id);
            let tenant = here.app.cache.tenant("4").unwrap();
            tenant.invalidate_group(&format!("group-{id}")).await.unwrap();
        };
        tokio::join!(read, write);
        let expected = format!("4/{id}={}", world.version("4", &id));
        assert_eq!(there.app.get("4", &path).await.text(), expected);
        assert_eq!(here.app.get("4", &path).await.text(), expected);
    }
    println!("{round} rounds");
    assert!(round > 20);
}

/// Entries are of the run of one server, and their stamps of that of another. An old snapshot of either
/// one revives nothing, nor does the replica of either one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_snapshot_of_either_server_revives_nothing() {
    let mut cluster = Cluster::start();
    let world = World::spread();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let tenant = here.app.cache.tenant("4").unwrap();
    let stamps = cluster.owner("gym:g:{4}:tenant");
    let path = path_on(&cluster, "4", stamps, false);
    let id = path.rsplit('/').next().unwrap();
    let entries = node_of(&cluster, "4", &path);
    for (node, what) in [(stamps, "the generations"), (entries, "the entry")] {
        here.app.warm("4", &path).await;
        let old = here.app.get("4", &path).await;
        old.assert_hit();
        ask(cluster.nodes[node].port(), &["SAVE"]);
        world.bump("4", id);
        if node == stamps {
            assert!(here.app.put("4", &path, "").await.status.is_success());
        } else {
            assert_eq!(tenant.delete_pattern(&path).await.unwrap(), 1);
        }
        cluster.nodes[node].restart();
        cluster.nodes[node + PRIMARIES].resume();
        cluster.settle();
        let entry = Names::new(&space("4"), "GET", &path).entry().to_owned();
        let there = ask(cluster.nodes[entries].port(), &["EXISTS", &entry]);
        assert_eq!(there.trim(), ":1", "the situation of {what} is made");
        eventually("hits again", async || {
            let answer = here.app.get("4", &path).await;
            let expected = format!("4/{id}={}", world.version("4", id));
            assert_eq!(answer.text(), expected, "an old snapshot of the server of {what}");
            if !answer.is_hit() {
                here.app.cache.settled().await;
            }
            answer.is_hit()
        })
        .await;
    }
}

/// The primary that has the generations stays, and another one changes: what has moved with that one may
/// be lost to the next, so all of the tenant is moved once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_moved_lately_is_ended_when_a_primary_changes_that_has_a_part_of_the_tenant() {
    let cluster = Cluster::start();
    let world = World::spread();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let name = "gym:g:{4}:tenant";
    let stamps = cluster.owner(name);
    let path = path_on(&cluster, "4", stamps, false);
    here.app.warm("4", &path).await;
    here.app.put("4", &path, "").await;
    let generation = || ask(cluster.nodes[stamps].port(), &["DUMP", name]);
    let was = generation();
    let primary = node_of(&cluster, "4", &path);
    cluster.fail_over(cluster.replica_of(primary));
    cluster.settle();
    eventually("the tenant has moved", async || {
        here.app.get("4", &path).await;
        generation() != was
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_is_deleted_on_every_primary_while_slots_move() {
    let cluster = Cluster::start();
    let world = World::spread();
    let here = Instance::new(RedisStore::builder(&cluster.url()), &world).await;
    let four = here.app.cache.tenant("4").unwrap();
    let fill = async || {
        for user in 0..200 {
            here.app.get("4", &format!("/users/{user}")).await;
        }
        here.app.cache.settled().await;
    };
    fill().await;
    assert_eq!(four.delete_pattern("/users/1?").await.unwrap(), 10);
    assert_eq!(four.delete_pattern("/users*").await.unwrap(), 190);
    fill().await;
    let name = Names::new(&space("4"), "GET", "/users/7").entry().to_owned();
    let (slot, from) = (cluster.slot(&name), cluster.owner(&name));
    let to = (from + 1) % PRIMARIES;
    let moving = cluster.moving(slot, from, to);
    assert!(moving.step(1));
    assert_eq!(four.delete_pattern("/users*").await.unwrap(), 200);
    // Groups can be invalidated in the middle of a move too.
    four.invalidate_group("group-1").await.unwrap();
    while moving.step(20) {}
    moving.end();
    fill().await;
    // The map is old: nothing has been asked of this slot since.
    cluster.move_slot(slot, to, from);
    assert_eq!(four.delete_pattern("/users*").await.unwrap(), 200);
}

/// Instances of both layouts, as during the deploy that changes it, plain and with a near-cache.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layouts_change_under_traffic() {
    let cluster = Cluster::start();
    let world = World::default();
    let spread = world.clone().spread_out();
    let builder = || RedisStore::builder(&cluster.url());
    let strict = || builder().near_cache(NearCache::strict());
    let instances = [
        Instance::new(builder(), &world).await,
        Instance::new(builder(), &spread).await,
        Instance::new(strict(), &world).await,
        Instance::new(strict(), &spread).await,
    ];
    let apps: Vec<_> = instances.iter().map(|instance| instance.app.clone()).collect();
    let seen = Arc::<Seen>::default();
    let clients = world.traffic(&apps, 3, &seen);
    let began = Instant::now();
    let mut groups = 0;
    while began.elapsed() < Duration::from_secs(3) {
        // What one layout stores is not found by the other, and what either one invalidates is gone.
        let (one, other) = (&instances[groups % 4].app, &instances[(groups + 1) % 4].app);
        let path = format!("/users/a{}", groups % 7);
        let id = format!("a{}", groups % 7);
        other.get("4", &path).await;
        let read = other.get("4", &path);
        let write = async {
            world.bump("4", &id);
            let tenant = one.cache.tenant("4").unwrap();
            tenant.invalidate_group(&format!("group-{id}")).await.unwrap();
        };
        tokio::join!(read, write);
        let expected = format!("4/{id}={}", world.version("4", &id));
        for instance in &instances {
            assert_eq!(instance.app.get("4", &path).await.text(), expected);
        }
        groups += 1;
    }
    seen.end("layouts change", clients).await;
    println!("{groups} groups");
}
