//! Groups: the tags that a response names, stamped after its handler ran.

use super::{Bench, KEEP, is_spread, sleep};
use crate::entry::{Generation, Id, Millis, RunId, Snapshot};
use crate::key::{Glob, Names, ScopeNames};
use crate::store::{Filled, Generations, LeaseToken, Mode, Refusal, Stamped, Store};

impl Bench<'_> {
    fn groups<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> ScopeNames {
        ScopeNames::groups(&self.space, groups)
    }

    async fn stamp(
        &self,
        names: &Names,
        snapshot: &Snapshot,
        groups: &ScopeNames,
        keep: Millis,
    ) -> Stamped {
        self.store.stamp(names, snapshot, groups, keep).await.expect("stamp answers")
    }

    async fn stamps(&self, names: &Names, snapshot: &Snapshot, groups: &ScopeNames) -> Box<[Id]> {
        match self.stamp(names, snapshot, groups, KEEP).await {
            Stamped::Stamps(stamps) => stamps,
            refused @ Stamped::Refused(_) => panic!("expected stamps, got {refused:?}"),
        }
    }

    async fn read(&self, groups: &ScopeNames) -> Generations {
        self.store.generations(groups).await.expect("generations answers")
    }

    /// Whether the groups' generations are these stamps.
    async fn has(&self, groups: &ScopeNames, stamps: &[Id]) -> bool {
        let Generations { generations, .. } = self.read(groups).await;
        assert_eq!(generations.len(), stamps.len());
        generations.iter().map(Generation::current).eq(stamps.iter().copied().map(Some))
    }

    async fn move_groups(&self, groups: &ScopeNames) -> usize {
        let answer = self.store.invalidate(groups, Mode::Hard).await;
        answer.expect("invalidate answers").moved
    }

    /// Stores an entry that is in these groups, and answers their stamps.
    async fn filled_in(&self, names: &Names, groups: &ScopeNames) -> Box<[Id]> {
        let snapshot = self.granted(names).await;
        let stamps = self.stamps(names, &snapshot, groups).await;
        let frame = self.frame(names, &snapshot, b"body");
        assert_eq!(self.fill(names, &snapshot, &frame).await, Filled::Stored);
        stamps
    }
}

/// [`Store::stamp`] creates what is missing and leaves alone what is there, in the order of the
/// names; [`Store::generations`] shows the same. Each lives for the given time at least, and a
/// shorter time takes none of that away.
pub async fn stamp_creates_and_extends(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let snapshot = bench.granted(&names).await;
    let none = bench.groups([]);
    assert!(bench.stamps(&names, &snapshot, &none).await.is_empty());
    assert_eq!(bench.read(&none).await.generations, []);

    let brief = bench.groups(["brief"]);
    let stamped = bench.stamp(&names, &snapshot, &brief, 60).await;
    assert!(matches!(&stamped, Stamped::Stamps(stamps) if stamps.len() == 1), "{stamped:?}");

    let (one, two) = (bench.groups(["a", "b"]), bench.groups(["b", "c"]));
    let Stamped::Stamps(first) = bench.stamp(&names, &snapshot, &one, 400).await else {
        panic!("expected stamps");
    };
    let second = bench.stamps(&names, &snapshot, &two).await;
    assert_eq!(first[1], second[0]);
    let all = bench.groups(["a", "b", "c"]);
    let expected = [first[0], first[1], second[1]];
    assert!(expected[0] != expected[1] && expected[1] != expected[2] && expected[0] != expected[2]);
    let read = bench.read(&all).await;
    // Only where a tenant is on two servers may each id say by itself of which run it is.
    let sealed = is_spread() && read.run.is_none();
    assert!(sealed || read.run == Some(snapshot.run), "{:?}", read.run);
    for (generation, id) in read.generations.iter().zip(expected) {
        assert_eq!(*generation, Generation::Open { current: id, behind: [None; 3] });
    }
    assert_eq!(*bench.stamps(&names, &snapshot, &all).await, expected);
    assert_eq!(bench.lookup(&names).await.snapshot().as_ref(), Some(&snapshot), "it moves nothing");
    let Stamped::Stamps(_) = bench.stamp(&names, &snapshot, &two, 1).await else {
        panic!("expected stamps");
    };
    sleep(1200).await;
    assert_eq!(bench.read(&brief).await.generations, [Generation::Missing]);
    assert!(bench.has(&all, &expected).await);

    let frame = bench.frame(&names, &snapshot, b"body");
    assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Stored);
    assert_eq!(bench.lookup(&names).await.entry, Some(frame));
    assert!(bench.has(&all, &expected).await, "a fill moves no group");
}

