//! The server, the networks before it, and what befalls them.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::redis_server::RedisServer;

/// A server behind one network for each instance.
pub struct Network {
    server: RedisServer,
    pub proxies: [FaultProxy; 2],
    /// Last, so that it is there until the proxies are gone.
    _runtime: Runtime,
}

impl Network {
    pub fn new() -> Self {
        let server = RedisServer::start();
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        let proxies = {
            let _within = runtime.enter();
            [FaultProxy::before(server.port()), FaultProxy::before(server.port())]
        };
        Self { server, proxies, _runtime: runtime }
    }
}

const FAULTS: usize = 10;

/// One fault after the other, in another order each time, until then; then all is well.
pub async fn trouble(network: &mut Network, until: Instant) {
    let mut order: Vec<_> = (0..FAULTS).collect();
    while Instant::now() < until {
        fastrand::shuffle(&mut order);
        for fault in &order {
            if Instant::now() >= until {
                break;
            }
            befall(network, *fault).await;
            pause(50..500).await;
        }
    }
    for proxy in &network.proxies {
        proxy.set(Mode::Pass).await;
    }
}

async fn befall(network: &mut Network, fault: usize) {
    let mode = match fault {
        0 => Mode::Delay(Duration::from_millis(fastrand::u64(1..200))),
        1 => Mode::BlackHole,
        2 => Mode::Refuse,
        3 => Mode::Close,
        4 => Mode::Reset,
        5 => Mode::Cut(fastrand::usize(0..60)),
        6 => Mode::Trickle,
        7 => {
            network.server.pause();
            pause(20..200).await;
            return network.server.resume();
        }
        8 => {
            network.server.kill();
            pause(20..200).await;
            return network.server.restart();
        }
        _ => return drop(network.server.raw(&[b"FLUSHALL"])),
    };
    let which = fastrand::usize(0..2);
    network.proxies[which].set(mode).await;
    // Sometimes both at once.
    if fastrand::bool() {
        network.proxies[1 - which].set(mode).await;
    }
    pause(20..200).await;
    for proxy in &network.proxies {
        proxy.set(Mode::Pass).await;
    }
}

async fn pause(millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(millis))).await;
}
