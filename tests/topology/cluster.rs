//! A real cluster: three primaries with a replica each, and what can be done to it.

#![allow(dead_code, unreachable_pub, reason = "each test target uses a part")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::redis_server::{RedisServer, free_port};

pub const PRIMARIES: usize = 3;

/// Its nodes. Dropping it ends their processes.
pub struct Cluster {
    pub nodes: Vec<RedisServer>,
    ids: Vec<String>,
}

impl Cluster {
    /// Three primaries, each with a third of the slots, and three replicas.
    pub fn start() -> Self {
        Self::of((0..2 * PRIMARIES).map(|_| node(&[])).collect(), RedisServer::port)
    }

    /// The same of these nodes, which know each other by these ports.
    pub fn of(nodes: Vec<RedisServer>, known_by: impl Fn(&RedisServer) -> u16) -> Self {
        let ids = nodes.iter().map(|node| text(&ask(node.port(), &["CLUSTER", "MYID"]))).collect();
        let cluster = Self { nodes, ids };
        let port = |at: usize| cluster.nodes[at].port();
        for at in 0..2 * PRIMARIES {
            let epoch = (at + 1).to_string();
            ask(port(at), &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]);
        }
        for (at, (first, last)) in [(0, 5460), (5461, 10_922), (10_923, 16_383)].iter().enumerate()
        {
            let (first, last) = (first.to_string(), last.to_string());
            ask(port(at), &["CLUSTER", "ADDSLOTSRANGE", &first, &last]);
        }
        for other in &cluster.nodes[1..] {
            let bus = field(&ask(other.port(), &["CONFIG", "GET", "cluster-port"]));
            let to = known_by(other).to_string();
            ask(port(0), &["CLUSTER", "MEET", "127.0.0.1", &to, &bus]);
        }
        for at in 0..2 * PRIMARIES {
            until("everybody knows everybody", || {
                ask(port(at), &["CLUSTER", "INFO"]).contains("cluster_known_nodes:6")
            });
        }
        for at in PRIMARIES..2 * PRIMARIES {
            let primary = &cluster.ids[at - PRIMARIES];
            until("a replica has its primary", || {
                ask(port(at), &["CLUSTER", "REPLICATE", primary]).starts_with("+OK")
            });
        }
        cluster.settle();
        cluster
    }

    /// `redis+cluster://…` with two of the nodes, one of them a replica.
    pub fn url(&self) -> String {
        let (one, other) = (self.nodes[1].port(), self.nodes[3].port());
        format!("redis+cluster://127.0.0.1:{one},127.0.0.1:{other}")
    }

    /// Waits until all that run say that all is well, see the same nodes in the same parts, and
    /// replicas are in step. Sees to it that each primary has a replica, as far as there are any.
    pub fn settle(&self) {
        loop {
            let mut seen = Vec::new();
            self.until("the cluster is well", || {
                let views: Option<Vec<_>> =
                    self.nodes.iter().filter(|node| node.runs()).map(view).collect();
                let Some(mut views) = views else { return false };
                seen = views.pop().unwrap_or_default();
                views.iter().all(|view| *view == seen)
            });
            if !self.give_a_replica(&seen) {
                return;
            }
        }
    }

    /// A primary that was away follows the one that took its last slot, be that another than its
    /// successor, which is left alone then. Gives such a one the replica of another that has two, and
    /// answers whether it did.
    fn give_a_replica(&self, seen: &[Member]) -> bool {
        let followers = |of: &Member| seen.iter().filter(|member| member.primary == of.id).count();
        let primaries = || seen.iter().filter(|member| member.is_primary());
        let lonely = primaries().find(|primary| followers(primary) == 0);
        let rich = primaries().find(|primary| followers(primary) > 1);
        let (Some(lonely), Some(rich)) = (lonely, rich) else { return false };
        let spare = seen.iter().find(|member| member.primary == rich.id).expect("it has two");
        let at = self.ids.iter().position(|id| *id == spare.id).expect("one of ours");
        self.tell(at, &["CLUSTER", "REPLICATE", &lonely.id]);
        true
    }

    /// Which of the nodes serves this name as a primary, as the others see it.
    pub fn owner(&self, name: &str) -> usize {
        let began = Instant::now();
        loop {
            for (at, node) in self.nodes.iter().enumerate() {
                let role = try_ask(node.port(), &["INFO", "replication"]);
                if role.is_some_and(|role| role.contains("role:master"))
                    && ask(node.port(), &["EXISTS", name]).starts_with(':')
                {
                    return at;
                }
            }
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "nobody serves {name}: {}",
                self.condition()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// For each primary a tenant of the namespace `gym` that it serves, and which of the nodes it is.
    pub fn tenants(&self) -> Vec<(String, usize)> {
        let mut found: Vec<(String, usize)> = Vec::new();
        for tenant in (0..).map(|number: u32| number.to_string()) {
            let owner = self.owner(&format!("gym:e:{{{tenant}}}:x"));
            if found.iter().all(|(_, known)| *known != owner) {
                found.push((tenant, owner));
            }
            if found.len() == PRIMARIES {
                break;
            }
        }
        found
    }

    /// Whether it runs and serves slots, as it says itself.
    pub fn is_primary(&self, at: usize) -> bool {
        let role = try_ask(self.nodes[at].port(), &["INFO", "replication"]);
        role.is_some_and(|role| role.contains("role:master"))
    }

    /// A replica of this primary that runs.
    pub fn replica_of(&self, primary: usize) -> usize {
        let mut found = None;
        self.until_within(Duration::from_secs(20), "it has a replica", || {
            let seen = view(&self.nodes[primary]).unwrap_or_default();
            let replicas = seen.iter().filter(|member| member.primary == self.ids[primary]);
            found = replicas
                .filter_map(|member| self.ids.iter().position(|id| *id == member.id))
                .find(|at| self.nodes[*at].runs());
            found.is_some()
        });
        found.expect("it was waited for")
    }

    /// The slot of a name, as any node knows it.
    pub fn slot(&self, name: &str) -> u16 {
        let replies =
            self.nodes.iter().map(|node| try_ask(node.port(), &["CLUSTER", "KEYSLOT", name]));
        let reply = replies.flatten().next().expect("some node runs");
        reply[1..].trim().parse().unwrap()
    }

    /// Begins to move a slot. `step` moves some names each time, until it answers that none is left.
    pub fn moving(&self, slot: u16, from: usize, to: usize) -> Move<'_> {
        let number = slot.to_string();
        self.tell(to, &["CLUSTER", "SETSLOT", &number, "IMPORTING", &self.ids[from]]);
        self.tell(from, &["CLUSTER", "SETSLOT", &number, "MIGRATING", &self.ids[to]]);
        Move { cluster: self, slot: number, from, to }
    }

    /// Makes this replica the primary, in agreement with the one that is. Such an attempt may come to
    /// nothing: a server gives it up after five seconds.
    pub fn fail_over(&self, replica: usize) {
        let mut asked: Option<Instant> = None;
        self.until("the replica is the primary", || {
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                ask(self.nodes[replica].port(), &["CLUSTER", "FAILOVER"]);
                asked = Some(Instant::now());
            }
            self.is_primary(replica)
        });
    }

    /// Kills a primary, and waits until its replica has taken its place.
    pub fn kill(&mut self, primary: usize) {
        let heir = self.replica_of(primary);
        self.tell(heir, &["CONFIG", "SET", NO_FAIL_OVER, "no"]);
        self.nodes[primary].kill();
        self.until("its replica takes its place", || self.is_primary(heir));
        self.tell(heir, &["CONFIG", "SET", NO_FAIL_OVER, "yes"]);
    }

    /// Moves a slot from one end to the other.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let moving = self.moving(slot, from, to);
        while moving.step(20) {}
        moving.end();
    }

    fn until(&self, what: &str, holds: impl FnMut() -> bool) {
        self.until_within(Duration::from_secs(30), what, holds);
    }

    fn until_within(&self, limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            let late = began.elapsed() > limit;
            assert!(!late, "not in time: {what}: {}", self.condition());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// How each node sees the others, and the end of its log: for whoever reads of a failure.
    fn condition(&self) -> String {
        let said = self.nodes.iter().map(|node| {
            let view = try_ask(node.port(), &["CLUSTER", "NODES"]);
            let view = view.unwrap_or_else(|| "does not answer".to_owned());
            format!("\n== {}\n{view}\n{}", node.port(), node.last_words(40))
        });
        said.collect()
    }

    /// What the others call it.
    pub fn id(&self, at: usize) -> &str {
        &self.ids[at]
    }

    /// A command that it has to obey.
    pub fn tell(&self, at: usize, command: &[&str]) {
        let reply = ask(self.nodes[at].port(), command);
        assert!(reply.starts_with("+OK"), "{command:?}: {reply}");
    }
}

