//! `rediss+cluster://`: certificates of each node, and those of clients.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::block_in_place;
use tower_response_cache::key::{Names, Space};
use tower_response_cache::store::{RedisStoreBuilder, StoreErrorKind, conformance};
use tower_response_cache::{NearCache, Store};

use crate::authority::Authority;
use crate::cluster::{Cluster, PRIMARIES, node};
use crate::fleet::{Instance, PATIENCE, assert_says, patiently, source, whole};
use crate::support::app::{gym_cache, patient};
use crate::support::redis_server::{RedisServer, free_port};

/// A cluster behind TLS, whose nodes talk so among themselves too. Each also has a port without, for the
/// test to say what it wants.
struct Secured {
    cluster: Cluster,
    ports: Vec<u16>,
    authority: Authority,
    _files: TempDir,
}

impl Secured {
    /// With a certificate for the name of each node, and these further arguments.
    fn start(name: impl Fn(usize) -> &'static str, more: &[&str]) -> Self {
        let authority = Authority::new();
        let files = TempDir::new().unwrap();
        let ports: Vec<u16> = (0..2 * PRIMARIES).map(|_| free_port()).collect();
        let nodes = ports.iter().enumerate().map(|(at, port)| {
            let mut args = authority.server_args(name(at), files.path(), *port);
            let all = ["--tls-cluster", "yes", "--tls-replication", "yes"];
            args.extend(all.iter().chain(more).map(|&arg| arg.to_owned()));
            node(&args.iter().map(String::as_str).collect::<Vec<_>>())
        });
        let nodes: Vec<_> = nodes.collect();
        let plain: Vec<u16> = nodes.iter().map(RedisServer::port).collect();
        let known_by = |port: u16| ports[plain.iter().position(|known| *known == port).unwrap()];
        let cluster = block_in_place(|| Cluster::of(nodes, |node| known_by(node.port())));
        Self { cluster, ports, authority, _files: files }
    }

    fn builder(&self, host: &str) -> RedisStoreBuilder {
        // One of them is a replica.
        let (one, other) = (self.ports[1], self.ports[3]);
        patiently(&format!("rediss+cluster://{host}:{one},{host}:{other}"))
    }

