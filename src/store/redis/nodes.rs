//! Which server a step goes to.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bb8_redis::redis::cluster_routing::Slot;
use bb8_redis::redis::{Value, cmd};
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::connection::Link;
use super::failure::{Failure, Sign};
use super::lately::Lately;
use super::lookout::{self, Question};
use super::node::{Kit, Node, Replicas};
use super::target::Target;
use super::tenure::{SETTLE, Tenure};
use super::view::Range;
use crate::key::{ScopeNames, Space};
use crate::store::StoreErrorKind;

/// The servers of a store, and who of them serves what.
///
/// All names of a step are in one slot of a cluster, so it goes to one node. A node that isn't the right
/// one any more says so and does nothing; the step then goes where it says, once, and the map is drawn
/// anew behind the scenes.
pub(super) struct Nodes {
    pub(super) shared: Arc<Shared>,
    /// Draws the map; a single server needs none.
    #[allow(dead_code, reason = "held for its drop")]
    lookout: Option<AbortOnDropHandle<()>>,
}

/// What the steps and the lookout share.
pub(super) struct Shared {
    pub(super) kit: Kit,
    map: RwLock<Arc<Map>>,
    /// Slots that have moved since the map was drawn: the second step of a request must not go where
    /// the first was sent away from.
    moved: RwLock<HashMap<Slot, Arc<Node>>>,
    /// Every node by its address: those on the map, and those that a node has named since.
    known: Mutex<HashMap<Arc<str>, Arc<Node>>>,
    /// Rounds of the lookout, and how the last one failed if it did.
    pub(super) rounds: watch::Sender<Option<Failure>>,
    turns: Turns,
    /// Of what sentinels watch.
    pub(super) tenure: Option<Tenure>,
    pub(super) lately: Lately,
    /// What is still to be moved once more, by those who have taken over its slot.
    pub(super) overdue: Mutex<HashSet<String>>,
}

/// How often a step was sent elsewhere.
#[derive(Debug, Default)]
pub(super) struct Turns {
    moved: AtomicU64,
    asked: AtomicU64,
}

/// Who serves what.
#[derive(Default)]
pub(super) struct Map {
    pub(super) nodes: Vec<Arc<Node>>,
    /// Why there is none, if that is known.
    pub(super) none: Option<Failure>,
    /// In a cluster, the place of each slot's node.
    slots: Option<HashMap<Slot, usize>>,
    /// What it was drawn from.
    ranges: Vec<Range>,
}

impl Nodes {
    /// Must be called within a Tokio runtime.
    pub(super) fn new(kit: Kit, target: Target) -> Self {
        let now = Instant::now();
        let tenure = matches!(target, Target::Sentinel(_)).then(|| Tenure::new(now));
        let shared = |kit, map| {
            Arc::new(Shared {
                kit,
                map: RwLock::new(Arc::new(map)),
                moved: RwLock::default(),
                known: Mutex::default(),
                rounds: watch::Sender::new(None),
                turns: Turns::default(),
                tenure,
                lately: Lately::new(now),
                overdue: Mutex::default(),
            })
        };
        let question = match target {
            Target::Server(address) => {
                let nodes = vec![Arc::new(kit.node(address))];
                let shared = shared(kit, Map { nodes, ..Map::default() });
                return Self { shared, lookout: None };
            }
            Target::Cluster(seeds) => Question::Slots(seeds.into_iter().map(Arc::new).collect()),
            Target::Sentinel(sentinels) => Question::Primary(sentinels),
        };
        let shared = shared(kit, Map::default());
        let task = tokio::spawn(lookout::keep(Arc::clone(&shared), question));
        Self { shared, lookout: Some(AbortOnDropHandle::new(task)) }
    }

    /// Has the nodes tell of this namespace, and be looked at for it.
    pub(super) fn attach(&self, namespace: &str) {
        self.shared.kit.attach(namespace);
        for node in &self.map().nodes {
            node.check(namespace);
        }
    }

    /// Whether the scope of all tenants is elsewhere than what a tenant has.
    pub(super) fn is_cluster(&self) -> bool {
        self.shared.kit.clustered
    }

    pub(super) fn map(&self) -> Arc<Map> {
        self.shared.map()
    }

    /// Remembers that these scopes are about to move, where another server may have to be told.
    pub(super) fn note(&self, scopes: &ScopeNames) -> Result<(), Failure> {
        if self.shared.is_alone() { Ok(()) } else { self.shared.lately.note(scopes) }
    }

    /// The same for something else of the tenant.
    pub(super) fn note_tenant(&self, space: &Space) -> Result<(), Failure> {
        if self.shared.is_alone() { Ok(()) } else { self.shared.lately.note_tenant(space) }
    }

