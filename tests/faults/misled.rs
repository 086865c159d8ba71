//! Nodes of a cluster that answer, and send one astray.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::block_in_place;
use tower_response_cache::{RedisStore, Store};

use crate::cluster::ask;
use crate::fixture::{CONNECT, Fixture, LOOKUP, SLACK};
use crate::in_cluster::{hit_again, write};
use crate::network::Network;
use crate::support::app::gym_cache;
use crate::support::fault_proxy::Mode;

/// What is said of the slot of a tenant by the node that has it.
#[derive(Clone, Copy, Debug)]
enum Astray {
    /// It says the slot is another's, who says that it is the first one's: in `CLUSTER SLOTS` too.
    MovedInACircle,
    /// It says the other has it for this once, who knows nothing of that and sends one back.
    AskInACircle,
    /// Some names are here, some there.
    TryAgain,
    /// It says that nobody serves the slot, so that the cluster is not whole.
    ClusterDown,
}

impl Astray {
    fn begin(self, fixture: &Fixture, slot: u16, from: usize, to: usize) {
        let cluster = fixture.network.as_cluster();
        let number = slot.to_string();
        match self {
            Self::MovedInACircle => {
                // A slot with names in it can't be given away.
                cluster.tell(from, &["FLUSHALL"]);
                cluster.tell(from, &["CLUSTER", "SETSLOT", &number, "NODE", cluster.id(to)]);
            }
            Self::AskInACircle => {
                cluster.tell(from, &["CLUSTER", "SETSLOT", &number, "MIGRATING", cluster.id(to)]);
                cluster.tell(from, &["FLUSHALL"]);
            }
            Self::TryAgain => assert!(cluster.moving(slot, from, to).step(1)),
            Self::ClusterDown => cluster.tell(from, &["CLUSTER", "DELSLOTS", &number]),
        }
    }

    fn end(self, fixture: &Fixture, slot: u16, from: usize, to: usize) {
        let cluster = fixture.network.as_cluster();
        let number = slot.to_string();
        match self {
            Self::MovedInACircle => {
                cluster.tell(from, &["CLUSTER", "SETSLOT", &number, "NODE", cluster.id(from)]);
            }
            Self::AskInACircle => cluster.tell(from, &["CLUSTER", "SETSLOT", &number, "STABLE"]),
            Self::TryAgain => cluster.move_slot(slot, from, to),
            Self::ClusterDown => cluster.tell(from, &["CLUSTER", "ADDSLOTS", &number]),
        }
        cluster.settle();
    }
}

async fn misleads_its_own_tenants_alone(astray: Astray) {
    let fixture = Fixture::on(Network::cluster(), |builder| builder).await;
    let tenants = fixture.network.as_cluster().tenants();
    let ((tenant, from), others) = tenants.split_first().expect("three tenants");
    let to = others[0].1;
    let slot = fixture.network.as_cluster().slot(&format!("gym:e:{{{tenant}}}:x"));
    for (tenant, _) in &tenants {
        write(&fixture, tenant, "before").await;
        hit_again(&fixture, tenant, "before").await;
    }
    fixture.app.cache.settled().await;
    fixture.other.get(tenant, "/users/7").await;
    fixture.other.cache.settled().await;

    block_in_place(|| astray.begin(&fixture, slot, *from, to));
    let before = fixture.app.cache.stats();
    // Reads alone first: after a write that is not confirmed they do not ask.
    for round in 0..20 {
        let context = format!("{astray:?}, round {round}");
        let value = if round < 10 { "before".to_owned() } else { format!("new {round}") };
        let began = Instant::now();
        if round >= 10 {
            write(&fixture, tenant, &value).await;
        }
        let answer = fixture.app.get(tenant, "/users/7").await;
        assert_eq!(answer.text(), format!("{tenant}/7={value}"), "{context}");
        assert!(began.elapsed() < 3 * LOOKUP + SLACK, "{context}: {:?}", began.elapsed());
        for (tenant, _) in others {
            fixture.app.get(tenant, "/users/7").await.assert_hit();
        }
    }
    let after = fixture.app.cache.stats();
    assert!(after.store_errors > before.store_errors, "{astray:?}: {after:?}");
    assert_eq!(after.breaker_opened, before.breaker_opened, "{astray:?}: {after:?}");

    block_in_place(|| astray.end(&fixture, slot, *from, to));
    hit_again(&fixture, tenant, &format!("after {astray:?}")).await;
    let last = format!("{tenant}/7=new 19");
    assert_eq!(fixture.app.get(tenant, "/users/7").await.text(), last, "{astray:?}");
    fixture.app.cache.shutdown(Duration::from_secs(10)).await.expect("confirmed");
    assert_eq!(fixture.other.get(tenant, "/users/7").await.text(), last, "{astray:?}");
}

macro_rules! astray {
    ($($name:ident: $astray:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                misleads_its_own_tenants_alone($astray).await;
            }
        )*
    };
}

astray! {
    p17_moved_in_a_circle: Astray::MovedInACircle;
    p17_ask_in_a_circle: Astray::AskInACircle;
    p17_names_on_both_sides: Astray::TryAgain;
    p17_a_node_that_says_the_cluster_is_down: Astray::ClusterDown;
}

/// One of those that could be asked for the slots takes the question, and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_a_node_hangs_while_slots_are_asked_for() {
    let fixture = Fixture::on(Network::cluster(), |builder| builder).await;
    for hung in 1..=3 {
        fixture.network.set_before(hung, Mode::BlackHole).await;
        // Whom it asks first is drawn.
        for _ in 0..3 {
            let began = Instant::now();
            let store = RedisStore::builder(&fixture.network.url()).connect_timeout(CONNECT);
            let store = Arc::new(store.connect().await.expect("the others answer"));
            assert!(began.elapsed() < 4 * CONNECT + SLACK, "{hung}: {:?}", began.elapsed());
            let cache = gym_cache(Arc::clone(&store) as Arc<dyn Store>).build().unwrap();
            for (tenant, node) in fixture.network.as_cluster().tenants() {
                let got = cache.tenant(&tenant).unwrap().invalidate_all().await;
                assert_eq!(got.is_ok(), node != hung, "{hung}, {tenant}: {got:?}");
            }
        }
        fixture.network.set_before(hung, Mode::Pass).await;
    }
    let info = ask(fixture.network.as_cluster().nodes[0].port(), &["CLUSTER", "INFO"]);
    assert!(info.contains("cluster_state:ok"), "nothing was wrong with the cluster: {info}");
}
