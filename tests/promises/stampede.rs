//! P13, P14, P16: one run for all who miss together, and nobody waits for nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::app::{Answer, App, Source, gym_cache, request};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use tower_response_cache::{Cache, CacheBuilder, Route, Store, Tenant};

const RUN: Duration = Duration::from_millis(200);

fn builder(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .namespace("herd")
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/"))
}

/// An app whose handler takes [`RUN`], counts its runs, and answers with what `respond` makes.
fn slow_app(
    builder: CacheBuilder,
    runs: &Arc<AtomicUsize>,
    respond: impl Fn(usize) -> Response + Clone + Send + Sync + 'static,
) -> App {
    let runs = Arc::clone(runs);
    let handler = move || {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        let respond = respond.clone();
        async move {
            tokio::time::sleep(RUN).await;
            respond(run)
        }
    };
    App::of(builder, Router::new().route("/", get(handler)))
}

async fn herd(apps: &[&App], count: usize) -> Vec<Answer> {
    let asks = (0..count).map(|index| {
        let app = apps[index % apps.len()].clone();
        tokio::spawn(async move { app.get("4", "/").await })
    });
    join_all(asks).await.into_iter().map(|answer| answer.unwrap()).collect()
}

fn ok(run: usize) -> Response {
    format!("run {run}").into_response()
}