/// [`Store::stamp`] refuses once the key's epoch has moved: by the invalidation of any group, or of
/// the epochs alone, by [`Store::remove`] or [`Store::delete_pattern`].
pub async fn stamp_is_refused_after_the_epoch_moved(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let groups = bench.groups(["a"]);
    let refused = async |snapshot: &Snapshot, what: &str| {
        let answer = bench.stamp(&names, snapshot, &groups, KEEP).await;
        assert_eq!(answer, Stamped::Refused(Refusal::Epoch), "{what}");
        let frame = bench.frame(&names, snapshot, b"late");
        let filled = bench.fill(&names, snapshot, &frame).await;
        assert_eq!(filled, Filled::Refused(Refusal::Epoch), "{what}");
    };

    let snapshot = bench.granted(&names).await;
    assert_eq!(bench.move_groups(&bench.groups(["another"])).await, 0);
    refused(&snapshot, "a group that nobody has filled").await;

    let snapshot = bench.granted(&names).await;
    let mut epochs = bench.scopes(&[]);
    epochs.push_epochs();
    assert_eq!(bench.move_groups(&epochs).await, 0, "epochs are not counted");
    refused(&snapshot, "the epochs").await;

    let snapshot = bench.granted(&names).await;
    store.remove(&names).await.expect("remove answers");
    refused(&snapshot, "remove").await;

    let snapshot = bench.granted(&names).await;
    let glob = Glob::new("/none*").expect("a pattern");
    store.delete_pattern(&bench.space, &glob).await.expect("delete_pattern answers");
    refused(&snapshot, "delete_pattern").await;

    // Without an epoch there is nothing to agree with.
    let other = bench.tenant("5");
    let foreign = other.names("/users", &["path:/users"]);
    let answer = other.stamp(&foreign, &snapshot, &other.groups(["a"]), KEEP).await;
    // Of several servers, another tenant's may be another one.
    assert!(
        matches!(answer, Stamped::Refused(Refusal::Epoch | Refusal::Run)),
        "another tenant: {answer:?}"
    );

    let snapshot = bench.granted(&names).await;
    bench.stamps(&names, &snapshot, &groups).await;
}

/// [`Store::stamp`] refuses a snapshot of another run of the store.
pub async fn stamp_is_refused_from_another_run(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let mut snapshot = bench.granted(&names).await;
    let RunId(mut run) = snapshot.run;
    run[0] ^= 0x55;
    snapshot.run = RunId(run);
    let groups = bench.groups(["a"]);
    let answer = bench.stamp(&names, &snapshot, &groups, KEEP).await;
    assert_eq!(answer, Stamped::Refused(Refusal::Run));
    assert_eq!(bench.read(&groups).await.generations, [Generation::Missing]);
}

/// [`Store::stamp`] that is refused, because the epoch has moved or because one of the generations
/// is closed, creates none of the others.
pub async fn stamp_refused_changes_nothing(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let groups = bench.groups(["a"]);
    let snapshot = bench.granted(&names).await;
    store.remove(&names).await.expect("remove answers");
    let answer = bench.stamp(&names, &snapshot, &groups, KEEP).await;
    assert_eq!(answer, Stamped::Refused(Refusal::Epoch));
    assert_eq!(bench.read(&groups).await.generations, [Generation::Missing]);

    let snapshot = bench.granted(&names).await;
    let closed = bench.scopes(&["tag:closed"]);
    store.fence(&closed, LeaseToken::random(), KEEP).await.expect("fence answers");
    let mixed = bench.scopes(&["tag:new", "tag:closed"]);
    let answer = bench.stamp(&names, &snapshot, &mixed, KEEP).await;
    assert_eq!(answer, Stamped::Refused(Refusal::Stamp));
    let generations = bench.read(&mixed).await.generations;
    assert_eq!(generations, [Generation::Missing, Generation::Closed]);
}

/// The invalidation of a group between [`Store::stamp`] and [`Store::fill`] refuses the fill, be it
/// one of the response's groups or not; so do [`Store::remove`] and [`Store::delete_pattern`].
pub async fn stamped_fill_is_refused_after_an_invalidation(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let groups = bench.groups(["a", "b"]);
    for how in 0..4 {
        let snapshot = bench.granted(&names).await;
        let stamps = bench.stamps(&names, &snapshot, &groups).await;
        match how {
            0 => assert_eq!(bench.move_groups(&bench.groups(["b"])).await, 1),
            1 => assert_eq!(bench.move_groups(&bench.groups(["c"])).await, 0),
            2 => drop(store.remove(&names).await.expect("remove answers")),
            _ => {
                let glob = Glob::new("*").expect("a pattern");
                store.delete_pattern(&bench.space, &glob).await.expect("delete_pattern answers");
            }
        }
        let frame = bench.frame(&names, &snapshot, b"late");
        let filled = bench.fill(&names, &snapshot, &frame).await;
        assert_eq!(filled, Filled::Refused(Refusal::Epoch), "{how}");
        assert_eq!(bench.has(&groups, &stamps).await, how != 0, "{how}");
        assert_eq!(bench.lookup(&names).await.entry, None);
    }
    bench.filled_in(&names, &groups).await;
}

