//! A real Prometheus scrapes `gym_api`, whose counters equal what a run of requests must give; and
//! runs every expression of the dashboard and the rules.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::dashboard::{dashboard, expressions, label_queries};
use crate::server::{Server, bytes, create, send, write};
use crate::support::redis_server::{RedisServer, free_port};

const GYM: (&str, &str) = ("x-gym-id", "4");
const PATIENCE: Duration = Duration::from_secs(60);

/// A Prometheus that scrapes one address five times a second. Ends when dropped.
struct Prometheus {
    child: Child,
    url: String,
    client: Client,
    _folder: TempDir,
}

impl Prometheus {
    async fn start(target: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/alerts.yml");
        let config = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms }}\n\
             rule_files: [ '{rules}' ]\n\
             scrape_configs: [ {{ job_name: gym, static_configs: [ {{ targets: [ '{target}' ] }} ] }} ]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let port = free_port();
        let child = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is there: scripts/test installs it");
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let started = Self { child, url, client, _folder: folder };
        // Once it has scraped, everything that is counted from then on is an increase.
        started.until("up == 1", |found| found == [1.0]).await;
        started
    }

    async fn api(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let request = self.client.get(format!("{}/api/v1/{path}", self.url)).query(query);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if answer["status"] == "success" {
            Ok(answer["data"].clone())
        } else {
            Err(answer.to_string())
        }
    }

    /// The values of an expression now.
    async fn values(&self, expression: &str) -> Result<Vec<f64>, String> {
        let data = self.api("query", &[("query", expression)]).await?;
        let value = |found: &Value| found["value"][1].as_str().unwrap().parse().unwrap();
        Ok(data["result"].as_array().unwrap().iter().map(value).collect())
    }

    async fn until(&self, expression: &str, holds: impl Fn(&[f64]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.values(expression).await;
            if found.as_ref().is_ok_and(|found| holds(found)) {
                return;
            }
            assert!(Instant::now() < deadline, "{expression}: {found:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many responses have been stored, by the page itself.
async fn stored(server: &Server) -> u64 {
    let page = send(server.request(Method::GET, "/metrics")).await.text;
    let lines = page.lines().filter(|line| line.starts_with("response_cache_stored_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// A run of requests, and what must be counted: by route, outcome and number.
async fn run(server: &Server) -> Vec<(&'static str, &'static str, f64)> {
    // What is stored appears soon after its answer, not always before the next request.
    let ask = async |path: &str| {
        let before = stored(server).await;
        let answer = server.get(GYM, path).await;
        let deadline = Instant::now() + PATIENCE;
        while !answer.is_hit() && stored(server).await == before {
            assert!(Instant::now() < deadline, "{path} is not stored: {answer:?}");
            sleep(Duration::from_millis(5)).await;
        }
        answer
    };
    create(server, "4", "Ada").await;
    // Two spellings of one key: a miss and three hits.
    for path in ["/users?role=&utm=1", "/users?utm=2&role=", "/users?role=", "/users?role="] {
        ask(path).await;
    }
    // A miss, a hit, a write, a miss.
    ask("/users/1").await;
    assert!(ask("/users/1").await.is_hit());
    let changed = json!({ "name": "Eve", "role": "member", "status": "active" });
    write(server, Method::PUT, "4", "/users/1", changed).await;
    assert!(!ask("/users/1").await.is_hit());
    // No tenant, twice.
    for _ in 0..2 {
        send(server.request(Method::GET, "/operating-hours")).await;
    }
    // Five at once: one run.
    let slow = || {
        let request = server.request(Method::GET, "/participants").header(GYM.0, bytes(GYM.1));
        send(request.header("x-demo-delay-ms", "1500"))
    };
    tokio::join!(slow(), slow(), slow(), slow(), slow());
    // Not stored: there is no such period.
    send(server.request(Method::GET, "/users/1/stats?period=never").header(GYM.0, bytes(GYM.1)))
        .await;
    vec![
        ("/users", "miss", 1.0),
        ("/users", "hit", 3.0),
        ("/users/{id}", "miss", 2.0),
        ("/users/{id}", "hit", 1.0),
        ("/operating-hours", "bypass", 2.0),
        ("/participants", "miss", 1.0),
        ("/participants", "collapsed", 4.0),
        ("/users/{id}/stats", "bypass", 1.0),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_scrapes_what_a_run_of_requests_must_give() {
    let redis = RedisServer::start();
    let url = redis.url();
    // On a busy machine Redis may be slow, which is not what is looked at here.
    let settings = [("REDIS_URL", &*url), ("DEMO_DELAYS", "1"), ("LOOKUP_TIMEOUT_MS", "5000")];
    let server = Server::start("gym_api", &settings).await;
    let prometheus = Prometheus::start(server.address()).await;
    let expected = run(&server).await;

    // Outcome by outcome, those that must not have been too.
    let total: f64 = expected.iter().map(|(.., count)| count).sum();
    let close = |found: f64, expected: f64| (found - expected).abs() < 0.01;
    prometheus
        .until("sum(response_cache_requests_total)", |found| {
            found.first().is_some_and(|found| close(*found, total))
        })
        .await;
    for route in ["/users", "/users/{id}", "/users/{id}/stats", "/operating-hours", "/participants"]
    {
        for outcome in [
            "hit",
            "stale",
            "recalled",
            "collapsed",
            "revalidated",
            "miss",
            "bypass",
            "refused",
            "error",
        ] {
            let known = expected.iter().find(|(r, o, _)| (*r, *o) == (route, outcome));
            let count = known.map_or(0.0, |(.., count)| *count);
            let series = format!(
                "response_cache_requests_total{{namespace=\"gym\",method=\"GET\",\
                 route=\"{route}\",outcome=\"{outcome}\"}}"
            );
            let found = prometheus.values(&series).await.unwrap();
            assert!(found.len() == 1 && close(found[0], count), "{series}: {found:?}, not {count}");
        }
    }
    for (expression, expected) in [
        ("response_cache_bypasses_total{reason=\"no-tenant\"}", 2.0),
        ("response_cache_bypasses_total{reason=\"no-ttl\"}", 1.0),
        ("sum(response_cache_stored_total)", 4.0),
        ("sum(response_cache_handler_seconds_count)", 7.0),
        ("response_cache_invalidations_total{result=\"confirmed\"}", 2.0),
        ("response_cache_invalidation_lag_seconds_count", 2.0),
        ("response_cache_breaker_open", 0.0),
        ("response_cache_dirty_scopes", 0.0),
        ("response_cache_store_connections{state=\"missing\"}", 0.0),
    ] {
        let found = prometheus.values(expression).await.unwrap();
        assert!(found.len() == 1 && close(found[0], expected), "{expression}: {found:?}");
    }

    // Every expression of the dashboard is one, and finds something where something has happened.
    let without_data = ["Near-cache", "Memory and flights A", "Storing and decoding"];
    for (panel, expression) in expressions(&dashboard()) {
        let found = prometheus.values(&expression).await;
        let found = found.unwrap_or_else(|error| panic!("{panel}: {expression}: {error}"));
        let panel = panel.replace('"', "");
        let reason = expression.contains("refused_fills") || expression.contains("uncacheable");
        let may_be_empty = reason || without_data.iter().any(|known| panel.starts_with(known));
        assert!(may_be_empty || !found.is_empty(), "{panel} finds nothing: {expression}");
    }
    // So are those of its variables.
    for (metric, label) in label_queries(&dashboard()) {
        let values =
            prometheus.api(&format!("label/{label}/values"), &[("match[]", &metric)]).await;
        let values = values.unwrap_or_else(|error| panic!("{metric} {label}: {error}"));
        assert!(!values.as_array().unwrap().is_empty(), "{metric} has no {label}");
    }
    // And so are those of the rules, none of which fires.
    let rules = prometheus.api("rules", &[]).await.unwrap();
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 8);
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["state"], "inactive", "{rule}");
    }

    // An outage shows.
    drop(redis);
    for _ in 0..20 {
        server.get(GYM, "/users/1").await;
    }
    prometheus.until("response_cache_breaker_open", |found| found == [1.0]).await;
    let away = "sum(response_cache_bypasses_total{reason=\"store\"})";
    prometheus.until(away, |found| found.first().is_some_and(|found| *found > 5.0)).await;
    let pending = "ALERTS{alertname=\"ResponseCacheStoreAway\"}";
    prometheus.until(pending, |found| found == [1.0]).await;
}
