//! The Redis store: what every store guarantees, and how it stands up to its server's moods.
#![cfg(feature = "redis")]

#[path = "support/fault_proxy.rs"]
mod fault_proxy;
#[path = "support/redis_server.rs"]
mod redis_server;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tower_response_cache::entry::{Generation, Head, Millis, Snapshot};
use tower_response_cache::key::{Fingerprint, Glob, Names, ScopeNames, Space};
use tower_response_cache::store::{
    Filled, Found, LeaseToken, Miss, MissRequest, Mode, RedisStore, Refusal, Stamped, Store,
    StoreError, StoreErrorKind, conformance,
};

use self::fault_proxy::{FaultProxy, Mode as Fault};
use self::redis_server::RedisServer;

const KEEP: Millis = 60_000;

async fn connect(server: &RedisServer) -> RedisStore {
    RedisStore::connect(&server.url()).await.unwrap()
}

fn space() -> Space {
    Space::new(&Arc::from("gym"), "4")
}

fn names(text: &str) -> Names {
    let mut names = Names::new(&space(), "GET", text);
    names.push_scope("path:/users");
    names
}

fn scopes() -> ScopeNames {
    let mut scopes = ScopeNames::new(&space());
    scopes.push("path:/users");
    scopes
}

async fn miss(store: &RedisStore, names: &Names) -> Result<Miss, StoreError> {
    let request = MissRequest::new(KEEP, names.scopes_digest());
    store.miss(names, &request).await
}

async fn granted(store: &RedisStore, names: &Names) -> Snapshot {
    match miss(store, names).await.unwrap() {
        Miss::Granted(snapshot) => snapshot,
        other => panic!("{other:?}"),
    }
}

fn frame(store: &RedisStore, names: &Names, snapshot: &Snapshot, size: usize) -> Bytes {
    let mut frame = Vec::new();
    Head {
        run: snapshot.run,
        scopes: names.scopes_digest(),
        stamps: snapshot.stamps.clone(),
        fresh_until: store.now() + KEEP,
    }
    .write(&mut frame);
    frame.resize(frame.len() + size, b'x');
    frame.into()
}

async fn fill(store: &RedisStore, names: &Names, size: usize) -> Result<Filled, StoreError> {
    let snapshot = granted(store, names).await;
    let frame = frame(store, names, &snapshot, size);
    store.fill(names, &snapshot, None, frame, KEEP).await
}