/// Wherever an invalidation of its group meets a response on its way into the store, once it has
/// answered no entry with the old stamps is valid.
pub async fn stamped_fill_that_races_an_invalidation_is_not_valid_after_it(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/users", &["path:/users"]);
    let groups = bench.groups(["a"]);
    for round in 0..30 {
        // Or the miss would not be granted: it knows nothing of groups.
        store.remove(&names).await.expect("remove answers");
        let snapshot = bench.granted(&names).await;
        let body = [round];
        let frame = bench.frame(&names, &snapshot, &body);
        let mut way_in = std::pin::pin!(async {
            let stamped = bench.stamp(&names, &snapshot, &groups, KEEP).await;
            let filled = bench.fill(&names, &snapshot, &frame).await;
            (stamped, filled)
        });
        // Sends the stamp off, and leaves it on its way.
        let early = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match round % 2 {
                0 => match way_in.as_mut().poll(cx) {
                    std::task::Poll::Ready(answers) => Some(answers),
                    std::task::Poll::Pending => None,
                },
                _ => None,
            })
        })
        .await;
        bench.move_groups(&groups).await;
        let (stamped, filled) = match early {
            Some(answers) => answers,
            None => way_in.await,
        };
        let Stamped::Stamps(stamps) = stamped else {
            assert_eq!(filled, Filled::Refused(Refusal::Epoch), "round {round}");
            continue;
        };
        let is_there = bench.lookup(&names).await.entry.is_some_and(|entry| entry == frame);
        assert_eq!(is_there, filled == Filled::Stored);
        assert!(!(is_there && bench.has(&groups, &stamps).await), "round {round}");
    }
}

/// [`Store::invalidate`] of a group moves its generation and the epochs of every key of the tenant,
/// and no other group or scope; softly it does the same, and leaves nothing behind.
pub async fn group_invalidation_moves_generation_and_epochs(store: &dyn Store) {
    let bench = Bench::new(store);
    // Many enough to have several epochs.
    let texts: Vec<String> = (0..8).map(|number| format!("/users/{number}")).collect();
    let keys: Vec<Names> = texts.iter().map(|text| bench.names(text, &["path:/users"])).collect();
    let groups = bench.groups(["a", "b"]);
    let mut stamps = Vec::new();
    for names in &keys {
        stamps.push(bench.filled_in(names, &groups).await);
    }
    assert!(stamps.iter().all(|of| *of == stamps[0]));
    for mode in [Mode::Hard, Mode::Soft] {
        let before = bench.read(&groups).await;
        let mut found = Vec::new();
        for names in &keys {
            found.push(bench.lookup(names).await);
        }
        let mut moving = bench.groups(["a", "unknown"]);
        moving.push("tag:unknown");
        let answer = store.invalidate(&moving, mode).await.expect("invalidate answers");
        assert_eq!(answer.moved, 1);
        let after = bench.read(&groups).await;
        assert_ne!(after.generations[0].current(), before.generations[0].current());
        assert!(
            matches!(after.generations[0], Generation::Open { behind: [None, None, None], .. }),
            "{mode:?}: {after:?}"
        );
        assert_eq!(after.generations[1], before.generations[1]);
        for (names, before) in keys.iter().zip(found) {
            let after = bench.lookup(names).await;
            assert!(after.epoch.is_some() && after.epoch != before.epoch, "{mode:?}");
            assert_eq!(after.generations, before.generations);
            assert_eq!(after.entry, before.entry, "nothing is removed");
        }
    }
    // What moved can be filled anew.
    let names = &keys[0];
    store.remove(names).await.expect("remove answers");
    let anew = bench.filled_in(names, &groups).await;
    assert!(bench.has(&groups, &anew).await);
    assert!(anew[0] != stamps[0][0] && anew[1] == stamps[0][1]);
}

/// A group that nobody has filled is left without a generation, and epochs that nobody has read
/// are not made.
pub async fn group_invalidation_creates_nothing(store: &dyn Store) {
    let bench = Bench::new(store);
    let groups = bench.groups(["a"]);
    let names = bench.names("/a", &["path:/a"]);
    for _ in 0..2 {
        assert_eq!(bench.move_groups(&groups).await, 0);
        assert_eq!(bench.read(&groups).await.generations, [Generation::Missing]);
        assert_eq!(bench.lookup(&names).await.epoch, None);
    }
}

