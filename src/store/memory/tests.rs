use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::SkewedClock;
use crate::key::TENANT;
use crate::store::{Filled, Miss};

fn names(tenant: &str, key: usize) -> Names {
    let mut names = Names::new(&Space::new(&"gym".into(), tenant), "GET", &format!("/users/{key}"));
    names.push_scope("tenant");
    names.push_scope(&format!("path:/users/{key}"));
    names
}

async fn fill(store: &MemoryStore, names: &Names) {
    let token = LeaseToken::random();
    let request = MissRequest {
        lease: Some((token, 60_000)),
        keep: 60_000,
        scopes: names.scopes_digest(),
        ignore_entry: true,
    };
    let Ok(Miss::Granted(snapshot)) = store.miss(names, &request).await else {
        panic!("it is granted");
    };
    let filled = store.fill(names, &snapshot, Some(token), Bytes::from_static(b"x"), 60_000).await;
    assert_eq!(filled.unwrap(), Filled::Stored);
}

fn known(store: &MemoryStore) -> usize {
    let tenants = store.tenants.read();
    tenants.values().map(|tenant| tenant.read().weight() + TENANT_WEIGHT).sum()
}

#[tokio::test]
async fn what_is_known_of_tenants_is_counted_exactly() {
    let store = MemoryStore::new();
    for key in 0..200 {
        let names = names(["4", "5"][key % 2], key);
        fill(&store, &names).await;
        let token = LeaseToken::random();
        let request = MissRequest {
            lease: Some((token, 60_000)),
            keep: 60_000,
            scopes: names.scopes_digest(),
            ignore_entry: true,
        };
        store.miss(&names, &request).await.unwrap();
        if key % 3 == 0 {
            store.release(&names, token).await.unwrap();
        }
        let mut scopes = ScopeNames::new(names.space());
        scopes.push(&format!("path:/others/{key}"));
        store.fence(&scopes, token, 60_000).await.unwrap();
        store.lift(&scopes, token).await.unwrap();
        assert_eq!(store.metadata.load(Ordering::Relaxed), known(&store), "after {key}");
    }
}

#[tokio::test]
async fn a_tenant_of_which_nothing_is_known_any_more_holds_nothing() {
    let mut store = MemoryStore::new();
    for key in 0..100 {
        fill(&store, &names("4", key)).await;
    }
    assert!(store.bytes() > 0);
    store.metadata_limit = 0;
    while !store.tenants.read().is_empty() {
        store.shed();
    }
    assert_eq!(store.bytes(), 0);
}

/// What may happen between two look-ups.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fill(usize),
    Soften(usize),
    Invalidate(usize),
    InvalidateTenant,
    InvalidateEverybody,
    Fence(usize),
    Lift(usize),
    Remove(usize),
    DeletePattern,
    Shed,
    Wait(u64),
    SetBack(u64),
    Stamp(usize),
    InvalidateGroup,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..2_usize;
    prop_oneof![
        6 => key.clone().prop_map(Step::Fill),
        2 => key.clone().prop_map(Step::Soften),
        2 => key.clone().prop_map(Step::Invalidate),
        1 => Just(Step::InvalidateTenant),
        1 => Just(Step::InvalidateEverybody),
        2 => key.clone().prop_map(Step::Fence),
        2 => key.clone().prop_map(Step::Lift),
        1 => key.clone().prop_map(Step::Remove),
        1 => key.prop_map(Step::Stamp),
        1 => Just(Step::InvalidateGroup),
        1 => Just(Step::DeletePattern),
        1 => Just(Step::Shed),
        2 => (0..40_000_u64).prop_map(Step::Wait),
        1 => (0..40_000_u64).prop_map(Step::SetBack),
    ]
}

