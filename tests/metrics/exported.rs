//! What a recorder for Prometheus is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tower_response_cache::Scope;

use crate::script;
use crate::support::Backend;
use crate::support::app::App;

/// One recorder for all tests of the process: each has a namespace of its own.
pub(crate) fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new().set_buckets(&[0.001, 0.1, 1.0]).unwrap();
        builder.install_recorder().unwrap()
    })
}

/// A line of the exposition: a name, its labels, its value.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The samples of one namespace.
pub(crate) fn samples(text: &str, namespace: &str) -> Vec<Sample> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let samples = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        // Templates hold braces, and no quotes.
        let labels = labels.strip_suffix('}').unwrap().split("\",").map(|label| {
            let (name, value) = label.split_once("=\"").unwrap();
            (name.to_owned(), value.trim_end_matches('"').to_owned())
        });
        Sample { name: name.to_owned(), labels: labels.collect(), value: value.parse().unwrap() }
    });
    samples.filter(|sample| sample.labels["namespace"] == namespace).collect()
}

/// What is not 0 of one name on one route, by one label.
fn by(samples: &[Sample], name: &str, route: &str, label: &str) -> BTreeMap<String, u64> {
    let of_route = |sample: &&Sample| {
        sample.name == name && sample.labels.get("route").is_some_and(|known| known == route)
    };
    let found = samples.iter().filter(of_route).filter(|sample| sample.value > 0.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "they are counts")]
    found.map(|sample| (sample.labels[label].clone(), sample.value as u64)).collect()
}

