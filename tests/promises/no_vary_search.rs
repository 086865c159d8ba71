//! Responses that say what of the query they depend on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Method};
use axum::response::IntoResponse;
use axum::routing::{get, put};
use tower_response_cache::{
    Cache, CacheBuilder, ConfigError, MemoryStore, On, Route, Store, Tenant,
};

use crate::support::app::{Answer, App, request};

fn cache(store: Arc<dyn Store>) -> CacheBuilder {
    Cache::builder(store)
        .tenant(Tenant::header("x-gym-id"))
        .same_for_all_users()
        .route(Route::get("/p").no_vary_search())
        .invalidate(On::put("/change").path("/p"))
}

/// Answers with the query, the number of the run and what the request says in `x-vary`, and says
/// what the query is told to have said by `say`.
fn echo(
    runs: Arc<AtomicUsize>,
    say: impl Fn(&str) -> Option<&'static str> + Clone + Send + Sync + 'static,
) -> Router {
    let handler = move |RawQuery(query): RawQuery, headers: HeaderMap| async move {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        if query.as_deref().is_some_and(|query| query.contains("slow")) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let query = query.unwrap_or_default();
        let lang = headers.get("accept-language").map_or("-", |value| value.to_str().unwrap());
        let mut response = format!("{query} {lang} {run}").into_response();
        let fields = response.headers_mut();
        fields.insert("cache-control", "max-age=60".parse().unwrap());
        if query.contains("lang") {
            fields.insert("vary", "accept-language".parse().unwrap());
        }
        if let Some(said) = say(&query) {
            fields.insert("no-vary-search", said.parse().unwrap());
        }
        response
    };
    Router::new().route("/p", get(handler)).route("/change", put(async || {}))
}

async fn ask(app: &App, target: &str) -> Answer {
    app.cache.settled().await;
    app.send(request(Method::GET, "4", target)).await
}