on_each_store! {
    async fn p13_a_thousand_misses_on_two_instances_run_the_handler_once(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let one = slow_app(builder(backend.store.clone()), &runs, ok);
        let two = slow_app(builder(backend.another().await), &runs, ok);
        let answers = herd(&[&one, &two], 1000).await;
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        for answer in &answers {
            assert_eq!((answer.status, answer.text()), (StatusCode::OK, "run 0"));
        }
        let collapsed = answers.iter().filter(|a| a.cache_status().contains("; collapsed")).count();
        assert!(collapsed >= 400, "{collapsed}");
        one.get_settled("4", "/").await.assert_hit();
        two.get("4", "/").await.assert_hit();
    }

    async fn p13_without_leases_each_instance_runs_it_once(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let alone = |store| builder(store).leases(false);
        let one = slow_app(alone(backend.store.clone()), &runs, ok);
        let two = slow_app(alone(backend.another().await), &runs, ok);
        let answers = herd(&[&one, &two], 100).await;
        assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
        // Whoever finds nothing at all may start before the flight of the first is known.
        assert!((1..=4).contains(&runs.load(Ordering::SeqCst)), "{runs:?}");
    }

    async fn p14_the_leaders_client_leaves_and_nobody_notices(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let app = slow_app(builder(backend.store.clone()), &runs, ok);
        let leader = app.clone();
        let leader = tokio::spawn(async move { leader.get("4", "/").await });
        tokio::time::sleep(RUN / 4).await;
        let waiters = tokio::spawn({
            let app = app.clone();
            async move { herd(&[&app], 50).await }
        });
        tokio::time::sleep(RUN / 4).await;
        leader.abort();
        let began = Instant::now();
        for answer in waiters.await.unwrap() {
            assert_eq!(answer.text(), "run 0");
        }
        assert!(began.elapsed() < 5 * RUN, "{:?}", began.elapsed());
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    async fn p14_a_leader_whose_client_does_not_read_delays_nobody(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let app = slow_app(builder(backend.store.clone()), &runs, |_| {
            // Many frames, of which the leader's client takes none.
            let chunks = (0..500).map(|_| Ok::<_, std::convert::Infallible>("x".repeat(1000)));
            Body::from_stream(futures_util::stream::iter(chunks)).into_response()
        });
        let idle = app.clone();
        let idle = tokio::spawn(async move { idle.open(request(Method::GET, "4", "/")).await });
        tokio::time::sleep(RUN / 4).await;
        let answers = herd(&[&app], 20).await;
        assert!(answers.iter().all(|answer| answer.body.len() == 500_000));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        let idle = idle.await.unwrap();
        app.get_settled("4", "/").await.assert_hit();
        drop(idle);
    }

    async fn p16_an_uncacheable_answer_releases_all_waiters_together(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let app = slow_app(builder(backend.store.clone()), &runs, |run| {
            ([(header::CACHE_CONTROL, "no-store")], format!("run {run}")).into_response()
        });
        for round in 1..=2 {
            let began = Instant::now();
            let answers = herd(&[&app], 20).await;
            let took = began.elapsed();
            // The leader's run, and all the others at once; the second time nobody waits at all.
            assert!(took < 8 * RUN, "round {round}: {took:?}");
            let mut bodies: Vec<_> = answers.iter().map(Answer::text).collect();
            bodies.sort_unstable();
            bodies.dedup();
            assert_eq!(bodies.len(), 20, "nobody got what was another's");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 40);
    }

    async fn p16_across_instances_too_uncacheable_answers_do_not_queue(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let mut apps = Vec::new();
        for _ in 0..12 {
            apps.push(slow_app(builder(backend.another().await), &runs, |_| {
                ([(header::SET_COOKIE, "id=1")], "own").into_response()
            }));
        }
        let began = Instant::now();
        herd(&apps.iter().collect::<Vec<_>>(), 12).await;
        assert!(began.elapsed() < 7 * RUN, "{:?}", began.elapsed());
    }

    async fn p16_failing_handlers_are_not_waited_for_one_by_one(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let app = slow_app(builder(backend.store.clone()), &runs, |_| {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        });
        let began = Instant::now();
        let answers = herd(&[&app], 20).await;
        assert!(answers.iter().all(|a| a.status == StatusCode::INTERNAL_SERVER_ERROR));
        assert!(began.elapsed() < 8 * RUN, "{:?}", began.elapsed());

        let panics = Arc::new(AtomicUsize::new(0));
        let app = slow_app(builder(backend.store.clone()).namespace("panics"), &panics, |_| {
            // A panic without the hook that prints it, twenty times.
            std::panic::resume_unwind(Box::new("broken on purpose"))
        });
        let began = Instant::now();
        let asks = (0..20).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.get("4", "/").await })
        });
        assert!(join_all(asks).await.into_iter().all(|answer| answer.is_err()));
        assert!(began.elapsed() < 8 * RUN, "{:?}", began.elapsed());
    }

    async fn p13_waiting_is_bounded_in_time_and_in_number(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let hasty = builder(backend.store.clone()).wait_limit(RUN / 4);
        let app = slow_app(hasty, &runs, ok);
        assert!(herd(&[&app], 5).await.iter().all(|answer| answer.status == StatusCode::OK));
        assert_eq!(runs.load(Ordering::SeqCst), 5, "each ran its own when its patience ended");

        let runs = Arc::new(AtomicUsize::new(0));
        let small = builder(backend.store.clone()).namespace("small").max_waiters(3);
        let app = slow_app(small, &runs, ok);
        // Known generations first, so that all see the same snapshot.
        app.get("4", "/").await;
        app.cache.settled().await;
        app.cache.tenant("4").unwrap().invalidate_all().await.unwrap();
        let before = runs.load(Ordering::SeqCst);
        herd(&[&app], 10).await;
        let more = runs.load(Ordering::SeqCst) - before;
        assert!((2..=7).contains(&more), "{more} runs for one leader, three waiters, six others");
    }

    async fn a_slow_run_ends_for_others_at_its_deadline_and_goes_on_for_its_client(backend: Backend) {
        let runs = Arc::new(AtomicUsize::new(0));
        let app = slow_app(builder(backend.store.clone()).run_deadline(RUN / 4), &runs, ok);
        let answer = app.get("4", "/").await;
        assert_eq!(answer.text(), "run 0");
        app.get_settled("4", "/").await.assert_miss();
        assert_eq!(app.cache.stats().stored, 0);
    }

    async fn p6_a_request_after_an_invalidation_never_joins_a_flight_from_before(backend: Backend) {
        let source = Source::default();
        source.put("4", "42", "old");
        let app = App::with(gym_cache(backend.store.clone()), source);
        app.warm("4", "/users/42").await;
        app.put("4", "/users/42", "old").await;
        let slow = |app: &App| {
            let mut slow = request(Method::GET, "4", "/users/42");
            slow.headers_mut().insert("x-delay-ms", "1000".parse().unwrap());
            let app = app.clone();
            tokio::spawn(async move { app.send(slow).await })
        };
        let (first, joined) = (slow(&app), slow(&app));
        tokio::time::sleep(Duration::from_millis(100)).await;
        app.put("4", "/users/42", "new").await;
        let began = Instant::now();
        assert_eq!(app.get("4", "/users/42").await.text(), "4/42=new");
        assert!(began.elapsed() < Duration::from_millis(700), "it waited for the old flight");
        assert_eq!(first.await.unwrap().text(), "4/42=old");
        assert_eq!(joined.await.unwrap().text(), "4/42=old");
    }
}