    fn trusted(&self, host: &str) -> RedisStoreBuilder {
        self.builder(host).ca_certificate(self.authority.pem())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_a_private_authority() {
    let secured = Secured::start(|_| "127.0.0.1", &["--tls-auth-clients", "no"]);
    conformance::all(&secured.trusted("127.0.0.1").connect().await.unwrap()).await;
    let near = secured.trusted("127.0.0.1").near_cache(NearCache::coherent());
    let app = Instance::new(near.connect().await.unwrap(), &source());
    for (tenant, node) in secured.cluster.tenants() {
        app.0.warm(&tenant, "/users/42").await;
        app.0.put(&tenant, "/users/42", "new").await;
        app.0.get(&tenant, "/users/42").await.assert_miss();
        app.0.warm(&tenant, "/users/42").await;
        // Another one serves it from now on, and its certificate counts as much.
        let replica = secured.cluster.replica_of(node);
        block_in_place(|| {
            secured.cluster.fail_over(replica);
            secured.cluster.settle();
        });
        app.0.put(&tenant, "/users/42", "newer").await;
        let answer = app.0.get(&tenant, "/users/42").await;
        assert_eq!(answer.text(), format!("{tenant}/42=newer"));
        app.confirmed().await;
        // What has changed may be heard of a little later, and what was stored before is not believed then.
        let began = Instant::now();
        loop {
            let answer = app.0.get_settled(&tenant, "/users/42").await;
            assert_eq!(answer.text(), format!("{tenant}/42=newer"));
            if answer.is_hit() {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "no hit: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_asks_for_client_certificates() {
    let secured = Secured::start(|_| "127.0.0.1", &["--tls-auth-clients", "yes"]);
    let (certificate, key) = secured.authority.signs("cache");
    let builder = secured.trusted("127.0.0.1");
    let store = builder.clone().client_certificate(certificate, key).connect().await.unwrap();
    let app = Instance::new(store, &source());
    for (tenant, _) in secured.cluster.tenants() {
        app.0.warm(&tenant, "/users/42").await;
    }
    let error = builder.connect().await.unwrap_err();
    assert!(whole(&error).contains("client_certificate"), "{}", whole(&error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_another_authority_or_without_tls_is_refused() {
    let secured = Secured::start(|_| "127.0.0.1", &["--tls-auth-clients", "no"]);
    let other = secured.builder("127.0.0.1").ca_certificate(Authority::new().pem());
    for builder in [other, secured.builder("127.0.0.1")] {
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{}", whole(&error));
        assert!(whole(&error).contains("ca_certificate"), "{}", whole(&error));
    }
    // By a name that no certificate has.
    let error = secured.trusted("localhost").connect().await.unwrap_err();
    assert_says(&error, "localhost", &["another name"]);
    let plain = format!("redis+cluster://127.0.0.1:{}", secured.ports[1]);
    let error = patiently(&plain).connect().await.unwrap_err();
    assert!(whole(&error).contains("rediss"), "{}", whole(&error));
}

/// As in clouds: certificates are for host names, and the cluster tells these.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_known_by_their_host_names() {
    let names = ["--cluster-announce-hostname", "localhost"];
    let more = ["--cluster-preferred-endpoint-type", "hostname", "--tls-auth-clients", "no"];
    let secured = Secured::start(|_| "localhost", &[&names[..], &more].concat());
    let store = secured.trusted("localhost").connect().await.unwrap();
    let app = Instance::new(store, &source());
    for (tenant, _) in secured.cluster.tenants() {
        app.0.warm(&tenant, "/users/42").await;
    }
}

/// What is stored there is passed by, and the other nodes' tenants have their hits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_with_a_certificate_of_another_name() {
    let name = |at| if at == 2 { "another.example" } else { "127.0.0.1" };
    let secured = Secured::start(name, &["--tls-auth-clients", "no"]);
    let store = Arc::new(secured.trusted("127.0.0.1").connect().await.unwrap());
    let app = Instance::exactly(patient(gym_cache(Arc::clone(&store) as _)), &source());
    for (tenant, node) in secured.cluster.tenants() {
        if node != 2 {
            app.0.warm(&tenant, "/users/42").await;
            continue;
        }
        app.0.get(&tenant, "/users/42").await.assert_bypass("store");
        let names = Names::new(&Space::new(&"gym".into(), &tenant), "GET", "/users/42");
        let error = store.lookup(&names).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        assert_says(&error, &format!("127.0.0.1:{}", secured.ports[2]), &["another name"]);
    }
}

/// One of them is named with a port that has no TLS: nothing is said to it without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_without_tls() {
    let secured = Secured::start(|_| "127.0.0.1", &["--tls-auth-clients", "no"]);
    let plain = secured.cluster.nodes[2].port();
    let (mut of_it, mut others) = (None, Vec::new());
    for (tenant, node) in secured.cluster.tenants() {
        if node == 2 { of_it = Some(tenant) } else { others.push(tenant) }
    }
    let names = Names::new(&Space::new(&"gym".into(), &of_it.unwrap()), "GET", "/users/42");
    let port = plain.to_string();
    secured.cluster.tell(2, &["CONFIG", "SET", "cluster-announce-tls-port", &port]);
    let began = Instant::now();
    let (store, error) = loop {
        // The nodes tell each other, and whom it asks is drawn.
        let builder = secured.trusted("127.0.0.1").connect_timeout(Duration::from_secs(2));
        let store = Arc::new(builder.connect().await.unwrap());
        match store.lookup(&names).await {
            Err(error) => break (store, error),
            Ok(_) => assert!(began.elapsed() < PATIENCE, "nobody has heard of the port"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_says(&error, &format!("127.0.0.1:{plain}"), &["port for TLS"]);
    let app = Instance::exactly(patient(gym_cache(Arc::clone(&store) as _)), &source());
    for tenant in others {
        app.0.warm(&tenant, "/users/42").await;
    }
}
