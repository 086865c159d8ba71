//! The servers, one or a cluster, and a proxy before each of them.

use tokio::task::block_in_place;
use tower_response_cache::{RedisStore, RedisStoreBuilder};

use crate::cluster::{Cluster, PRIMARIES, ask, until};
use crate::sentinels::{Lone, PASSWORD};
use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::redis_server::RedisServer;

/// Where faults happen.
pub struct Network {
    servers: Servers,
    /// One before each server, in their order.
    proxies: Vec<FaultProxy>,
    /// Whether caches spread what they store of a tenant.
    pub is_spread: bool,
}

enum Servers {
    One(RedisServer),
    Named(RedisServer, Lone),
    Cluster(Cluster),
}

impl Network {
    /// One server. Must be called within a runtime, as the other.
    pub fn one() -> Self {
        let server = RedisServer::start();
        let proxies = vec![FaultProxy::before(server.port())];
        Self { servers: Servers::One(server), proxies, is_spread: false }
    }

    /// One server, and a sentinel that names its proxy. It is alone, so it names no other, whatever it
    /// sees: what a fail-over does is for the histories of tests/history.
    pub fn named_by_a_sentinel() -> Self {
        let server = RedisServer::start();
        let proxies = vec![FaultProxy::before(server.port())];
        let sentinel = block_in_place(|| Lone::start(proxies[0].port()));
        Self { servers: Servers::Named(server, sentinel), proxies, is_spread: false }
    }

    /// Three primaries and three replicas, which tell clients, and each other, the ports of their
    /// proxies. Among themselves they talk past them.
    pub fn cluster() -> Self {
        let mut cluster = block_in_place(Cluster::start);
        let proxies: Vec<_> =
            cluster.nodes.iter().map(|node| FaultProxy::before(node.port())).collect();
        for (node, proxy) in cluster.nodes.iter_mut().zip(&proxies) {
            let port = proxy.port().to_string();
            let told = ask(node.port(), &["CONFIG", "SET", "cluster-announce-port", &port]);
            assert!(told.starts_with("+OK"), "{told}");
            node.add_args(&["--cluster-announce-port", &port]);
        }
        block_in_place(|| {
            for node in &cluster.nodes {
                until("everybody knows the proxies", || {
                    let slots = ask(node.port(), &["CLUSTER", "SLOTS"]);
                    proxies.iter().all(|proxy| slots.contains(&format!(":{}\r\n", proxy.port())))
                });
            }
            cluster.settle();
        });
        Self { servers: Servers::Cluster(cluster), proxies, is_spread: false }
    }

    /// The same, for caches that spread what they store of a tenant over its primaries.
    pub fn spread_cluster() -> Self {
        Self { is_spread: true, ..Self::cluster() }
    }

    /// Of a store that goes through the proxies.
    pub fn builder(&self) -> RedisStoreBuilder {
        let builder = RedisStore::builder(&self.url());
        match self.servers {
            Servers::Named(..) => builder.sentinel_credentials("", PASSWORD),
            Servers::One(_) | Servers::Cluster(_) => builder,
        }
    }

    /// Through the proxies.
    pub fn url(&self) -> String {
        match &self.servers {
            Servers::One(_) => self.proxies[0].url(),
            Servers::Named(_, sentinel) => sentinel.url(),
            Servers::Cluster(_) => cluster_url(self.proxies.iter().map(FaultProxy::port)),
        }
    }

    /// Past them, as far as a cluster lets one.
    pub fn direct_url(&self) -> String {
        match &self.servers {
            Servers::One(server) | Servers::Named(server, _) => server.url(),
            Servers::Cluster(cluster) => cluster_url(cluster.nodes.iter().map(RedisServer::port)),
        }
    }

    /// The server, where there is one alone.
    pub fn only_server(&self) -> &RedisServer {
        match &self.servers {
            Servers::One(server) | Servers::Named(server, _) => server,
            Servers::Cluster(_) => panic!("there are several"),
        }
    }

    /// The cluster, where it is one.
    pub fn as_cluster(&self) -> &Cluster {
        match &self.servers {
            Servers::One(_) | Servers::Named(..) => panic!("there is one server"),
            Servers::Cluster(cluster) => cluster,
        }
    }

    pub async fn set(&self, mode: Mode) {
        for proxy in &self.proxies {
            proxy.set(mode).await;
        }
    }

    /// That of one server.
    pub async fn set_before(&self, at: usize, mode: Mode) {
        self.proxies[at].set(mode).await;
    }

    pub fn kill(&mut self) {
        self.each(RedisServer::kill);
    }

    /// Starts them again, and waits until a cluster is well.
    pub fn restart(&mut self) {
        self.each(RedisServer::restart);
        self.settle();
    }

    pub fn pause(&mut self) {
        self.each(|server| server.pause());
    }

    pub fn resume(&mut self) {
        self.each(|server| server.resume());
        self.settle();
    }

    fn each(&mut self, mut what: impl FnMut(&mut RedisServer)) {
        match &mut self.servers {
            Servers::One(server) | Servers::Named(server, _) => what(server),
            Servers::Cluster(cluster) => cluster.nodes.iter_mut().for_each(what),
        }
    }

    fn settle(&self) {
        if let Servers::Cluster(cluster) = &self.servers {
            block_in_place(|| cluster.settle());
        }
    }
}

/// With two of the primaries and a replica.
fn cluster_url(ports: impl Iterator<Item = u16>) -> String {
    let nodes: Vec<_> =
        ports.skip(1).take(PRIMARIES).map(|port| format!("127.0.0.1:{port}")).collect();
    format!("redis+cluster://{}", nodes.join(","))
}
