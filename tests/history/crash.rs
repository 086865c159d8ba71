//! Instances whose process is gone at once: no destructor of theirs reaches the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use axum::http::Method;
use fastrand::Rng;
use tokio::runtime::Builder;

use crate::checker::{Kind, Write};
use crate::fleet::{Fleet, redis_store, request};
use crate::source::{End, Key, Plan, TENANTS, order};
use crate::traffic::ask;

/// The crashes under way.
pub struct Crashes {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

/// Begins to start instances and to crash them, each between the commit of a write on `target`, a
/// path below the first user's, and its invalidation; and in the middle of a read that others wait
/// for.
pub fn begin(fleet: Fleet, url: String, target: &'static str) -> Crashes {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut rng = Rng::with_seed(crate::runs::seed());
        let mut crashes = 0;
        while !stopped.load(Ordering::Relaxed) {
            crashes += usize::from(crash(&fleet, &url, target, &mut rng));
            sleep(Duration::from_millis(rng.u64(..100)));
        }
        crashes
    });
    Crashes { stop, thread }
}

impl Crashes {
    pub fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        assert!(self.thread.join().unwrap() > 0, "no instance has crashed in the right place");
    }
}

/// Answers whether there was a commit, and no fence that was asked for is missing.
fn crash(fleet: &Fleet, url: &str, target: &str, rng: &mut Rng) -> bool {
    let tenant = TENANTS[rng.usize(..TENANTS.len())];
    let keys = ["/users/1", "/users/1/stats"].map(|target| Key { tenant, target });
    let plan = Plan {
        first: Duration::from_millis(rng.u64(..20)),
        second: Duration::from_secs(600),
        end: End::Answer,
    };
    let ticket = rng.u64(..);
    let mut write = request(Method::PUT, tenant, target, plan);
    write.headers_mut().insert("x-order", order(ticket, &keys).parse().unwrap());

    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let instance = {
        let _within = runtime.enter();
        fleet.another(Arc::new(redis_store(url, false)))
    };
    // Its lease is left to its end.
    let read = request(Method::GET, tenant, "/users/2", plan);
    runtime.spawn(ask(instance.router.clone(), read));
    runtime.spawn(ask(instance.router.clone(), write));
    let began = Instant::now();
    let version = loop {
        if let Some(version) = fleet.source.redeem(ticket) {
            break Some(version);
        }
        if began.elapsed() > Duration::from_secs(5) {
            break None;
        }
        sleep(Duration::from_micros(100));
    };
    if rng.bool() {
        sleep(Duration::from_millis(rng.u64(..5)));
    }
    // A fence that the server did not confirm covers nothing.
    let is_fenced = instance.cache.stats().unfenced == 0;
    runtime.shutdown_background();
    let Some(version) = version.filter(|_| is_fenced) else {
        fleet.owe(tenant, "/users/1*".to_owned());
        return false;
    };
    let told = fleet.history.now();
    let how = "crash after its commit";
    fleet.history.write(Write { keys: keys.to_vec(), version, told, kind: Kind::Hard, how });
    fleet.history.fault("crash");
    true
}