fn counts(expected: &[(&'static str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

async fn counters_equal_the_script(backend: Backend, namespace: &'static str) {
    let recorder = recorder();
    let app =
        App::of(script::builder(backend.store.clone()).namespace(namespace), script::handlers());
    let expected = script::run(&app).await;
    app.cache.record_gauges();
    let samples = samples(&recorder.render(), namespace);
    for expected in expected {
        let of = |name: &str, label| by(&samples, name, expected.route, label);
        let one = |name: &str| of(name, "route").values().sum::<u64>();
        let outcomes = of("response_cache_requests_total", "outcome");
        assert_eq!(outcomes, counts(&expected.outcomes), "{}", expected.route);
        let bypasses = of("response_cache_bypasses_total", "reason");
        assert_eq!(bypasses, counts(&expected.bypasses), "{}", expected.route);
        let uncacheable = of("response_cache_uncacheable_total", "reason");
        assert_eq!(uncacheable, counts(&expected.uncacheable), "{}", expected.route);
        assert_eq!(one("response_cache_stored_total"), expected.stored, "{}", expected.route);
        let runs = one("response_cache_handler_seconds_count");
        assert_eq!(runs, expected.runs, "{}", expected.route);
        assert_eq!(one("response_cache_fill_seconds_count"), expected.stored, "{}", expected.route);
    }
    let all = |name: &str, labels: &[(&str, &str)]| {
        let fits = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(name, value)| sample.labels.get(*name).unwrap() == value)
        };
        samples.iter().filter(fits).map(|sample| sample.value).sum::<f64>()
    };
    let confirmed = [("result", "confirmed")];
    assert!((all("response_cache_invalidations_total", &confirmed) - 1.0).abs() < 0.1);
    assert!((all("response_cache_invalidation_lag_seconds_count", &[]) - 1.0).abs() < 0.1);
    assert!(all("response_cache_generations_moved_total", &[]) >= 1.0);
    assert!(all("response_cache_store_steps_total", &[("step", "lookup"), ("result", "ok")]) > 9.0);
    assert!(all("response_cache_store_steps_total", &[("result", "timeout")]).abs() < 0.1);
    // In this process they are kept decoded.
    let decoded = all("response_cache_decode_seconds_count", &[]);
    assert!(if backend.server.is_none() { decoded < 0.1 } else { decoded > 4.0 }, "{decoded}");
    let saved = all("response_cache_saved_microseconds_total", &[]);
    let handled = app.cache.route_stats().iter().map(|r| r.saved_time).sum::<Duration>();
    assert!((saved - handled.as_secs_f64() * 1e6).abs() < 1.0, "{saved} {handled:?}");
}

#[tokio::test]
async fn counters_equal_the_script_in_memory() {
    counters_equal_the_script(Backend::memory(), "counters-memory").await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn counters_equal_the_script_in_redis() {
    counters_equal_the_script(Backend::redis().await, "counters-redis").await;
}

/// A metric as the documents describe it.
#[derive(Debug, PartialEq, Eq)]
struct Documented {
    kind: String,
    labels: BTreeSet<String>,
}

/// The rows of the first table of docs/METRICS.md.
fn documented() -> BTreeMap<String, Documented> {
    let page = include_str!("../../docs/METRICS.md");
    let rows = page.lines().filter(|line| line.starts_with("| `response_cache_"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let labels = cells[3].split_whitespace().map(|label| label.trim_matches('`').to_owned());
        let documented = Documented { kind: cells[1].to_owned(), labels: labels.collect() };
        (cells[0].trim_matches('`').to_owned(), documented)
    })
    .collect()
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn the_documents_name_what_is_emitted_and_nothing_else() {
    use tower_response_cache::{NearCache, RedisStore};

    let recorder = recorder();
    let server = crate::support::redis_server::RedisServer::start();
    let store = RedisStore::builder(&server.url()).near_cache(NearCache::coherent());
    let store = std::sync::Arc::new(store.connect().await.unwrap());
    let app = App::of(script::builder(store).namespace("documents"), script::handlers());
    script::run(&app).await;
    // What is stored has been overtaken by an invalidation.
    let (_, invalidated) = tokio::join!(app.get("4", "/slow?again"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        app.cache.tenant("4").unwrap().invalidate(&Scope::path("/slow")).await
    });
    invalidated.unwrap();
    app.cache.settled().await;
    app.cache.record_gauges();
    let text = recorder.render();
    let kinds: BTreeMap<_, _> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').unwrap())
        .collect();
    let mut emitted = BTreeMap::new();
    for sample in samples(&text, "documents") {
        let known =
            |suffix| sample.name.strip_suffix(suffix).filter(|name| kinds.contains_key(name));
        let name = ["_bucket", "_sum", "_count"].into_iter().find_map(known);
        let name = name.unwrap_or(&sample.name);
        let labels = sample.labels.into_keys().filter(|label| label != "le").collect();
        let found = Documented { kind: kinds[name].to_owned(), labels };
        if let Some(before) = emitted.insert(name.to_owned(), found) {
            assert_eq!(before, emitted[name], "{name} has always the same labels");
        }
    }
    // A histogram of which nothing has been told is not in the exposition.
    let documented = documented();
    assert!(documented.len() > 20);
    for (name, row) in &documented {
        assert_eq!(emitted.get(name), Some(row), "{name}");
    }
    for name in emitted.keys() {
        assert!(documented.contains_key(name), "{name} is not in docs/METRICS.md");
        let help = format!("# HELP {name} ");
        assert!(text.contains(&help), "{name} has a description");
    }
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn an_outage_shows() {
    let recorder = recorder();
    let mut server = crate::support::redis_server::RedisServer::start();
    let store = tower_response_cache::RedisStore::connect(&server.url()).await.unwrap();
    let store: std::sync::Arc<dyn tower_response_cache::Store> = std::sync::Arc::new(store);
    let app = App::of(script::builder(store).namespace("outage"), script::handlers());
    app.get("4", "/stale").await;
    app.cache.settled().await;
    app.cache.record_gauges();
    let level = |name: &str, label: &str| {
        let found = samples(&recorder.render(), "outage").into_iter();
        let found = found.filter(|sample| sample.name == name);
        let found = found.filter(|s| label.is_empty() || s.labels.values().any(|v| v == label));
        found.map(|sample| sample.value).reduce(|one, other| one + other).unwrap()
    };
    let is = |value: f64, expected: f64| (value - expected).abs() < 0.1;
    assert!(is(level("response_cache_breaker_open", ""), 0.0));
    assert!(level("response_cache_store_connections", "open") > 0.5);
    server.kill();
    for _ in 0..20 {
        app.get("4", "/users/7").await;
    }
    app.put("4", "/users/7", "").await;
    app.cache.record_gauges();
    assert!(is(level("response_cache_breaker_open", ""), 1.0));
    assert!(is(level("response_cache_breaker_openings_total", ""), 1.0));
    assert!(level("response_cache_dirty_scopes", "") > 0.5);
    assert!(is(level("response_cache_invalidations_total", "unconfirmed"), 1.0));
    assert!(level("response_cache_store_steps_total", "skipped") > 0.5);
    assert!(level("response_cache_bypasses_total", "store") > 0.5);
    server.restart();
    // The lag is counted from the write, however late the store confirms.
    app.cache.settled().await;
    app.cache.record_gauges();
    assert!(is(level("response_cache_breaker_open", ""), 0.0));
    assert!(is(level("response_cache_dirty_scopes", ""), 0.0));
    assert!(is(level("response_cache_invalidations_total", "confirmed"), 1.0));
    assert!(level("response_cache_invalidation_lag_seconds_sum", "") > 0.01);
}