on_each_store! {
    async fn what_does_not_count_makes_no_key_of_its_own(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let router = echo(runs.clone(), |_| Some("params=(\"utm\")"));
        let app = App::of(cache(backend.store.clone()), router.clone());
        assert_eq!(ask(&app, "/p?a=1&utm=x").await.text(), "a=1&utm=x - 0");
        for target in ["/p?a=1", "/p?utm=y&a=1", "/p?a=1&utm", "/p?a=1&utm=x"] {
            let answer = ask(&app, target).await;
            answer.assert_hit();
            assert_eq!(answer.text(), "a=1&utm=x - 0");
        }
        // What counts still does, and so does the tenant.
        assert_eq!(ask(&app, "/p?a=2&utm=x").await.text(), "a=2&utm=x - 1");
        app.cache.settled().await;
        let other = app.send(request(Method::GET, "5", "/p?a=1")).await;
        assert_eq!(other.text(), "a=1 - 2");
        // The write reaches what is stored, whatever its query was.
        app.send(request(Method::PUT, "4", "/change")).await;
        assert_eq!(ask(&app, "/p?a=1").await.text(), "a=1 - 3");
        // Another instance learns it from a run of its own, and finds the rest.
        let other = App::of(cache(backend.another().await), router);
        ask(&other, "/p?a=9").await;
        ask(&other, "/p?a=1&utm=z").await.assert_hit();
        assert_eq!(runs.load(Ordering::SeqCst), 5);
    }

    async fn all_but_some_may_not_count(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()),
            echo(runs.clone(), |_| Some("params, except=(\"id\")")),
        );
        ask(&app, "/p?id=1&x=1").await;
        ask(&app, "/p?y=2&id=1").await.assert_hit();
        assert_eq!(ask(&app, "/p?id=2").await.text(), "id=2 - 1");
        assert_eq!(ask(&app, "/p?x=1").await.text(), "x=1 - 2");
        ask(&app, "/p").await.assert_hit();
    }

    async fn a_response_that_says_something_else_answers_by_that(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let say = |query: &str| (!query.contains("strict")).then_some("params=(\"utm\")");
        let app = App::of(cache(backend.store.clone()), echo(runs.clone(), say));
        ask(&app, "/p?utm=1").await;
        // Found by what the last one said; what it says itself is that all of it counts.
        assert_eq!(ask(&app, "/p?strict&utm=1").await.text(), "strict&utm=1 - 1");
        assert_eq!(ask(&app, "/p?strict&utm=2").await.text(), "strict&utm=2 - 2");
        ask(&app, "/p?strict&utm=1").await.assert_hit();
        // A malformed field says nothing.
        let app = App::of(
            cache(backend.another().await).namespace("other"),
            echo(runs.clone(), |_| Some("params=(\"utm\"")),
        );
        ask(&app, "/p?utm=1").await;
        assert!(ask(&app, "/p?utm=2").await.text().starts_with("utm=2"));
    }

    async fn variants_of_what_counts_stand_side_by_side(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let app = App::of(
            cache(backend.store.clone()),
            echo(runs.clone(), |_| Some("params=(\"utm\")")),
        );
        let asking = async |target: &str, lang: &str| {
            app.cache.settled().await;
            let mut request = request(Method::GET, "4", target);
            request.headers_mut().insert("accept-language", lang.parse().unwrap());
            app.send(request).await
        };
        for _ in 0..2 {
            assert_eq!(asking("/p?lang&utm=1", "cs").await.text(), "lang&utm=1 cs 0");
            assert_eq!(asking("/p?lang&utm=2", "en").await.text(), "lang&utm=2 en 1");
        }
        asking("/p?lang&utm=3", "cs").await.assert_hit();
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    async fn those_who_waited_get_what_is_for_them_and_nothing_else(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        // Before this is known, only requests for the same query wait for each other.
        let say = |query: &str| Some(if query.contains("b=") { "params" } else { "params=(\"utm\")" });
        let app = App::of(cache(backend.store.clone()), echo(runs.clone(), say));
        ask(&app, "/p?utm=0").await;
        // Now they are one key, and the run says that the query counts otherwise.
        let answers = tokio::join!(
            app.send(request(Method::GET, "4", "/p?slow&utm=1")),
            app.send(request(Method::GET, "4", "/p?slow&utm=2")),
        );
        assert_eq!(answers.0.text(), answers.1.text());
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    async fn before_any_origin_the_spelling_counts_unless_it_is_said_not_to(backend: Backend) {
        let runs = Arc::<AtomicUsize>::default();
        let say = |query: &str| query.contains("any").then_some("key-order");
        let app = App::of(
            cache(backend.store.clone()).rfc9111(),
            echo(runs.clone(), say),
        );
        let rows = [
            "/p?a=1&b=2", "/p?b=2&a=1", "/p?a=1&&b=2", "/p?%61=1&b=2", "/p?a=1&b=%2F", "/p?a=1&b=/",
        ];
        for (run, target) in rows.iter().enumerate() {
            let expected = format!("{} - {run}", &target["/p?".len()..]);
            assert_eq!(ask(&app, target).await.text(), expected);
            ask(&app, target).await.assert_hit();
        }
        // All spellings are of one path to a write.
        app.send(request(Method::PUT, "4", "/change")).await;
        for target in rows {
            assert!(!ask(&app, target).await.is_hit(), "{target}");
        }
        ask(&app, "/p?any&b=2&a=1").await;
        ask(&app, "/p?a=1&any&b=2").await.assert_hit();
    }
}

#[test]
fn a_route_that_says_it_itself_can_not_leave_it_to_responses() {
    let of = |route: Route| Cache::builder(MemoryStore::new()).route(route.tenantless()).build();
    let contradicts = |route| matches!(of(route), Err(ConfigError::Contradiction { .. }));
    assert!(of(Route::get("/p").no_vary_search()).is_ok());
    assert!(contradicts(Route::get("/p").query(["a"]).no_vary_search()));
    assert!(contradicts(Route::get("/p").key("p:{a}").no_vary_search()));
    let by_pattern = |glob: &str| {
        Cache::builder(MemoryStore::new())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::get("/p").no_vary_search())
            .invalidate(On::put("/change").pattern(glob))
            .build()
    };
    assert!(matches!(by_pattern("/p?a=*"), Err(ConfigError::Contradiction { .. })));
    assert!(by_pattern("/p*").is_ok());
}