/// Tries until the server is back.
async fn recovered(store: &RedisStore, within: Duration) -> Found {
    let began = Instant::now();
    loop {
        match store.lookup(&names("/users")).await {
            Ok(found) => return found,
            Err(error) => assert!(began.elapsed() < within, "no recovery: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_guarantee() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    tokio::join!(conformance::all(&store), conformance::all_spread(&store));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_every_guarantee_over_several_connections() {
    let server = RedisServer::start();
    let store = RedisStore::builder(&server.url()).connections(4).connect().await.unwrap();
    conformance::all(&store).await;
}

fn commands(server: &RedisServer, name: &str) -> u64 {
    let stats = server.raw(&[b"INFO", b"commandstats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// Look-ups of one moment are sent together, and each has its own answer.
#[tokio::test]
async fn look_ups_of_one_moment_are_one_command() {
    let server = RedisServer::start();
    let store = Arc::new(connect(&server).await);
    for user in 0..20 {
        fill(&store, &names(&format!("/users/{user}")), 100 + user).await.unwrap();
    }
    let before = commands(&server, "mget");
    let asked = (0..40).map(|n| {
        let store = Arc::clone(&store);
        // Half of them ask for what another one asks for, and some for what is not there.
        tokio::spawn(async move { (n, store.lookup(&names(&format!("/users/{}", n % 24))).await) })
    });
    let mut compared = 0;
    for answer in asked.collect::<Vec<_>>() {
        let (n, found) = answer.await.unwrap();
        let (user, found) = (n % 24, found.unwrap());
        assert_eq!(found.entry.is_some(), user < 20, "{user}");
        if let Some(entry) = found.entry {
            let own = names(&format!("/users/{user}"));
            let alone = store.lookup(&own).await.unwrap();
            compared += 1;
            assert_eq!(Some(entry), alone.entry);
            assert_eq!(found.generations, alone.generations);
            assert_eq!(found.epoch, alone.epoch);
            assert!(matches!(found.generations[..], [Generation::Open { .. }]));
        }
    }
    // Those that were compared above, each by itself.
    let sent = commands(&server, "mget") - before - compared;
    assert!(sent <= 5, "{sent} commands for 40 look-ups");
}

/// A look-up that begins after an invalidation was confirmed is not answered by a command that was
/// sent before, however many are under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p6_no_look_up_joins_a_command_that_was_sent() {
    let server = RedisServer::start();
    let proxy = FaultProxy::before(server.port());
    let store = Arc::new(RedisStore::connect(&proxy.url()).await.unwrap());
    let direct = connect(&server).await;
    let names = names("/users");
    fill(&direct, &names, 10).await.unwrap();
    let look_up = || {
        let (store, names) = (Arc::clone(&store), names.clone());
        tokio::spawn(async move { store.lookup(&names).await.unwrap().generations })
    };
    let first = look_up().await.unwrap();
    proxy.set(Fault::Delay(Duration::from_millis(200))).await;
    for _ in 0..5 {
        let early: Vec<_> = (0..10).map(|_| look_up()).collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        direct.invalidate(&scopes(), Mode::Hard).await.unwrap();
        let now = direct.lookup(&names).await.unwrap().generations;
        assert_ne!(now, first);
        for late in (0..10).map(|_| look_up()).collect::<Vec<_>>() {
            assert_eq!(late.await.unwrap(), now);
        }
        for early in early {
            early.await.unwrap();
        }
    }
}

/// What one of them may not read is no reason to refuse the others, and a dropped one is none to wait.
#[tokio::test]
async fn a_look_up_that_is_refused_or_given_up_fails_no_other() {
    let server = RedisServer::start();
    let rule: Vec<&[u8]> = b"ACL SETUSER default on nopass resetkeys ~gym:* +@all"
        .split(|byte| *byte == b' ')
        .collect();
    let store = Arc::new(connect(&server).await);
    fill(&store, &names("/users"), 10).await.unwrap();
    server.raw(&rule);
    let mut others = Names::new(&Space::new(&Arc::from("shop"), "4"), "GET", "/users");
    others.push_scope("tenant");
    let asked = (0..30).map(|n| {
        let (store, names) =
            (Arc::clone(&store), if n % 10 == 9 { others.clone() } else { names("/users") });
        tokio::spawn(async move { (n, store.lookup(&names).await) })
    });
    let asked: Vec<_> = asked.collect();
    tokio::task::yield_now().await;
    asked[5].abort();
    asked[6].abort();
    for answer in asked {
        let Ok((n, found)) = answer.await else { continue };
        match found {
            Ok(found) => assert!(n % 10 != 9 && found.entry.is_some(), "{n}"),
            Err(error) => assert!(n % 10 == 9, "{n}: {error}"),
        }
    }
}

/// With one configuration there are no others, whatever is written to a tenant that has nothing.
#[tokio::test]
async fn writes_to_a_tenant_without_entries_see_no_other_configuration() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let mut scopes = scopes();
    scopes.set_configuration(Some(Fingerprint::of("one")));
    let mut nothing = ScopeNames::new(&space());
    nothing.set_configuration(scopes.configuration());
    let token = LeaseToken::random();
    store.invalidate(&scopes, Mode::Hard).await.unwrap();
    store.invalidate(&nothing, Mode::Soft).await.unwrap();
    store.fence(&scopes, token, 30_000).await.unwrap();
    store.lift(&scopes, token).await.unwrap();
    assert!(!store.sees_other_configurations());
    let made: &[&[u8]] = &[b"EXISTS", b"gym:g:{4}:tenant", b"gym:f:{4}:tenant"];
    assert_eq!(server.raw(made).trim(), ":0");
    // With entries of nobody knows whom there may be others.
    let mut names = Names::new(&space(), "GET", "/users");
    names.push_scope("tenant");
    fill(&store, &names, 10).await.unwrap();
    store.invalidate(&nothing, Mode::Hard).await.unwrap();
    assert!(store.sees_other_configurations());
}

#[tokio::test]
async fn spreads_over_its_connections() {
    let server = RedisServer::start();
    let store = RedisStore::builder(&server.url()).connections(3).connect().await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut sources = Vec::new();
    for _ in 0..9 {
        sources.push(store.lookup(&names("/users")).await.unwrap().source);
    }
    sources.sort_unstable();
    assert_eq!(sources, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
}

#[tokio::test]
async fn a_restart_is_another_run_and_recovery_needs_no_help() {
    let mut server = RedisServer::start();
    let store = connect(&server).await;
    let before = granted(&store, &names("/users")).await;
    server.restart();
    let found = recovered(&store, Duration::from_secs(1)).await;
    assert_ne!(found.run, before.run);
    let frame = frame(&store, &names("/users"), &before, 10);
    let late = store.fill(&names("/users"), &before, None, frame, KEEP).await.unwrap();
    assert_eq!(late, Filled::Refused(Refusal::Run));
    assert_eq!(fill(&store, &names("/users"), 10).await.unwrap(), Filled::Stored);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_fails_nobody() {
    let mut server = RedisServer::start();
    let store = RedisStore::builder(&server.url()).connections(2).connect().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.restart();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..4 {
        store.lookup(&names("/users")).await.unwrap();
    }
}

#[tokio::test]
async fn a_group_with_a_value_of_another_kind_is_created_anew() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let groups = ScopeNames::groups(&space(), ["a", "b", "c"]);
    server.raw(&[b"SET", b"gym:g:{4}:group:a", b"0123456789abcdef"]);
    server.raw(&[b"RPUSH", b"gym:g:{4}:group:b", b"x"]);
    server.raw(&[b"SET", b"gym:g:{4}:group:c", b"short"]);
    let snapshot = granted(&store, &users).await;
    let Stamped::Stamps(stamps) = store.stamp(&users, &snapshot, &groups, KEEP).await.unwrap()
    else {
        panic!("expected stamps");
    };
    assert_eq!(stamps[0].as_bytes(), b"0123456789abcdef");
    let read = store.generations(&groups).await.unwrap();
    let current: Vec<_> = read.generations.iter().filter_map(Generation::current).collect();
    assert_eq!(current, *stamps);
    assert_eq!(read.run, Some(snapshot.run));
}

#[tokio::test]
async fn a_refused_fill_leaves_no_bytes_behind() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let snapshot = granted(&store, &users).await;
    store.invalidate(&scopes(), Mode::Hard).await.unwrap();
    let bytes = frame(&store, &users, &snapshot, 10);
    let filled = store.fill(&users, &snapshot, None, bytes, KEEP).await.unwrap();
    assert_eq!(filled, Filled::Refused(Refusal::Stamp));
    let left = server.raw(&[b"KEYS", b"gym:w:*"]);
    assert_eq!(left, "*0\r\n");
}

#[tokio::test]
async fn a_trusted_restart_is_the_same_run() {
    let mut server = RedisServer::start();
    let store = RedisStore::builder(&server.url()).trust_restarts(true).connect().await.unwrap();
    let before = granted(&store, &names("/users")).await;
    server.restart();
    assert_eq!(recovered(&store, Duration::from_secs(1)).await.run, before.run);
}

#[tokio::test]
async fn an_old_snapshot_revives_nothing() {
    let mut server = RedisServer::start();
    let store = connect(&server).await;
    assert_eq!(fill(&store, &names("/users"), 10).await.unwrap(), Filled::Stored);
    assert!(server.raw(&[b"SAVE"]).starts_with("+OK"));
    store.invalidate(&scopes(), Mode::Hard).await.unwrap();
    server.restart();
    let found = recovered(&store, Duration::from_secs(1)).await;
    let entry = found.entry.clone().expect("the old snapshot has it");
    let snapshot = found.snapshot().expect("and its generations");
    assert_eq!(Head::parse(&entry).unwrap().0.stamps, snapshot.stamps);
    assert!(!Head::is_fresh(&entry, names("/users").scopes_digest(), &snapshot, store.now()));
    granted(&store, &names("/users")).await;
}

#[tokio::test]
async fn forgotten_scripts_are_taught_again() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let flush = || assert!(server.raw(&[b"SCRIPT", b"FLUSH"]).starts_with("+OK"));
    let users = names("/users");
    flush();
    let snapshot = granted(&store, &users).await;
    flush();
    let bytes = frame(&store, &users, &snapshot, 10);
    let filled = store.fill(&users, &snapshot, None, bytes.clone(), KEEP).await.unwrap();
    assert_eq!(filled, Filled::Stored);
    flush();
    assert_eq!(store.invalidate(&scopes(), Mode::Hard).await.unwrap().moved, 1);
    flush();
    let token = LeaseToken::random();
    store.fence(&scopes(), token, KEEP).await.unwrap();
    flush();
    store.lift(&scopes(), token).await.unwrap();
    flush();
    assert!(store.discard(&users, &bytes).await.unwrap());
    flush();
    assert!(!store.remove(&users).await.unwrap());
    flush();
    assert!(!store.renew(&users, token, KEEP).await.unwrap());
    flush();
    assert!(!store.release(&users, token).await.unwrap());
    flush();
    assert_eq!(store.delete_pattern(&space(), &Glob::new("*").unwrap()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_full_server_refuses_fills_and_no_invalidation() {
    let server =
        RedisServer::with_args(&["--maxmemory", "64mb", "--maxmemory-policy", "noeviction"]);
    let store = connect(&server).await;
    let users = names("/users");
    assert_eq!(fill(&store, &users, 10).await.unwrap(), Filled::Stored);
    let before = store.lookup(&users).await.unwrap();
    let snapshot = before.snapshot().unwrap();
    // Less than an empty server takes: from here on it has no room for anything.
    let full = server.raw(&[b"CONFIG", b"SET", b"maxmemory", b"100kb"]);
    assert_eq!(full, "+OK\r\n");

    let bytes = frame(&store, &users, &snapshot, 10);
    let filled = store.fill(&users, &snapshot, None, bytes, KEEP).await.unwrap();
    assert_eq!(filled, Filled::Refused(Refusal::Space));
    assert_eq!(store.lookup(&users).await.unwrap().entry, before.entry);
    let error = miss(&store, &names("/users/new")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error:?}");
    assert_eq!(miss(&store, &users).await.unwrap(), Miss::Again, "this one creates nothing");

    assert_eq!(store.invalidate(&scopes(), Mode::Hard).await.unwrap().moved, 1);
    assert_eq!(store.invalidate(&scopes(), Mode::Soft).await.unwrap().moved, 1);
    let after = store.lookup(&users).await.unwrap();
    assert_ne!(after.generations[0].current(), before.generations[0].current());
    let token = LeaseToken::random();
    store.fence(&scopes(), token, KEEP).await.unwrap();
    assert_eq!(*store.lookup(&users).await.unwrap().generations, [Generation::Closed]);
    store.lift(&scopes(), token).await.unwrap();
    assert_eq!(store.delete_pattern(&space(), &Glob::new("*").unwrap()).await.unwrap(), 1);
    assert!(!store.remove(&users).await.unwrap());
    let groups = ScopeNames::groups(&space(), ["news"]);
    let snapshot = store.lookup(&users).await.unwrap().snapshot().unwrap();
    let error = store.stamp(&users, &snapshot, &groups, KEEP).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error:?}");
    assert_eq!(store.invalidate(&groups, Mode::Hard).await.unwrap().moved, 0);
    assert_ne!(store.lookup(&users).await.unwrap().epoch, Some(snapshot.epoch));
    // It was refused for want of room, not because the connection broke.
    assert_eq!(store.lookup(&users).await.unwrap().source, before.source);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delete_pattern_ends_under_concurrent_writes_and_counts() {
    const OLD: u64 = 6000;
    let server = RedisServer::start();
    let store = Arc::new(connect(&server).await);
    let mut fills = tokio::task::JoinSet::new();
    for part in 0..20 {
        let store = Arc::clone(&store);
        fills.spawn(async move {
            for number in 0..OLD / 20 {
                let text = format!("/users/old/{part}/{number}");
                assert_eq!(fill(&store, &names(&text), 10).await.unwrap(), Filled::Stored);
            }
        });
    }
    while let Some(done) = fills.join_next().await {
        done.unwrap();
    }
    fill(&store, &names("/posts"), 10).await.unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let stored = Arc::new(AtomicU64::new(0));
    let writer = {
        let (store, stop, stored) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&stored));
        tokio::spawn(async move {
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let names = names(&format!("/users/new/{number}"));
                if fill(&store, &names, 10).await.unwrap() == Filled::Stored {
                    stored.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    let glob = Glob::new("/users/*").unwrap();
    let patience = Duration::from_secs(20);
    let removed =
        tokio::time::timeout(patience, store.delete_pattern(&space(), &glob)).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    let removed = removed.unwrap();
    let stored = stored.load(Ordering::Relaxed);
    assert!((OLD..=OLD + stored).contains(&removed), "{removed} of {OLD} and {stored}");
    assert!(store.lookup(&names("/users/old/0/0")).await.unwrap().entry.is_none());
    assert!(store.lookup(&names("/posts")).await.unwrap().entry.is_some());
    let rest = store.delete_pattern(&space(), &glob).await.unwrap();
    assert_eq!(removed + rest, OLD + stored);
}

#[tokio::test]
async fn names_of_another_type_count_as_nothing_and_are_replaced() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let generation = users.scopes().next().unwrap().to_owned();
    for name in [users.entry(), &users.lease(), users.epoch(), &generation] {
        server.raw(&[b"LPUSH", name.as_bytes(), b"foreign"]);
    }
    let found = store.lookup(&users).await.unwrap();
    assert_eq!((found.entry.as_ref(), found.epoch), (None, None));
    assert_eq!(*found.generations, [Generation::Missing]);
    assert!(!store.discard(&users, &Bytes::from_static(b"foreign")).await.unwrap());
    assert_eq!(store.invalidate(&scopes(), Mode::Hard).await.unwrap().moved, 0);
    let token = LeaseToken::random();
    assert!(!store.renew(&users, token, KEEP).await.unwrap());
    assert!(!store.release(&users, token).await.unwrap());
    assert_eq!(fill(&store, &users, 10).await.unwrap(), Filled::Stored);
    assert!(store.lookup(&users).await.unwrap().entry.is_some());

    let fence = users.fences().next().unwrap();
    server.raw(&[b"SET", fence.as_bytes(), b"foreign"]);
    store.fence(&scopes(), token, KEEP).await.unwrap();
    assert_eq!(miss(&store, &users).await.unwrap(), Miss::Closed);
    store.lift(&scopes(), token).await.unwrap();
    granted(&store, &users).await;
}

#[tokio::test]
async fn noise_in_a_generation_is_no_generation() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let generation = users.scopes().next().unwrap().to_owned();
    for noise in [&b""[..], b"x", &[b'x'; 17], &[b'x'; 80]] {
        server.raw(&[b"SET", generation.as_bytes(), noise]);
        let found = store.lookup(&users).await.unwrap();
        assert_eq!(*found.generations, [Generation::Missing]);
        assert_eq!(store.invalidate(&scopes(), Mode::Soft).await.unwrap().moved, 0);
        assert_eq!(fill(&store, &users, 10).await.unwrap(), Filled::Stored);
        assert_eq!(store.lookup(&users).await.unwrap().generations.len(), 1);
    }
}

#[tokio::test]
async fn a_lost_generation_of_a_fenced_scope_is_created_closed() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let generation = users.scopes().next().unwrap().to_owned();
    let token = LeaseToken::random();
    store.fence(&scopes(), token, 600).await.unwrap();
    server.raw(&[b"DEL", generation.as_bytes()]);
    assert_eq!(*store.lookup(&users).await.unwrap().generations, [Generation::Missing]);
    assert_eq!(miss(&store, &users).await.unwrap(), Miss::Closed);
    assert_eq!(*store.lookup(&users).await.unwrap().generations, [Generation::Closed]);
    tokio::time::sleep(Duration::from_millis(800)).await;
    granted(&store, &users).await;
}

#[tokio::test]
async fn whatever_is_created_expires() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let mut request = MissRequest::new(KEEP, users.scopes_digest());
    request.lease = Some((LeaseToken::random(), KEEP));
    store.miss(&users, &request).await.unwrap();
    let snapshot = store.lookup(&users).await.unwrap().snapshot().unwrap();
    let bytes = frame(&store, &users, &snapshot, 10);
    store.fill(&users, &snapshot, None, bytes.clone(), KEEP).await.unwrap();
    let token = request.lease.unwrap().0;
    store.fill(&users, &snapshot, Some(token), bytes.clone(), u64::MAX).await.unwrap();
    let groups = ScopeNames::groups(&space(), ["a", "b"]);
    store.stamp(&users, &snapshot, &groups, u64::MAX).await.unwrap();
    store.invalidate(&groups, Mode::Hard).await.unwrap();
    let mut all = scopes();
    all.push_all_tenants();
    store.fence(&all, LeaseToken::random(), KEEP).await.unwrap();
    store.fence(&all, token, u64::MAX).await.unwrap();
    store.invalidate(&all, Mode::Hard).await.unwrap();
    store.lift(&all, token).await.unwrap();
    let keys = server.raw(&[b"KEYS", b"*"]);
    let keys: Vec<&str> = keys.lines().filter(|line| line.starts_with("gym:")).collect();
    assert!(keys.len() >= 8, "{keys:?}");
    for key in keys {
        let left = server.raw(&[b"PTTL", key.as_bytes()]);
        let left: i64 = left.trim().trim_start_matches(':').parse().unwrap();
        assert!(left > 0, "{key} stays for ever");
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_at_once() {
    let mut server = RedisServer::start();
    let lazy = RedisStore::builder(&server.url()).connect_lazy().unwrap();
    server.kill();
    let began = Instant::now();
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let source = error.source().unwrap().to_string();
    assert!(source.contains(&format!("127.0.0.1:{}", server.port())), "{source}");
    for _ in 0..100 {
        let error = lazy.lookup(&names("/users")).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    server.restart();
    recovered(&lazy, Duration::from_secs(1)).await;
    lazy.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_under_load_fails_what_is_under_way_and_no_more() {
    let mut server = RedisServer::start();
    let store =
        Arc::new(RedisStore::builder(&server.url()).connections(2).connect().await.unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let slowest = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, stop, slowest) = (Arc::clone(&store), Arc::clone(&stop), Arc::clone(&slowest));
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                let _ = store.lookup(&names("/users")).await;
                let millis = u64::try_from(began.elapsed().as_millis()).unwrap();
                slowest.fetch_max(millis, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::task::block_in_place(|| server.kill());
        tokio::time::sleep(Duration::from_millis(100)).await;
        tokio::task::block_in_place(|| server.restart());
        recovered(&store, Duration::from_secs(1)).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let slowest = slowest.load(Ordering::Relaxed);
    assert!(slowest < 1000, "a lookup hung for {slowest} ms");
}

#[tokio::test]
async fn a_hung_server_costs_no_more_than_the_callers_patience() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    fill(&store, &users, 10).await.unwrap();
    server.pause();
    for _ in 0..50 {
        let patience = Duration::from_millis(5);
        assert!(tokio::time::timeout(patience, store.lookup(&users)).await.is_err());
    }
    let began = Instant::now();
    let error = store.lookup(&users).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(4));
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Timeout, "{error:?}");
    server.resume();
    let found = recovered(&store, Duration::from_secs(1)).await;
    assert!(found.entry.is_some());
}

#[tokio::test]
async fn a_distrusted_connection_is_replaced_at_most_once_a_second() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let first = store.lookup(&users).await.unwrap();
    store.distrust(&first);
    let second = store.lookup(&users).await.unwrap();
    assert_ne!(second.source, first.source);
    assert_eq!(second.run, first.run);
    store.distrust(&second);
    assert_eq!(store.lookup(&users).await.unwrap().source, second.source);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    store.distrust(&second);
    assert_ne!(store.lookup(&users).await.unwrap().source, second.source);
}

#[tokio::test]
async fn refusals_say_what_is_missing() {
    let server = RedisServer::with_args(&["--requirepass", "s3cret"]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&url("s3cret")).await.unwrap();
    store.ping().await.unwrap();
    let error = RedisStore::connect(&url("wr0ng")).await.unwrap_err();
    let source = error.source().unwrap().to_string();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{source}");
    assert!(!format!("{error:?} {source}").contains("wr0ng"));
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error:?}");

    let open = RedisServer::start();
    open.raw(&[b"ACL", b"SETUSER", b"app", b"on", b">pw", b"~*", b"+@all", b"-info"]);
    let url = format!("redis://app:pw@127.0.0.1:{}", open.port());
    let error = RedisStore::connect(&url).await.unwrap_err();
    let source = error.source().unwrap().to_string();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{source}");
    assert!(source.contains("INFO") && source.contains("trust_restarts"), "{source}");
    RedisStore::builder(&url).trust_restarts(true).connect().await.unwrap();
}

#[tokio::test]
async fn a_read_only_server_refuses_fills_with_an_error() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let users = names("/users");
    let snapshot = granted(&store, &users).await;
    let port = server.port().to_string();
    server.raw(&[b"REPLICAOF", b"127.0.0.1", port.as_bytes()]);
    let bytes = frame(&store, &users, &snapshot, 10);
    let error = store.fill(&users, &snapshot, None, bytes, KEEP).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error:?}");
    // Having refused a write it is left, and as a replica it isn't taken again.
    let error = store.invalidate(&scopes(), Mode::Hard).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error:?}");
    assert!(error.source().unwrap().to_string().contains("replica"), "{error:?}");
    server.raw(&[b"REPLICAOF", b"NO", b"ONE"]);
    recovered(&store, Duration::from_secs(1)).await;
}

/// One lost record opens nobody's fence: neither the end of another write nor a new fence does.
#[tokio::test]
async fn a_fence_survives_the_loss_of_its_record() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let scopes = scopes();
    let names = names("/users");
    let record = b"gym:f:{4}:path:/users";
    let closed = async || *store.lookup(&names).await.unwrap().generations == [Generation::Closed];
    let (one, other) = (LeaseToken::random(), LeaseToken::random());

    store.fence(&scopes, one, 2000).await.unwrap();
    store.fence(&scopes, other, 1000).await.unwrap();
    assert!(server.raw(&[b"DEL", record]).contains('1'));
    store.lift(&scopes, other).await.unwrap();
    assert!(closed().await, "opened by a token that was lost with the other");

    store.fence(&scopes, other, 100).await.unwrap();
    store.lift(&scopes, other).await.unwrap();
    assert!(closed().await, "opened by a fence that came after the loss");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(!closed().await, "it stands no longer than it was to");
}

/// A token that is lifted late, or twice, opens nothing and creates nothing.
#[tokio::test]
async fn a_token_that_is_not_there_opens_nothing() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let (scopes, names) = (scopes(), names("/users"));
    store.lift(&scopes, LeaseToken::random()).await.unwrap();
    assert_eq!(*store.lookup(&names).await.unwrap().generations, [Generation::Missing]);
}