    /// Waits for a primary that is named, and not used yet.
    pub(super) async fn settled(&self) {
        let settled = async {
            let mut rounds = self.shared.rounds.subscribe();
            while self.shared.is_watched() {
                let map = self.map();
                let is_first = map.nodes.is_empty() && map.none.is_none();
                if !map.nodes.is_empty() || is_first && rounds.borrow().is_some() {
                    return;
                }
                if rounds.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(self.shared.kit.connect_timeout + SETTLE, settled).await;
    }

    /// The node that serves this name, if that is known or can be found out.
    pub(super) async fn node_of(&self, name: &str) -> Result<Arc<Node>, Failure> {
        if let Some(node) = self.shared.node_of(name) {
            return Ok(node);
        }
        if let Some(none) = &self.map().none {
            return Err(none.clone());
        }
        let mut rounds = self.shared.rounds.subscribe();
        self.shared.kit.trouble.tell();
        let waited = tokio::time::timeout(self.shared.kit.connect_timeout, rounds.changed()).await;
        if let Some(node) = self.map().node_of(name) {
            return Ok(node);
        }
        let failure = rounds.borrow().clone();
        Err(match (waited, failure) {
            (_, Some(failure)) => failure,
            (Ok(_), None) => {
                Failure::new(StoreErrorKind::Unavailable, "no node of the cluster serves the slot")
            }
            (Err(_), None) => Failure::new(
                StoreErrorKind::Timeout,
                "nobody has said in time which server of Redis is the right one",
            ),
        })
    }

    /// Takes a step over `name`, and others of its slot, on the node that serves it.
    pub(super) async fn at<T, F, S>(&self, name: &str, step: S) -> Result<T, Failure>
    where
        S: Fn(Link) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        self.take(name, false, step).await
    }

    /// The same, on a connection on which replicas may be waited for.
    pub(super) async fn surely_at<T, F, S>(&self, name: &str, step: S) -> Result<T, Failure>
    where
        S: Fn(Link) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        self.take(name, true, step).await
    }

    async fn take<T, F, S>(&self, name: &str, surely: bool, step: S) -> Result<T, Failure>
    where
        S: Fn(Link) -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let node = self.node_of(name).await?;
        let failure = match step(link_to(&node, surely).await?).await {
            Ok(done) => return self.shared.counts(&node).map(|()| done),
            Err(failure) => failure,
        };
        if !self.is_cluster() {
            return Err(failure);
        }
        match failure.sign() {
            Sign::None | Sign::Divided => Err(failure),
            Sign::Down => {
                self.shared.kit.trouble.tell();
                Err(failure)
            }
            Sign::Turn(turn) => {
                self.shared.turns.count(turn.asking);
                let node = self.shared.node_at(&turn.host, turn.port)?;
                if !turn.asking {
                    let slot = Slot::for_key(name);
                    self.shared.moved.write().insert(slot, Arc::clone(&node));
                    self.shared.kit.trouble.tell();
                }
                let link = link_to(&node, surely).await?.asking(turn.asking);
                // No further: whoever is sent on and on would do better without a cache.
                step(link).await.map_err(Failure::passing)
            }
        }
    }

    /// Answers once the server can be reached; of a cluster, most of it.
    pub(super) async fn ping(&self) -> Result<(), Failure> {
        // In a cluster any name will do to learn of the nodes.
        self.node_of("").await?;
        let map = self.map();
        let mut asked = tokio::task::JoinSet::new();
        for node in map.nodes.iter().cloned() {
            asked.spawn(async move {
                let mut link = node.links.link().await?;
                link.command(&cmd("PING")).await.map(drop)
            });
        }
        let (mut reached, mut last) = (0, None);
        while let Some(answer) = asked.join_next().await {
            match answer {
                Ok(Ok(())) => reached += 1,
                Ok(Err(failure)) => last = Some(failure),
                Err(_) => {}
            }
            if 2 * reached > map.nodes.len() {
                return Ok(());
            }
        }
        Err(last.unwrap_or_else(|| Failure::new(StoreErrorKind::Unavailable, "no server is known")))
    }

    /// Waits until the replicas that are to have it have what was sent through this connection.
    pub(super) async fn replicated(&self, link: &mut Link) -> Result<(), Failure> {
        let Some(Replicas { count, timeout }) = self.shared.kit.replicas else { return Ok(()) };
        let mut wait = cmd("WAIT");
        wait.arg(count).arg(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        match link.command(&wait).await? {
            Value::Int(have) if have >= i64::from(count) => Ok(()),
            Value::Int(have) => Err(Failure::new(
                StoreErrorKind::Unavailable,
                format!(
                    "{have} replicas of Redis at {} had an invalidation within {timeout:?}, not \
                     {count}",
                    link.address()
                ),
            )),
            _ => Err(link.nonsense("WAIT")),
        }
    }

    /// Retires the connection with this id, if it is still there.
    pub(super) fn retire(&self, id: u64) {
        let known: Vec<_> = self.shared.known.lock().values().cloned().collect();
        for node in self.map().nodes.iter().chain(&known) {
            node.links.server.retire(id);
        }
    }

    /// How often a step was sent to another node: for good, and for once.
    pub(super) fn turns(&self) -> (u64, u64) {
        let turns = &self.shared.turns;
        (turns.moved.load(Ordering::Relaxed), turns.asked.load(Ordering::Relaxed))
    }
}

