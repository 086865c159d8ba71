//! Two instances under load, faults and clients that leave, for as long as `SOAK_SECONDS` says (3 if
//! not set): afterwards all is as it was after the warm-up, and no answer was wrong.
//!
//! `SOAK_SECONDS=120 cargo nextest run --test soak --success-output immediate`; nextest ends what takes
//! more than 180 s, and `cargo test --test soak -- --nocapture` does not.
#![cfg(feature = "redis")]
#![allow(unreachable_pub, reason = "a target of its own: nothing is reached from outside")]

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod faults;
mod fleet;
mod measure;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::clients::{Seen, traffic};
use crate::faults::{Network, trouble};
use crate::fleet::Fleet;
use crate::measure::{Measure, settle};

/// What may be left over of the memory: pages that the allocator keeps.
const MEMORY: usize = 16 << 20;

#[test]
fn after_load_and_faults_all_is_as_it_was_before() {
    let seconds =
        std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    // The proxies have a runtime of their own, so that the tasks of this one are the cache's.
    let mut network = Network::new();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let fleet = Fleet::new(&network).await;
        let seen = Arc::new(Seen::default());
        // Everything that is made when it is first needed is made here.
        let before = {
            load(&fleet, &mut network, &seen, Duration::from_millis(2500)).await;
            settle(&fleet, None).await
        };
        let began = Instant::now();
        let mut middle = None;
        for half in 0..2 {
            load(&fleet, &mut network, &seen, Duration::from_secs(seconds) / 2).await;
            let now = settle(&fleet, Some(&before)).await;
            if half == 0 {
                middle = Some(now);
            }
        }
        let after = settle(&fleet, Some(&before)).await;
        println!("{} s, {seen}", began.elapsed().as_secs());
        for (name, measure) in
            [("before", &before), ("middle", middle.as_ref().unwrap()), ("after", &after)]
        {
            println!("{name}: {measure}");
        }
        for instance in &fleet.instances {
            println!("{:?}", instance.cache.stats());
        }
        seen.assert_right();
        assert_returned(&before, &after);
    });
}

/// Traffic and faults together.
async fn load(fleet: &Fleet, network: &mut Network, seen: &Arc<Seen>, span: Duration) {
    let until = Instant::now() + span;
    let traffic = traffic(fleet, seen, until);
    tokio::join!(traffic, trouble(network, until));
}

fn assert_returned(before: &Measure, after: &Measure) {
    assert!(after.is_within(before), "{before} and then {after}");
    assert!(after.memory <= before.memory + MEMORY, "memory: {before} and then {after}");
}
