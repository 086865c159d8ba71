use super::*;
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
