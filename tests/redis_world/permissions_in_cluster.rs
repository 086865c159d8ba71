//! Users of a cluster, each of whose nodes has a list of its own.

use tokio::task::block_in_place;
use tower_response_cache::NearCache;
use tower_response_cache::store::{RedisStoreBuilder, StoreErrorKind, conformance};

use crate::cluster::{Cluster, ask};
use crate::document::acl_line;
use crate::fleet::{Instance, patiently, source, tell, whole};

/// What docs/REDIS.md asks for besides.
const OF_CLUSTERS: &str = "+cluster|slots +cluster|info";

/// What it asks for where there is a coherent near-cache.
const OF_NEAR_CACHES: &str = "+client|tracking";

/// A cluster with the user of the documentation.
fn cluster() -> Cluster {
    let cluster = block_in_place(Cluster::start);
    for node in &cluster.nodes {
        tell(node, &format!("{} {OF_CLUSTERS}", acl_line()));
    }
    cluster
}

fn restricted(cluster: &Cluster) -> RedisStoreBuilder {
    patiently(&cluster.url()).credentials("cache", "s3cret")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_documentation_asks_for_is_enough_in_a_cluster() {
    let cluster = cluster();
    for node in &cluster.nodes {
        // The suite has a namespace of its own.
        tell(node, &format!("ACL SETUSER cache ~* {OF_NEAR_CACHES}"));
    }
    let near = restricted(&cluster).near_cache(NearCache::coherent());
    conformance::all(&near.clone().connect().await.unwrap()).await;
    let app = Instance::new(near.connect().await.unwrap(), &source());
    for (tenant, _) in cluster.tenants() {
        app.0.warm(&tenant, "/users/42").await;
        app.0.put(&tenant, "/users/42", "new").await;
        app.0.get(&tenant, "/users/42").await.assert_miss();
        let removed = app.0.cache.tenant(&tenant).unwrap().delete_pattern("/users/*").await;
        assert_eq!(removed.unwrap(), 1);
    }
    assert_eq!((app.unconfirmed(), app.store_errors()), (0, 0));
    for node in &cluster.nodes {
        let denied = ask(node.port(), &["ACL", "LOG"]);
        assert!(denied.starts_with("*0"), "{denied}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_may_not_be_asked_for_its_slots_is_an_error_that_says_so() {
    let cluster = cluster();
    for command in ["cluster|slots", "cluster|info"] {
        for node in &cluster.nodes {
            tell(node, &format!("ACL SETUSER cache -{command}"));
        }
        let error = restricted(&cluster).connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{}", whole(&error));
        let text = whole(&error).to_lowercase();
        assert!(text.contains("cluster"), "{text}");
        for node in &cluster.nodes {
            tell(node, &format!("ACL SETUSER cache +{command}"));
        }
    }
    restricted(&cluster).connect().await.unwrap();
}

/// Lists are for each node to have: one was forgotten. Its tenants are passed by, and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_whom_one_node_does_not_know() {
    let cluster = cluster();
    let app = Instance::new(restricted(&cluster).connect().await.unwrap(), &source());
    let tenants = cluster.tenants();
    for (tenant, _) in &tenants {
        app.0.warm(tenant, "/users/42").await;
    }
    let (forgotten, node) = &tenants[0];
    tell(&cluster.nodes[*node], "ACL DELUSER cache");
    for round in 0..5 {
        app.0.put(forgotten, "/users/42", &format!("new {round}")).await;
        let answer = app.0.get(forgotten, "/users/42").await;
        assert_eq!(answer.text(), format!("{forgotten}/42=new {round}"));
        assert!(!answer.is_hit(), "{answer:?}");
        for (tenant, _) in &tenants[1..] {
            app.0.get(tenant, "/users/42").await.assert_hit();
        }
    }
    assert!(app.unconfirmed() > 0);
    tell(&cluster.nodes[*node], &format!("{} {OF_CLUSTERS}", acl_line()));
    app.confirmed().await;
    app.0.warm(forgotten, "/users/42").await;
}

/// One word after the other is missing in the list of one node: answers stay right, whatever is said to be
/// invalidated is, for everybody, and the other nodes' tenants notice nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_that_one_node_forbids_costs_its_own_tenants_alone() {
    let cluster = cluster();
    let source = source();
    let app = Instance::new(restricted(&cluster).connect().await.unwrap(), &source);
    let other = Instance::new(patiently(&cluster.url()).connect().await.unwrap(), &source);
    let tenants = cluster.tenants();
    let (hit, node) = &tenants[0];
    let node = &cluster.nodes[*node];
    let mut noticed = 0;
    for command in acl_line().split_whitespace().filter_map(|word| word.strip_prefix('+')) {
        for (tenant, _) in &tenants {
            app.0.warm(tenant, "/users/42").await;
        }
        other.0.warm(hit, "/users/42").await;
        tell(node, &format!("ACL SETUSER cache -{command}"));
        if matches!(command, "eval" | "script|load") {
            tell(node, "SCRIPT FLUSH");
        }
        let (errors, unconfirmed) = (app.store_errors(), app.unconfirmed());
        for round in 0..2 {
            let truth = format!("without {command} {round}");
            app.0.put(hit, "/users/42", &truth).await;
            let truth = format!("{hit}/42={truth}");
            assert_eq!(app.0.get(hit, "/users/42").await.text(), truth);
            if app.unconfirmed() == unconfirmed {
                assert_eq!(other.0.get(hit, "/users/42").await.text(), truth);
            }
            for (tenant, _) in &tenants[1..] {
                app.0.get(tenant, "/users/42").await.assert_hit();
            }
        }
        noticed += u32::from(app.store_errors() > errors);
        tell(node, &format!("ACL SETUSER cache +{command}"));
        app.confirmed().await;
    }
    assert!(noticed > 0, "nothing was missed");
}
