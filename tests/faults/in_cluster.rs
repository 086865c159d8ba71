//! The same faults in a cluster of three primaries: at all of them at once, and at one.

use std::time::{Duration, Instant};

use axum::http::Method;

use crate::fixture::{Fault, Fixture, LOOKUP, SLACK};
use crate::matrix::faults;
use crate::network::Network;
use crate::operations::Operation;
use crate::support::app::request;
use crate::support::fault_proxy::Mode;
use crate::values::ValueOperation;

faults! {
    p17_slow: Network::cluster(), Fault::Network(Mode::Delay(Duration::from_millis(700))), all();
    p17_refused: Network::cluster(), Fault::Network(Mode::Refuse), all();
    p17_closed: Network::cluster(), Fault::Network(Mode::Close), all();
    p17_reset: Network::cluster(), Fault::Network(Mode::Reset), all();
    // Shorter than the answer to a probe: connections that nobody had used would let one through.
    p17_cut_in_a_reply: Network::cluster(), Fault::Network(Mode::Cut(3)), all();
    // Each of these takes seconds, for what is in the way to be noticed or for the cluster to be well.
    p17_black_hole: Network::cluster(), Fault::Network(Mode::BlackHole), some();
    p17_killed: Network::cluster(), Fault::Kill, some();
    p17_stopped: Network::cluster(), Fault::Stop, some();

    // Not a black hole, in which each primary's connections are found to be dead one by one.
    p17_refused_to_a_spread_tenant: Network::spread_cluster(), Fault::Network(Mode::Refuse), all();
    p17_cut_in_a_reply_to_a_spread_tenant: Network::spread_cluster(), Fault::Network(Mode::Cut(3)), all();
    p17_killed_with_a_spread_tenant: Network::spread_cluster(), Fault::Kill, some();
}

fn all() -> Vec<Operation> {
    Operation::all().collect()
}

fn some() -> Vec<Operation> {
    let values = [ValueOperation::Hit, ValueOperation::Invalidate].map(Operation::Value);
    let responses = [Operation::Hit, Operation::Write, Operation::FencedWrite, Operation::Group];
    [&responses[..], &values[..]].concat()
}

/// What one primary's tenants can't have is bypassed for them, and the others have their hits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p17_one_primary_that_is_away_is_away_for_its_own_tenants() {
    let fixture = Fixture::on(Network::cluster(), |builder| builder).await;
    let tenants = fixture.network.as_cluster().tenants();
    let (hit, others) = tenants.split_first().expect("three tenants");
    let faults = [Mode::Refuse, Mode::Close, Mode::Reset, Mode::Cut(7), Mode::BlackHole];
    for mode in faults {
        for (tenant, _) in &tenants {
            hit_again(&fixture, tenant, &format!("before {mode:?}")).await;
        }
        fixture.network.set_before(hit.1, mode).await;
        for round in 0..10 {
            let context = format!("{mode:?}, round {round}");
            let began = Instant::now();
            let value = format!("{mode:?} {round}");
            write(&fixture, &hit.0, &value).await;
            let answer = fixture.app.get(&hit.0, "/users/7").await;
            assert_eq!(answer.text(), format!("{}/7={value}", hit.0), "{context}");
            assert!(!answer.is_hit(), "{context}: {answer:?}");
            // A write waits for its invalidation, and a read for its look-up.
            assert!(began.elapsed() < 3 * LOOKUP + SLACK, "{context}: {:?}", began.elapsed());
            for (tenant, _) in others {
                fixture.app.get(tenant, "/users/7").await.assert_hit();
            }
        }
        fixture.network.set_before(hit.1, Mode::Pass).await;
        hit_again(&fixture, &hit.0, &format!("after {mode:?}")).await;
        let last = format!("{}/7={mode:?} 9", hit.0);
        assert_eq!(fixture.app.get(&hit.0, "/users/7").await.text(), last, "{mode:?}");
        // Of what could not be confirmed meanwhile nobody else sees anything any more.
        fixture.app.cache.shutdown(Duration::from_secs(10)).await.expect("confirmed");
        assert_eq!(fixture.other.get(&hit.0, "/users/7").await.text(), last, "{mode:?}");
    }
}

pub async fn write(fixture: &Fixture, tenant: &str, value: &str) {
    let mut request = request(Method::PUT, tenant, "/users/7");
    *request.body_mut() = value.to_owned().into();
    let answer = fixture.app.send(request).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

pub async fn hit_again(fixture: &Fixture, tenant: &str, context: &str) {
    let began = Instant::now();
    while !fixture.app.get(tenant, "/users/7").await.is_hit() {
        assert!(began.elapsed() < Duration::from_secs(10), "{context}: no hit of {tenant}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