/// The same group of another tenant, or of another namespace, is another group, and the epochs
/// there stay as they are.
pub async fn group_invalidation_reaches_no_other_tenant(store: &dyn Store) {
    let bench = Bench::new(store);
    let others = [bench.tenant("5"), bench.tenant("*"), bench.tenant(""), Bench::new(store)];
    let mut known = Vec::new();
    for other in others.iter().chain([&bench]) {
        let names = other.names("/a", &["path:/a"]);
        let stamps = other.filled_in(&names, &other.groups(["a"])).await;
        assert!(!known.iter().any(|(of, _)| *of == stamps));
        known.push((stamps, other.lookup(&names).await.epoch));
    }
    assert_eq!(bench.move_groups(&bench.groups(["a"])).await, 1);
    for (other, (stamps, epoch)) in others.iter().zip(&known) {
        assert!(other.has(&other.groups(["a"]), stamps).await, "{:?}", other.space);
        let found = other.lookup(&other.names("/a", &["path:/a"])).await;
        assert_eq!(found.epoch, *epoch, "{:?}", other.space);
    }
    assert!(!bench.has(&bench.groups(["a"]), &known[others.len()].0).await);
}

/// A group whose generation has expired is another group when it is stamped again, and what was
/// stamped before is not valid, with or without an invalidation in between.
pub async fn group_that_was_lost_revives_nothing(store: &dyn Store) {
    let bench = Bench::new(store);
    let names = bench.names("/a", &["path:/a"]);
    let groups = bench.groups(["a"]);
    let snapshot = bench.granted(&names).await;
    let Stamped::Stamps(stamps) = bench.stamp(&names, &snapshot, &groups, 40).await else {
        panic!("expected stamps");
    };
    sleep(200).await;
    assert_eq!(bench.read(&groups).await.generations, [Generation::Missing]);
    let again = bench.stamps(&names, &snapshot, &groups).await;
    assert_ne!(stamps, again);
    assert!(bench.has(&groups, &again).await && !bench.has(&groups, &stamps).await);

    // Lost between stamp and invalidation: there is nothing to move, and the epochs do.
    let lost = bench.groups(["lost"]);
    let Stamped::Stamps(stamps) = bench.stamp(&names, &snapshot, &lost, 40).await else {
        panic!("expected stamps");
    };
    sleep(200).await;
    assert_eq!(bench.move_groups(&lost).await, 0);
    let frame = bench.frame(&names, &snapshot, b"late");
    assert_eq!(bench.fill(&names, &snapshot, &frame).await, Filled::Refused(Refusal::Epoch));
    let snapshot = bench.granted(&names).await;
    assert_ne!(bench.stamps(&names, &snapshot, &lost).await, stamps);
}

/// Groups of any name have generations of their own: one moves alone, and never a declared scope.
pub async fn groups_of_any_name_are_kept_apart(store: &dyn Store) {
    let bench = Bench::new(store);
    let long = "x".repeat(128);
    let hostile = [
        "",
        " ",
        "*",
        "**",
        "?",
        ":",
        "::",
        "{",
        "}",
        "{4}",
        "{}",
        "\n",
        "\r\n",
        "\"",
        "\\",
        "%",
        "%2A",
        "%2a",
        "a",
        "A",
        "a b",
        "[a]",
        "!",
        "!7",
        "tenant",
        "path:/a",
        "tag:a",
        "group:a",
        "$5\r\nhello",
        "'; FLUSHALL",
        "\0",
        "\u{7f}",
        &long,
        &long[1..],
    ];
    let declared = ["tenant", "path:/a", "tag:a", "subtree:/a", "glob:*", "glob:**"];
    let names = bench.names("/a", &declared);
    let groups = bench.groups(hostile);
    let mut stamps = bench.filled_in(&names, &groups).await;
    for (at, first) in stamps.iter().enumerate() {
        assert!(!stamps[..at].contains(first), "{:?}", hostile[at]);
    }
    let declared = bench.generations(&names).await;
    for (at, group) in hostile.iter().enumerate() {
        assert_eq!(bench.move_groups(&bench.groups([*group])).await, 1, "{group:?}");
        let read = bench.read(&groups).await.generations;
        for (other, (generation, stamp)) in read.iter().zip(&mut stamps).enumerate() {
            let current = generation.current().expect("it is open");
            assert_eq!(current != *stamp, other == at, "{group:?} and {:?}", hostile[other]);
            *stamp = current;
        }
        assert_eq!(bench.generations(&names).await, declared, "{group:?}");
    }
}