impl Step {
    async fn take(self, store: &MemoryStore, clock: &SkewedClock, keys: &[Names; 2]) {
        let token = LeaseToken([7; 16]);
        let space = keys[0].space();
        let mut scopes = ScopeNames::new(space);
        match self {
            Self::Fill(key) => {
                let request = MissRequest {
                    lease: None,
                    keep: 60_000,
                    scopes: keys[key].scopes_digest(),
                    ignore_entry: true,
                };
                if let Miss::Granted(snapshot) = store.do_miss(&keys[key], &request) {
                    let frame = Bytes::from_static(b"x");
                    store.do_fill(&keys[key], &snapshot, None, frame, 60_000);
                }
            }
            Self::Soften(key) => {
                scopes.push(&format!("path:/users/{key}"));
                store.invalidate(&scopes, Mode::Soft).await.unwrap();
            }
            Self::Invalidate(key) => {
                scopes.push(&format!("path:/users/{key}"));
                store.invalidate(&scopes, Mode::Hard).await.unwrap();
            }
            Self::InvalidateTenant => {
                scopes.push(TENANT);
                store.invalidate(&scopes, Mode::Hard).await.unwrap();
            }
            Self::InvalidateEverybody => {
                scopes.push_all_tenants();
                store.invalidate(&scopes, Mode::Hard).await.unwrap();
            }
            Self::Fence(key) => {
                scopes.push(&format!("path:/users/{key}"));
                store.fence(&scopes, token, 30_000).await.unwrap();
            }
            Self::Lift(key) => {
                scopes.push(&format!("path:/users/{key}"));
                store.lift(&scopes, token).await.unwrap();
            }
            Self::Remove(key) => {
                store.remove(&keys[key]).await.unwrap();
            }
            Self::DeletePattern => {
                store.do_delete_pattern(space, &Glob::new("/users/1").unwrap());
            }
            Self::Shed => store.shed(),
            Self::Wait(millis) => clock.advance(Duration::from_millis(millis)),
            Self::SetBack(millis) => clock.rewind(Duration::from_millis(millis)),
            Self::Stamp(key) => {
                let groups = ScopeNames::groups(space, ["news"]);
                if let Some(snapshot) = store.do_lookup(&keys[key]).snapshot() {
                    store.do_stamp(&keys[key], &snapshot, &groups, 60_000);
                }
            }
            Self::InvalidateGroup => {
                let groups = ScopeNames::groups(space, ["news"]);
                store.invalidate(&groups, Mode::Hard).await.unwrap();
            }
        }
    }
}

proptest! {
    /// Whatever happens in between, what a look-up remembers of the one before is what a search finds.
    #[test]
    fn what_is_remembered_of_scopes_is_what_a_search_finds(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let clock = Arc::new(SkewedClock::default());
        let mut store = MemoryStore::with_clock(1 << 20, Arc::clone(&clock) as Arc<dyn Clock>);
        // So that shedding finds something.
        store.metadata_limit = 1 << 10;
        let keys = [0, 1].map(|key| {
            let mut names = names("4", key);
            names.push_all_tenants();
            names
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for step in steps {
            runtime.block_on(step.take(&store, &clock, &keys));
            for names in &keys {
                // The first may search, the second remembers, if there is an entry.
                let looked = [store.do_lookup(names), store.do_lookup(names)];
                let searched = store.look(names, None, store.clock.millis());
                for found in looked {
                    prop_assert_eq!(&found.generations, &searched.0, "after {:?}", step);
                    prop_assert_eq!(found.epoch, searched.1, "after {:?}", step);
                }
            }
        }
    }
}

/// What was invalidated after its time, as it seemed, stays so when the clock is set back.
#[tokio::test]
async fn p6_a_clock_that_is_set_back_revives_nothing() {
    for in_between in [false, true] {
        let clock = Arc::new(SkewedClock::default());
        let store = MemoryStore::with_clock(1 << 20, Arc::clone(&clock) as Arc<dyn Clock>);
        let key = names("4", 1);
        fill(&store, &key).await;
        let stamps = store.do_lookup(&key).snapshot().expect("it is stored under these").stamps;
        store.do_lookup(&key);
        clock.advance(Duration::from_secs(61));
        if in_between {
            // Enough of others that what has expired is swept out.
            for other in 0..200 {
                fill(&store, &names("4", 100 + other)).await;
            }
        }
        let mut scopes = ScopeNames::new(key.space());
        scopes.push("path:/users/1");
        assert_eq!(store.invalidate(&scopes, Mode::Hard).await.unwrap().moved, 0);
        clock.rewind(Duration::from_secs(61));
        let found = store.do_lookup(&key);
        let current: Option<Box<[_]>> = found.generations.iter().map(Generation::current).collect();
        assert_ne!(current, Some(stamps), "swept: {in_between}");
    }
}

/// Nobody who begins after an invalidation is confirmed remembers what was before it.
#[test]
fn p6_what_is_remembered_ends_with_the_confirmation() {
    let store = Arc::new(MemoryStore::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = names("4", 1);
    runtime.block_on(fill(&store, &key));
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // The number of the last invalidation that is confirmed, and the generation that each ended.
    let confirmed = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, over) = (Arc::clone(&store), Arc::clone(&over));
            let (confirmed, key) = (Arc::clone(&confirmed), key.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let ended: Option<crate::entry::Id> = confirmed.lock().last().copied();
                    let found = store.do_lookup(&key);
                    let now = found.generations.last().and_then(Generation::current);
                    assert!(ended.is_none() || now != ended, "what was confirmed to be gone");
                }
            })
        })
        .collect();
    let mut scopes = ScopeNames::new(key.space());
    scopes.push("path:/users/1");
    for _ in 0..5000 {
        let before = store.do_lookup(&key).generations[1].current();
        runtime.block_on(store.invalidate(&scopes, Mode::Hard)).unwrap();
        confirmed.lock().extend(before);
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
    assert_eq!(confirmed.lock().len(), 5000);
}
