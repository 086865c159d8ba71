//! One primary: the ways to it, and what it tells.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bb8_redis::redis::cluster_routing::Slot;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::address::Address;
use super::clock::ServerClock;
use super::connection::Trouble;
use super::failure::Failure;
use super::feed::Feed;
use super::gather::Gather;
use super::pool::Links;
use super::server::Server;
use super::target::Access;
use crate::store::near::{Mode as NearMode, Near};

/// How many replicas must have an invalidation, and how long they may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replicas {
    pub(super) count: u32,
    pub(super) timeout: Duration,
}

/// What all nodes of a store have in common. It knows the password, so it has no `Debug`.
pub(super) struct Kit {
    pub(super) access: Access,
    pub(super) connections: u32,
    pub(super) connect_timeout: Duration,
    pub(super) trust_restarts: bool,
    pub(super) replicas: Option<Replicas>,
    pub(super) clustered: bool,
    pub(super) clock: Arc<ServerClock>,
    pub(super) near: Option<Arc<Near>>,
    /// Of which namespaces the nodes are to tell.
    pub(super) namespaces: watch::Sender<Vec<Arc<str>>>,
    pub(super) trouble: Trouble,
    /// The last id of a connection.
    pub(super) ids: Arc<AtomicU64>,
}

/// A primary.
pub(super) struct Node {
    pub(super) links: Arc<Links>,
    pub(super) gather: Arc<Gather>,
    /// In a cluster one for each slot that has generations which entries elsewhere rest on.
    slots: RwLock<HashMap<Slot, Arc<Gather>>>,
    /// Connections on which replicas are waited for, which holds up whatever comes behind.
    sure: Option<Links>,
    #[allow(dead_code, reason = "held for its drop")]
    feed: Option<Feed>,
}

impl Kit {
    /// The node at this host and port. Must be called within a Tokio runtime.
    pub(super) fn node_at(&self, host: &str, port: u16) -> Result<Node, Failure> {
        self.access.to(host, port).map(|address| self.node(address))
    }

    /// The node at this address. Must be called within a Tokio runtime.
    pub(super) fn node(&self, address: Address) -> Node {
        let server = Arc::new(Server::new(
            address,
            self.connect_timeout,
            self.trust_restarts,
            self.clustered,
            Arc::clone(&self.clock),
            self.trouble.clone(),
            Arc::clone(&self.ids),
        ));
        for namespace in &*self.namespaces.borrow() {
            server.check_soon(namespace);
        }
        let feed = self.near.as_ref().filter(|near| near.mode() == NearMode::Coherent);
        let feed = feed.map(|near| {
            Feed::new(Arc::clone(&server), Arc::clone(near), self.namespaces.subscribe())
        });
        let sure = self.replicas.map(|_| Links::new(Arc::clone(&server), self.connections));
        let links = Arc::new(Links::new(server, self.connections));
        let gather = Gather::new(Arc::clone(&links));
        Node { gather, slots: RwLock::default(), links, sure, feed }
    }

    /// Has the nodes tell of this namespace too.
    pub(super) fn attach(&self, namespace: &str) {
        // Not `send`, which does nothing while there is no node yet.
        self.namespaces.send_if_modified(|known| {
            let is_new = known.iter().all(|known| **known != *namespace);
            if is_new {
                known.push(namespace.into());
            }
            is_new
        });
    }
}

impl Node {
    pub(super) fn address(&self) -> &Arc<str> {
        &self.links.server.address
    }

    /// The look-ups of the slot that this name is in: no command may ask for two.
    pub(super) fn gather_of(&self, name: &str) -> Arc<Gather> {
        let slot = Slot::for_key(name);
        if let Some(gather) = self.slots.read().get(&slot) {
            return Arc::clone(gather);
        }
        let mut slots = self.slots.write();
        Arc::clone(slots.entry(slot).or_insert_with(|| self.gather.another()))
    }

    /// Has it looked at for this namespace, as soon as there is a connection.
    pub(super) fn check(&self, namespace: &str) {
        if self.links.server.check_soon(namespace) {
            self.links.check();
        }
    }

    /// The connections for what replicas must have too.
    pub(super) fn sure(&self) -> &Links {
        self.sure.as_ref().unwrap_or(&self.links)
    }
}