/// A slot on its way.
pub struct Move<'a> {
    cluster: &'a Cluster,
    slot: String,
    from: usize,
    to: usize,
}

impl Move<'_> {
    /// Moves up to so many names, and answers whether there were any.
    pub fn step(&self, names: usize) -> bool {
        let from = self.cluster.nodes[self.from].port();
        let reply = ask(from, &["CLUSTER", "GETKEYSINSLOT", &self.slot, &names.to_string()]);
        let names: Vec<&str> = reply
            .split("\r\n")
            .filter(|line| line.contains(':') && !line.starts_with('$'))
            .collect();
        if names.is_empty() {
            return false;
        }
        let to = self.cluster.nodes[self.to].port().to_string();
        let mut migrate = vec!["MIGRATE", "127.0.0.1", &to, "", "0", "5000", "KEYS"];
        migrate.extend(names);
        let mut reply = String::new();
        // One that has just come back takes nothing for a moment.
        self.cluster.until("the other end takes names", || {
            reply = ask(from, &migrate);
            !reply.contains("CLUSTERDOWN")
        });
        // It has heard already that the slot is the other's.
        if reply.starts_with("-MOVED") {
            return false;
        }
        assert!(reply.starts_with('+'), "{reply}");
        true
    }

    /// Ends it: the slot is the other's. Names that have come meanwhile go too.
    pub fn end(self) {
        let owner = self.cluster.ids[self.to].as_str();
        self.cluster.tell(self.to, &["CLUSTER", "SETSLOT", &self.slot, "NODE", owner]);
        let from = self.cluster.nodes[self.from].port();
        self.cluster.until("the slot is given away", || {
            while self.step(20) {}
            ask(from, &["CLUSTER", "SETSLOT", &self.slot, "NODE", owner]).starts_with("+OK")
        });
    }
}

