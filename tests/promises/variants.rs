//! P5: a response that varies answers only the requests that say the same in its fields.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tower_response_cache::{Cache, CacheBuilder, On, Route, Store, Tenant};

use crate::support::app::{Answer, App, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/"))
        .invalidate(On::put("/change").path("/"))
}

/// Answers with what the request says in the fields that it names in `vary`, after `delay`.
fn echo(vary: &'static str, runs: Arc<AtomicUsize>, delay: Duration) -> Router {
    let handler = move |headers: HeaderMap| async move {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(delay).await;
        let said: Vec<_> = vary
            .split(", ")
            .map(|name| headers.get(name).map_or("-", |value| value.to_str().unwrap()))
            .collect();
        ([(header::VARY, vary)], format!("{} {run}", said.join("+"))).into_response()
    };
    Router::new().route("/", get(handler)).route("/change", axum::routing::put(|| async {}))
}

fn asking(fields: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = request(Method::GET, "4", "/");
    for (name, value) in fields {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

async fn ask(app: &App, fields: &[(&'static str, &str)]) -> Answer {
    app.cache.settled().await;
    app.send(asking(fields)).await
}

on_each_store! {
    async fn variants_are_stored_side_by_side(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()),
            echo("accept-language", runs.clone(), Duration::ZERO),
        );
        for _ in 0..3 {
            for (language, expected) in [("cs", "cs 0"), ("en", "en 1"), ("de", "de 2")] {
                let answer = ask(&app, &[("accept-language", language)]).await;
                assert_eq!(answer.text(), expected);
                assert_eq!(answer.headers[header::VARY], "accept-language");
            }
        }
        assert_eq!(ask(&app, &[]).await.text(), "- 3");
        ask(&app, &[]).await.assert_hit();
        // Absent is another thing than empty.
        assert_eq!(ask(&app, &[("accept-language", "")]).await.text(), " 4");
        assert_eq!(runs.load(Ordering::SeqCst), 5);
        app.cache.settled().await;
        assert_eq!(app.cache.stats().stored, 5);
    }

    async fn an_instance_that_has_not_seen_the_response_finds_the_variants(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let router = echo("accept, accept-language", runs.clone(), Duration::ZERO);
        let one = App::of(cache(backend.store.clone()), router.clone());
        let fields = [[("accept", "a"), ("accept-language", "cs")], [("accept", "b"), ("accept-language", "cs")]];
        for fields in &fields {
            one.send(asking(fields)).await;
            one.cache.settled().await;
        }
        let other = App::of(cache(backend.another().await), router);
        for (fields, expected) in fields.iter().zip(["a+cs 0", "b+cs 1"]) {
            let answer = ask(&other, fields).await;
            answer.assert_hit();
            assert_eq!(answer.text(), expected);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    async fn who_waits_together_gets_what_each_selects(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()),
            echo("accept-language", runs.clone(), Duration::from_millis(50)),
        );
        // By what the response varies is known to nobody yet.
        let clients = (0..40).map(|client| {
            let app = app.clone();
            tokio::spawn(async move {
                let language = if client % 4 == 0 { "cs" } else { "en" };
                let answer = app.send(asking(&[("accept-language", language)])).await;
                (language, answer.text().to_owned())
            })
        });
        for client in clients.collect::<Vec<_>>() {
            let (language, text) = client.await.unwrap();
            assert!(text.starts_with(language), "{language}: {text}");
        }
        // One run for those who were told what it varies by, and one for each of the others.
        assert!(runs.load(Ordering::SeqCst) <= 3, "{runs:?}");
    }

    async fn a_response_that_varies_by_more_than_before_is_told_apart_by_more(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let handler = {
            let runs = runs.clone();
            move |headers: HeaderMap| async move {
                let run = runs.fetch_add(1, Ordering::SeqCst);
                let vary = if headers.contains_key("x-more") { "accept, x-more" } else { "accept" };
                ([(header::VARY, vary)], run.to_string())
            }
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/", get(handler)));
        assert_eq!(ask(&app, &[("accept", "a")]).await.text(), "0");
        assert_eq!(ask(&app, &[("accept", "a")]).await.text(), "0");
        assert_eq!(ask(&app, &[("accept", "b"), ("x-more", "1")]).await.text(), "1");
        assert_eq!(ask(&app, &[("accept", "b"), ("x-more", "2")]).await.text(), "2");
        assert_eq!(ask(&app, &[("accept", "b"), ("x-more", "1")]).await.text(), "1");
        // Under the finer selection it is another key; that costs a run and nothing else.
        assert_eq!(ask(&app, &[("accept", "a")]).await.text(), "3");
        ask(&app, &[("accept", "a")]).await.assert_hit();
    }

    async fn an_invalidation_reaches_all_variants(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()),
            echo("accept-language", runs.clone(), Duration::ZERO),
        );
        for language in ["cs", "en", "cs", "en"] {
            ask(&app, &[("accept-language", language)]).await;
        }
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        app.put("4", "/change", "").await;
        for language in ["cs", "en"] {
            assert!(!ask(&app, &[("accept-language", language)]).await.is_hit());
        }
        assert_eq!(runs.load(Ordering::SeqCst), 4);
    }

    async fn a_variant_that_was_under_way_when_the_write_came_is_not_stored(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()),
            echo("accept-language", runs.clone(), Duration::from_millis(200)),
        );
        for known in [false, true] {
            let before = runs.load(Ordering::SeqCst);
            let slow = {
                let app = app.clone();
                tokio::spawn(async move { app.send(asking(&[("accept-language", "cs")])).await })
            };
            while runs.load(Ordering::SeqCst) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            app.put("4", "/change", "").await;
            slow.await.unwrap();
            let answer = ask(&app, &[("accept-language", "cs")]).await;
            assert!(!answer.is_hit(), "{known}: {answer:?}");
            app.put("4", "/change", "").await;
        }
    }

    async fn two_variants_in_one_place_take_it_in_turn(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()).max_variants(1),
            echo("accept-language", runs, Duration::ZERO),
        );
        for language in ["cs", "en", "cs", "en", "en"] {
            let answer = ask(&app, &[("accept-language", language)]).await;
            assert!(answer.text().starts_with(language), "{answer:?}");
        }
        let answer = ask(&app, &[("accept-language", "en")]).await;
        answer.assert_hit();
        // Those who wait for one another in one place, too.
        app.put("4", "/change", "").await;
        let clients: Vec<_> = (0..20)
            .map(|client| {
                let app = app.clone();
                tokio::spawn(async move {
                    let language = if client % 2 == 0 { "cs" } else { "en" };
                    let answer = app.send(asking(&[("accept-language", language)])).await;
                    assert!(answer.text().starts_with(language), "{answer:?}");
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    }

    async fn fields_that_mean_the_same_count_as_one_on_request(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let router = echo("accept-encoding", runs.clone(), Duration::ZERO);
        let exact = App::of(cache(backend.store.clone()).namespace("exact"), router.clone());
        let same = App::of(
            cache(backend.store.clone()).namespace("same").normalize_accept_encoding(),
            router,
        );
        for app in [&exact, &same] {
            for value in ["gzip, br;q=0.9", "br, gzip"] {
                ask(app, &[("accept-encoding", value)]).await;
            }
        }
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        assert!(!ask(&same, &[("accept-encoding", "gzip")]).await.is_hit());
    }

    async fn what_the_route_has_in_its_key_makes_no_variant(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let cache = Cache::builder(backend.store.clone())
            .tenant(Tenant::header("x-gym-id"))
            .same_for_all_users()
            .route(Route::get("/").header("accept-language"));
        let app = App::of(cache, echo("accept-language", runs, Duration::ZERO));
        for language in ["cs", "en", "cs", "en"] {
            let answer = ask(&app, &[("accept-language", language)]).await;
            assert!(answer.text().starts_with(language), "{answer:?}");
        }
        assert_eq!(app.cache.stats().hits, 2);
    }

    async fn a_response_that_varies_by_too_much_is_not_stored(backend: Backend) {
        let handler = || async {
            let names: Vec<_> = (0..17).map(|number| format!("x-{number}")).collect();
            ([(header::VARY, HeaderValue::try_from(names.join(", ")).unwrap())], "x")
        };
        let app = App::of(cache(backend.store.clone()), Router::new().route("/", get(handler)));
        let answer = ask(&app, &[]).await;
        assert!(answer.cache_status().contains("detail=vary-limit"), "{answer:?}");
        assert!(!ask(&app, &[]).await.is_hit());
    }

    async fn cookies_that_a_response_varies_by_are_told_apart(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(cache(backend.store.clone()), echo("cookie", runs, Duration::ZERO));
        for cookie in ["id=1", "id=2", "id=1", "id=2"] {
            let answer = ask(&app, &[("cookie", cookie)]).await;
            assert!(answer.text().starts_with(cookie), "{answer:?}");
        }
        assert_eq!(app.cache.stats().hits, 2);
    }
}