async fn link_to(node: &Node, surely: bool) -> Result<Link, Failure> {
    if surely { node.sure().link().await } else { node.links.link().await }
}

impl Turns {
    fn count(&self, asking: bool) {
        let counter = if asking { &self.asked } else { &self.moved };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.read())
    }

    /// Whether sentinels say who the primary is.
    fn is_watched(&self) -> bool {
        self.tenure.is_some()
    }

    /// Whether there is one server, and never another.
    fn is_alone(&self) -> bool {
        !self.is_watched() && !self.kit.clustered
    }

    pub(super) fn has_primary(&self) -> bool {
        !self.map.read().nodes.is_empty()
    }

    /// Has this be the primary, or nobody, for this reason.
    pub(super) fn publish(&self, primary: Result<Arc<Node>, Failure>) {
        let (nodes, none) = match primary {
            Ok(node) => (vec![node], None),
            Err(why) => (Vec::new(), Some(why)),
        };
        *self.map.write() = Arc::new(Map { nodes, none, ..Map::default() });
    }

    /// Whether this is the primary that is used.
    pub(super) fn is_used(&self, host: &str, port: u16) -> bool {
        let map = self.map();
        map.nodes.first().is_some_and(|node| **node.address() == format!("{host}:{port}"))
    }

    /// Lets go of every other node, with its feed.
    pub(super) fn keep_only(&self, address: &Arc<str>) {
        self.known.lock().retain(|known, _| known == address);
    }

    /// The node at this address, which is made if it isn't known.
    pub(super) fn node_at(&self, host: &str, port: u16) -> Result<Arc<Node>, Failure> {
        let address: Arc<str> = format!("{host}:{port}").into();
        let mut known = self.known.lock();
        if let Some(node) = known.get(&address) {
            return Ok(Arc::clone(node));
        }
        let node = Arc::new(self.kit.node_at(host, port)?);
        known.insert(address, Arc::clone(&node));
        Ok(node)
    }

    /// The node whose address is shown so.
    pub(super) fn node_named(&self, address: &str) -> Result<Arc<Node>, Failure> {
        match address.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
            Some((host, Ok(port))) => self.node_at(host, port),
            _ => Err(Failure::nonsense(address, "CLUSTER SLOTS")),
        }
    }

    /// Draws the map of a cluster anew. Whoever isn't on it is let go, with its feed: it may have
    /// been cut off from the rest.
    pub(super) fn draw(&self, ranges: Vec<Range>) -> Result<(), Failure> {
        let was = Arc::clone(&self.map.read());
        if was.slots.is_none() || was.ranges != ranges {
            let map = Arc::new(self.drawn(ranges)?);
            self.map.write().clone_from(&map);
            // After the map is there: whoever notes something from here on goes by it.
            self.hand_over(&was, &map);
        }
        let map = self.map.read();
        let is_on_it = |address: &Arc<str>| map.nodes.iter().any(|node| node.address() == address);
        self.known.lock().retain(|address, _| is_on_it(address));
        self.moved.write().clear();
        Ok(())
    }

    fn drawn(&self, ranges: Vec<Range>) -> Result<Map, Failure> {
        let mut map = Map::default();
        let mut slots = HashMap::with_capacity(16_384);
        let mut places = HashMap::new();
        for range in &ranges {
            let node = self.node_at(&range.host, range.port)?;
            let place = *places.entry(Arc::clone(node.address())).or_insert_with(|| {
                map.nodes.push(node);
                map.nodes.len() - 1
            });
            slots.extend(range.slots.clone().filter_map(Slot::new).map(|slot| (slot, place)));
        }
        map.slots = Some(slots);
        map.ranges = ranges;
        Ok(map)
    }

    pub(super) fn node_of(&self, name: &str) -> Option<Arc<Node>> {
        let moved = self.moved.read();
        if !moved.is_empty()
            && let Some(node) = moved.get(&Slot::for_key(name))
        {
            return Some(Arc::clone(node));
        }
        drop(moved);
        self.map.read().node_of(name)
    }

    /// Every node that is known, as host and port.
    pub(super) fn addresses(&self) -> Vec<Arc<str>> {
        self.known.lock().keys().cloned().collect()
    }
}

impl Map {
    /// Whether each slot has a node.
    pub(super) fn is_whole(&self) -> bool {
        self.slots.as_ref().is_none_or(|slots| slots.len() == 16_384)
    }

    pub(super) fn node_of(&self, name: &str) -> Option<Arc<Node>> {
        let place = match &self.slots {
            Some(slots) => *slots.get(&Slot::for_key(name))?,
            None => 0,
        };
        self.nodes.get(place).cloned()
    }
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let map = self.map();
        let addresses: Vec<_> = map.nodes.iter().map(|node| node.address()).collect();
        f.debug_struct("Nodes").field("addresses", &addresses).finish_non_exhaustive()
    }
}
