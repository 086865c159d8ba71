//! Each fault and each operation: before the breaker opens, while it is open, and after.

use std::time::{Duration, Instant};

use crate::clients::Clients;
use crate::fixture::{Fault, Fixture, SLACK};
use crate::network::Network;
use crate::operations::Operation;
use crate::support::fault_proxy::Mode;

/// How often an operation is done while the breaker is open.
const TIMES: u32 = 10;

/// How soon all is well again.
const RECOVERY: Duration = Duration::from_secs(3);

/// A test for each fault, on a network of its own, which each of the operations meets.
macro_rules! faults {
    ($($name:ident: $network:expr, $fault:expr, $operations:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                crate::matrix::operations($network, $fault, $operations.into_iter()).await;
            }
        )*
    };
}
pub(crate) use faults;

faults! {
    p17_slow: Network::one(), Fault::Network(Mode::Delay(Duration::from_millis(700))), Operation::all();
    p17_black_hole: Network::one(), Fault::Network(Mode::BlackHole), Operation::all();
    p17_refused: Network::one(), Fault::Network(Mode::Refuse), Operation::all();
    p17_closed: Network::one(), Fault::Network(Mode::Close), Operation::all();
    p17_reset: Network::one(), Fault::Network(Mode::Reset), Operation::all();
    p17_cut_in_a_reply: Network::one(), Fault::Network(Mode::Cut(7)), Operation::all();
    p17_killed: Network::one(), Fault::Kill, Operation::all();
    p17_stopped: Network::one(), Fault::Stop, Operation::all();
}

/// Each operation under this fault, one after the other.
pub async fn operations(
    network: Network,
    fault: Fault,
    operations: impl Iterator<Item = Operation>,
) {
    let mut fixture = Fixture::on(network, |builder| builder).await;
    let clients = Clients::begin(&fixture.app, 4);
    let mut recoveries = Vec::new();
    for operation in operations {
        recoveries.push(outage(&mut fixture, fault, operation).await);
    }
    clients.end(&fixture.app).await;
    recoveries.sort();
    println!(
        "{fault:?}: hits again after {:?} (median), {:?} (longest)",
        recoveries[recoveries.len() / 2],
        recoveries.last().unwrap()
    );
}

/// Answers how long it took until there were hits again.
async fn outage(fixture: &mut Fixture, fault: Fault, operation: Operation) -> Duration {
    let context = format!("{fault:?}, {operation:?}");
    operation.hit_again(fixture, &context).await;
    fixture.hit_again("/users/8").await;

    fixture.begin(fault).await;
    let took = operation.run(fixture, "1", &format!("{context}, at first")).await;
    assert!(took < operation.limit() + SLACK, "{context}: {took:?}");

    fixture.open_breaker().await;
    let (before, steps) = (fixture.app.cache.stats(), fixture.store.steps());
    let began = Instant::now();
    for time in 0..TIMES {
        let value = format!("1{time}");
        operation.run(fixture, &value, &format!("{context}, open")).await;
    }
    let took = began.elapsed();
    let after = fixture.app.cache.stats();
    assert_eq!(fixture.store.steps(), steps, "{context}: the store was touched");
    assert!(after.skipped > before.skipped, "{context}: {after:?}");
    assert_eq!(after.breaker_opened, before.breaker_opened, "{context}: it did not stay open");
    assert!(took < TIMES * Duration::from_millis(20) + SLACK, "{context}: {took:?}");

    fixture.end(fault).await;
    let recovery = fixture.hit_again("/users/8").await;
    assert!(recovery < RECOVERY, "{context}: {recovery:?}");
    let own = operation.hit_again(fixture, &context).await;
    // A fence that nobody could lift ends by itself, later.
    assert!(operation == Operation::FencedWrite || own < RECOVERY, "{context}: {own:?}");
    operation.after(fixture, &format!("{context}, after")).await;
    fixture.app.cache.shutdown(RECOVERY).await.expect(&context);
    recovery
}

/// No outage: everything works, and is a hit where it should be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p20_replies_that_come_byte_by_byte_are_whole() {
    let fixture =
        Fixture::with(|cache| cache.lookup_timeout(Duration::from_secs(5)).breaker_failures(0))
            .await;
    let clients = Clients::begin(&fixture.app, 8);
    fixture.network.set(Mode::Trickle).await;
    for operation in Operation::all() {
        operation.run(&fixture, "1", &format!("trickle, {operation:?}")).await;
        operation.hit_again(&fixture, "trickle").await;
        operation.after(&fixture, "trickle").await;
    }
    clients.end(&fixture.app).await;
}

/// The worst for alignment: connections that end within replies, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p20_whatever_breaks_in_the_middle_no_answer_is_anothers() {
    let fixture = Fixture::with(|cache| cache.breaker_failures(0)).await;
    let clients = Clients::begin(&fixture.app, 16);
    let modes = [
        Mode::Cut(1),
        Mode::Trickle,
        Mode::Cut(40),
        Mode::Delay(Duration::from_millis(30)),
        Mode::Reset,
        Mode::BlackHole,
        Mode::Cut(300),
        Mode::Close,
    ];
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        for mode in modes {
            fixture.network.set(mode).await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..30))).await;
            fixture.network.set(Mode::Pass).await;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(1..150))).await;
        }
    }
    assert!(fixture.hit_again("/users/8").await < RECOVERY);
    clients.end(&fixture.app).await;
}
