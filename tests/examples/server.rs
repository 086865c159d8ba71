//! An example's process and the requests that a test makes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

/// How long anything here may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running example; dropping it ends the process.
pub(crate) struct Server {
    url: String,
    client: Client,
    child: Child,
    // Held open: a process whose standard output is closed fails at its next line.
    _lines: Lines<BufReader<ChildStdout>>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) cache_status: String,
    pub(crate) text: String,
}

impl Answer {
    /// Whether the cache says that the answer came from a stored one.
    pub(crate) fn is_hit(&self) -> bool {
        self.cache_status.split(';').any(|part| part.trim() == "hit")
    }

    /// The body as JSON; `null` if it is empty.
    pub(crate) fn json(&self) -> Value {
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Server {
    /// Starts `example` on a free port with these environment variables.
    pub(crate) async fn start(example: &str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(example, &[], settings).await
    }

    /// Starts `example` with arguments too.
    pub(crate) async fn start_with(
        example: &str,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Self {
        let mut command = Command::new(binary(example));
        command.args(arguments);
        for name in [
            "REDIS_URL",
            "ADMIN_TOKEN",
            "DATABASE",
            "DEMO_DELAYS",
            "FENCE_MS",
            "LOOKUP_TIMEOUT_MS",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.env("LISTEN", "127.0.0.1:0").envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the example starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = timeout(PATIENCE, lines.next_line()).await.expect("the example gets ready");
        let first = first.expect("a line of text").expect("the example keeps running");
        let url = first.strip_prefix("listening on ").expect("the address").to_owned();
        // A proxy in the environment has no business between a test and its own process.
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Self { url, client, child, _lines: lines }
    }

    /// Where it listens: address and port.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// A request, for what the shorter methods can't say.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // As behind a load balancer: a host is part of a key, and a port on this machine is none.
        self.client.request(method, format!("{}{path}", self.url)).header("host", "gym.example")
    }

    /// `GET path`, with `tenant` as (header, value).
    pub(crate) async fn get(&self, tenant: (&str, &str), path: &str) -> Answer {
        send(self.request(Method::GET, path).header(tenant.0, bytes(tenant.1))).await
    }

    /// Repeats `GET path` until it is a hit: an entry appears soon after its first response has
    /// ended, not always before the client's next request.
    pub(crate) async fn settle(&self, tenant: (&str, &str), path: &str) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.get(tenant, path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            if answer.is_hit() {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} never becomes a hit: {answer:?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// How often the handlers have run, by route template (`gym_api` only).
    pub(crate) async fn runs(&self, template: &str) -> u64 {
        let runs = self.all_runs().await;
        runs[template].as_u64().unwrap_or_else(|| panic!("no {template} in {runs}"))
    }

    /// The runs of each cached handler, by template.
    pub(crate) async fn all_runs(&self) -> Value {
        send(self.request(Method::GET, "/debug/handler-runs")).await.json()
    }

    /// Kills the process with SIGKILL, which leaves it no chance to do anything more.
    pub(crate) fn kill(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.expect("kill runs").success());
    }

    /// Asks the process to end, as a supervisor does, and answers whether it ended well.
    pub(crate) async fn terminate(mut self) -> bool {
        let id = self.child.id().expect("it runs").to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status().await.expect("kill runs");
        assert!(kill.success());
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").expect("a status").success()
    }
}

/// Sends a request of `gym_api` that changes something: `{"name": …}` becomes its body.
pub(crate) async fn write(
    server: &Server,
    method: Method,
    gym: &str,
    path: &str,
    body: Value,
) -> Answer {
    send(server.request(method, path).header("x-gym-id", bytes(gym)).json(&body)).await
}

/// Creates a user of `gym_api` and answers its id.
pub(crate) async fn create(server: &Server, gym: &str, name: &str) -> i64 {
    let answer = write(server, Method::POST, gym, "/users", json!({ "name": name })).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    answer.json()["id"].as_i64().expect("an id")
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let cache_status = response
        .headers()
        .get("cache-status")
        .map(|value| value.to_str().expect("RFC 9211 is ASCII").to_owned());
    Answer {
        status: response.status(),
        cache_status: cache_status.unwrap_or_default(),
        text: response.text().await.expect("a whole body of text"),
    }
}

/// A header value of any UTF-8 text, which `&str` alone does not convert to.
pub(crate) fn bytes(text: &str) -> HeaderValue {
    HeaderValue::from_bytes(text.as_bytes()).expect("no control characters")
}

/// Where cargo put the example: beside the folder of this test's own binary.
pub(crate) fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let path = profile.join("examples").join(example);
    assert!(is_current(&path), "{}: run `cargo build --examples` first", path.display());
    path
}

/// Whether the program is there, and newer than its sources: one that was left over from before a
/// change would pass for the change.
fn is_current(program: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|about| about.modified()).ok();
    let Some(built) = modified(program) else { return false };
    let Ok(sources) = fs::read_to_string(program.with_extension("d")) else { return false };
    // One line of `program: source source …`, as make reads it: a space in a path is escaped.
    let sources = sources.lines().filter_map(|line| line.split_once(": ")).map(|(_, list)| list);
    sources
        .flat_map(|list| {
            list.replace("\\ ", "\0").split(' ').map(str::to_owned).collect::<Vec<_>>()
        })
        .filter_map(|source| modified(Path::new(&source.replace('\0', " "))))
        .all(|changed| changed <= built)
}
