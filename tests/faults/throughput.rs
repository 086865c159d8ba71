//! What an outage costs: requests a second through the layer while its breaker is open, against the
//! same service without one. Not a test: its figures are in docs/OUTAGES.md.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceExt};
use tower_response_cache::{Cache, RedisStore, Route, Tenant};

use crate::support::fault_proxy::{FaultProxy, Mode};
use crate::support::redis_server::RedisServer;

const TASKS: usize = 64;
const ROUND: Duration = Duration::from_millis(600);
const ROUNDS: usize = 7;

/// A handler that takes so long: as if it asked a database.
#[derive(Clone)]
struct Origin(Duration);

impl Service<Request<Body>> for Origin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let span = self.0;
        Box::pin(async move {
            if !span.is_zero() {
                tokio::time::sleep(span).await;
            }
            Ok(Response::new(Body::from("x".repeat(200))))
        })
    }
}

/// Requests a second of 64 tasks that ask one after the other, for one key each or all for one.
async fn rate<S, B>(service: S, one_key: bool) -> f64
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug + Send,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Debug + Send,
{
    let done = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let end = began + ROUND;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (service, done) = (service.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            let target = format!("/items/{}", if one_key { 0 } else { task });
            while Instant::now() < end {
                let request = Request::get(&target).header("x-gym-id", "4");
                let response = service.clone().oneshot(request.body(Body::empty()).unwrap());
                response.await.unwrap().into_body().collect().await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let count = u32::try_from(done.load(Ordering::Relaxed)).unwrap();
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, of half a minute"]
async fn throughput_in_an_outage() {
    for (outage, handler, one_key, shares) in [
        ("black hole", 1, false, true),
        ("refused", 1, false, true),
        ("killed", 1, false, true),
        ("killed", 1, true, true),
        ("killed", 1, true, false),
        ("killed", 0, false, true),
    ] {
        let mut server = RedisServer::start();
        let proxy = FaultProxy::before(server.port());
        let store = RedisStore::connect(&proxy.url()).await.unwrap();
        let cache = Cache::builder(store)
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .coalesce_in_outage(shares)
            .route(Route::get("/items/{id}"))
            .build()
            .unwrap();
        let origin = Origin(Duration::from_millis(handler));
        let cached = cache.layer().layer(origin.clone());
        rate(cached.clone(), one_key).await;
        match outage {
            "black hole" => proxy.set(Mode::BlackHole).await,
            "refused" => proxy.set(Mode::Refuse).await,
            _ => server.kill(),
        }
        while !cache.stats().breaker_open {
            rate(cached.clone(), one_key).await;
        }
        let before = cache.stats();
        let (mut with, mut without) = (Vec::new(), Vec::new());
        // In turn, so that whatever else the machine does falls on both.
        for _ in 0..ROUNDS {
            without.push(rate(origin.clone(), one_key).await);
            with.push(rate(cached.clone(), one_key).await);
        }
        let ratios = with.iter().zip(&without).map(|(with, without)| with / without).collect();
        let stats = cache.stats();
        println!(
            "{outage}, handler {handler} ms, {}, sharing {}: {:.0}/s with, {:.0}/s without, ratio \
             {:.3}, {} runs for {} requests",
            if one_key { "one key" } else { "a key a task" },
            if shares { "on" } else { "off" },
            median(with),
            median(without),
            median(ratios),
            stats.runs - before.runs,
            stats.bypasses - before.bypasses,
        );
        assert!(stats.breaker_open && stats.breaker_opened == before.breaker_opened, "{stats:?}");
    }
}
