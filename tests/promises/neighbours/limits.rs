//! Limits inside of the cache count runs, not clients.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::sync::{Notify, Semaphore};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_response_cache::{Cache, CacheBuilder, Route};

use super::{Runs, built};
use crate::support::Backend;

fn cache(backend: &Backend) -> CacheBuilder {
    super::cache(backend.store.clone()).route(Route::get("/{page}"))
}

fn ask(target: &str) -> Request<String> {
    Request::get(target).header("x-gym-id", "4").body(String::new()).unwrap()
}

/// A database that answers once it is told to, and tells when it is asked.
#[derive(Clone)]
struct Slow {
    runs: Runs,
    asked: Arc<Notify>,
    may: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Self {
        Self { runs: Runs::default(), asked: Arc::default(), may: Arc::new(Semaphore::new(0)) }
    }

    async fn answer(self) -> Result<Response<Full<Bytes>>, Infallible> {
        self.runs.count();
        self.asked.notify_one();
        self.may.acquire().await.unwrap().forget();
        Ok(Response::new(Full::new(Bytes::from_static(b"slow"))))
    }
}

async fn text<S, B>(service: S, target: &str) -> Result<Bytes, S::Error>
where
    S: Service<Request<String>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let response = service.oneshot(ask(target)).await?;
    Ok(response.into_body().collect().await.unwrap().to_bytes())
}