/// A node as another sees it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    id: String,
    /// Whom it follows; `-` if nobody.
    primary: String,
    slots: Vec<String>,
}

impl Member {
    fn is_primary(&self) -> bool {
        self.primary == "-"
    }
}

/// The nodes that are well, as this one sees them: `None` as long as it is not well itself.
fn view(node: &RedisServer) -> Option<Vec<Member>> {
    let info = try_ask(node.port(), &["CLUSTER", "INFO"])?;
    let replication = try_ask(node.port(), &["INFO", "replication"])?;
    let in_step =
        replication.contains("role:master") || replication.contains("master_link_status:up");
    if !info.contains("cluster_state:ok") || !in_step {
        return None;
    }
    let nodes = try_ask(node.port(), &["CLUSTER", "NODES"])?;
    // id address flags primary pinged ponged epoch link slots…
    let lines = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut seen: Vec<Member> = lines
        .filter(|fields| fields.len() >= 8 && fields[2].split(',').all(|flag| !is_failure(flag)))
        .map(|fields| {
            let settled = fields[8..].iter().filter(|slots| !slots.starts_with('['));
            Member {
                id: fields[0].to_owned(),
                primary: fields[3].to_owned(),
                slots: settled.map(|&slots| slots.to_owned()).collect(),
            }
        })
        .collect();
    seen.sort();
    Some(seen)
}

fn is_failure(flag: &str) -> bool {
    matches!(flag, "fail" | "fail?")
}

/// Whether a replica leaves its primary's place alone, unless it is told to take it. They all do, since a
/// server that gets no time on a full machine is soon taken for dead: whoever took its place then would
/// do so in the middle of anything, and know nothing of a slot that is being moved.
const NO_FAIL_OVER: &str = "cluster-replica-no-failover";

/// One that belongs to none yet, with further arguments.
pub fn node(more: &[&str]) -> RedisServer {
    let bus = free_port().to_string();
    let no_fail_over = format!("--{NO_FAIL_OVER}");
    let args = [
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "1000",
        &no_fail_over,
        "yes",
        // However long it has been without its primary.
        "--cluster-replica-validity-factor",
        "0",
        "--repl-diskless-sync-delay",
        "0",
        "--repl-ping-replica-period",
        "1",
    ];
    RedisServer::with_args(&[&args[..], more].concat())
}

pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One command to one server, and its reply as it comes.
pub fn ask(port: u16, command: &[&str]) -> String {
    try_ask(port, command).unwrap_or_else(|| panic!("{port} does not answer {command:?}"))
}

/// The same, by somebody who has the password.
pub fn ask_as(port: u16, password: &str, command: &[&str]) -> String {
    let reply = converse(port, &[&["AUTH", password], command]);
    let reply = reply.unwrap_or_else(|| panic!("{port} does not answer {command:?}"));
    reply.strip_prefix("+OK\r\n").unwrap_or(&reply).to_owned()
}

/// `None` if nobody is there.
pub fn try_ask(port: u16, command: &[&str]) -> Option<String> {
    converse(port, &[command])
}

fn converse(port: u16, commands: &[&[&str]]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut request = String::new();
    for command in commands {
        let _ = write!(request, "*{}\r\n", command.len());
        for part in *command {
            let _ = write!(request, "${}\r\n{part}\r\n", part.len());
        }
    }
    // The reply to this, whatever it is, says that those before have ended.
    request.push_str("*1\r\n$14\r\nthat_was_it_ok\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let (mut reply, mut piece) = (Vec::new(), [0; 16_384]);
    loop {
        let length = stream.read(&mut piece).ok().filter(|length| *length > 0)?;
        reply.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&reply);
        let ends = ["-ERR unknown command 'that_was_it_ok'", "-NOAUTH"];
        if let Some(end) = ends.iter().find_map(|end| text.rfind(end))
            && text.ends_with("\r\n")
        {
            return Some(text[..end].to_owned());
        }
    }
}

/// The text of a bulk string.
pub fn text(reply: &str) -> String {
    reply.split("\r\n").nth(1).unwrap_or_default().to_owned()
}

/// The value in the answer of `CONFIG GET`.
pub fn field(reply: &str) -> String {
    reply.split("\r\n").nth(4).unwrap_or_default().to_owned()
}