/// Waits until `count` requests have missed.
async fn missed(cache: &Cache, count: u64) {
    while cache.stats().misses < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

on_each_store! {
    async fn who_waits_for_the_run_of_another_holds_no_permit(backend: Backend) {
        let (slow, cache) = (Slow::new(), built(cache(&backend)));
        let handler = slow.clone();
        let service = ServiceBuilder::new()
            .layer(cache.layer())
            .concurrency_limit(2)
            .service(service_fn(move |_: Request<String>| handler.clone().answer()));
        let clients: Vec<_> =
            (0..3).map(|_| tokio::spawn(text(service.clone(), "/same"))).collect();
        slow.asked.notified().await;
        missed(&cache, 2).await;
        // One permit is the run's. The other is free for who wants something else.
        let other = tokio::spawn(text(service, "/other"));
        let asked = tokio::time::timeout(Duration::from_secs(10), slow.asked.notified());
        asked.await.expect("waiters hold all permits");
        slow.may.add_permits(2);
        for client in clients.into_iter().chain([other]) {
            assert_eq!(client.await.unwrap().unwrap(), "slow");
        }
        assert_eq!(slow.runs.so_far(), 2);
    }

    async fn load_is_shed_by_runs_not_by_clients(backend: Backend) {
        let (slow, cache) = (Slow::new(), built(cache(&backend)));
        let handler = slow.clone();
        let service = ServiceBuilder::new()
            .layer(cache.layer())
            .load_shed()
            .concurrency_limit(2)
            .service(service_fn(move |_: Request<String>| handler.clone().answer()));
        let first = tokio::spawn(text(service.clone(), "/same"));
        slow.asked.notified().await;
        let clients: Vec<_> =
            (0..10).map(|_| tokio::spawn(text(service.clone(), "/same"))).collect();
        missed(&cache, 11).await;
        // Those ten have joined, or are about to, and then hold nothing of the limit.
        let other = service.clone();
        let other = tokio::spawn(async move {
            loop {
                match text(other.clone(), "/other").await {
                    Err(error) if error.is::<Overloaded>() => tokio::task::yield_now().await,
                    answer => return answer,
                }
            }
        });
        let asked = tokio::time::timeout(Duration::from_secs(10), slow.asked.notified());
        asked.await.expect("waiters hold all permits");
        // Two run, so a third is refused; that is not stored.
        let third = text(service.clone(), "/third").await.unwrap_err();
        assert!(third.is::<Overloaded>(), "{third}");
        slow.may.add_permits(3);
        for client in clients.into_iter().chain([first, other]) {
            assert_eq!(client.await.unwrap().unwrap(), "slow");
        }
        cache.settled().await;
        assert_eq!(text(service.clone(), "/same").await.unwrap(), "slow");
        assert_eq!(text(service, "/third").await.unwrap(), "slow");
        assert_eq!(slow.runs.so_far(), 3);
    }

    async fn hits_are_answered_while_load_is_shed(backend: Backend) {
        let (slow, cache) = (Slow::new(), built(cache(&backend)));
        let handler = slow.clone();
        let service = ServiceBuilder::new()
            .layer(cache.layer())
            .load_shed()
            .concurrency_limit(1)
            .service(service_fn(move |_: Request<String>| handler.clone().answer()));
        slow.may.add_permits(1);
        text(service.clone(), "/known").await.unwrap();
        slow.asked.notified().await;
        cache.settled().await;
        let busy = tokio::spawn(text(service.clone(), "/busy"));
        slow.asked.notified().await;
        assert_eq!(text(service.clone(), "/known").await.unwrap(), "slow");
        slow.may.add_permits(1);
        busy.await.unwrap().unwrap();
        assert_eq!(cache.stats().hits, 1);
    }

    /// A service says whether it is ready before it knows for which request.
    async fn warning_a_hit_waits_for_a_permit_of_a_limit_directly_inside(backend: Backend) {
        let (slow, cache) = (Slow::new(), built(cache(&backend)));
        let handler = slow.clone();
        let service = ServiceBuilder::new()
            .layer(cache.layer())
            .concurrency_limit(1)
            .service(service_fn(move |_: Request<String>| handler.clone().answer()));
        slow.may.add_permits(1);
        text(service.clone(), "/known").await.unwrap();
        slow.asked.notified().await;
        cache.settled().await;
        let busy = tokio::spawn(text(service.clone(), "/busy"));
        slow.asked.notified().await;
        let hit = tokio::spawn(text(service, "/known"));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!hit.is_finished());
        slow.may.add_permits(1);
        busy.await.unwrap().unwrap();
        hit.await.unwrap().unwrap();
        assert_eq!(cache.stats().hits, 1);
    }

    async fn in_a_router_a_hit_does_not_wait_for_a_permit(backend: Backend) {
        let (slow, cache) = (Slow::new(), built(cache(&backend)));
        let handler = slow.clone();
        let page = move || {
            let slow = handler.clone();
            async move { slow.answer().await.map(|response| response.map(axum::body::Body::new)) }
        };
        let router = axum::Router::new()
            .route("/{page}", axum::routing::get(page))
            .layer(GlobalConcurrencyLimitLayer::new(1))
            .layer(cache.layer());
        let ask = |target: &str| {
            router.clone().oneshot(ask(target).map(|_| axum::body::Body::empty()))
        };
        slow.may.add_permits(1);
        let first = ask("/known").await.unwrap();
        slow.asked.notified().await;
        first.into_body().collect().await.unwrap();
        cache.settled().await;
        let busy = tokio::spawn(ask("/busy"));
        slow.asked.notified().await;
        let hit = tokio::time::timeout(Duration::from_secs(10), ask("/known")).await;
        assert!(hit.expect("a hit waits").unwrap().headers().contains_key("age"));
        slow.may.add_permits(1);
        busy.await.unwrap().unwrap();
    }

    async fn a_rate_inside_is_one_of_runs(backend: Backend) {
        let (runs, cache) = (Runs::default(), built(cache(&backend)));
        let counted = runs.clone();
        let service = ServiceBuilder::new()
            .layer(cache.layer())
            .buffer(16)
            // Never more than two, as far as this test is concerned.
            .rate_limit(2, Duration::from_secs(3600))
            .service(service_fn(move |_: Request<String>| {
                counted.count();
                async { Ok::<_, BoxError>(Response::new(Full::new(Bytes::from_static(b"x")))) }
            }));
        for target in ["/a", "/a", "/b", "/a", "/b"] {
            assert_eq!(text(service.clone(), target).await.unwrap(), "x");
            cache.settled().await;
        }
        assert_eq!(runs.so_far(), 2);
    }

    async fn a_buffer_inside_is_called_only_when_it_is_ready(backend: Backend) {
        let (slow, cache) = (Slow::new(), built(cache(&backend)));
        let handler = slow.clone();
        // Holds one request; a call of an instance that was not polled ready panics.
        let service = ServiceBuilder::new().layer(cache.layer()).buffer(1).service(service_fn(
            move |_: Request<String>| handler.clone().answer(),
        ));
        let targets = ["/a", "/b", "/c", "/d", "/a", "/b", "/c", "/d"];
        let clients: Vec<_> = targets
            .into_iter()
            .map(|target| tokio::spawn(text(service.clone(), target)))
            .collect();
        slow.may.add_permits(8);
        for client in clients {
            assert_eq!(client.await.unwrap().unwrap(), "slow");
        }
        cache.settled().await;
        assert_eq!(slow.runs.so_far(), 4);
    }
}
