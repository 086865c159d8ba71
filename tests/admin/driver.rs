//! A real Chromium, driven through `WebDriver`, and an app that it can reach.

use std::io::ErrorKind;
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::Router;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// How long anything may take on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// How the browser is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kind {
    pub phone: bool,
    pub dark: bool,
    pub without_scripts: bool,
}

/// One browser. It ends with the test: [`close`](Self::close) ends it in its own way, and a test that
/// fails ends its process.
pub struct Browser {
    pub client: Client,
    driver: Child,
    /// The process of the browser, which outlives the driver.
    process: Option<u64>,
    /// What both would leave behind.
    folder: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            let kill = std::process::Command::new("kill").arg(process.to_string()).status();
            assert!(kill.is_ok_and(|kill| kill.success()) || std::thread::panicking());
        }
        // The browser's own processes end a moment after it, and write until then.
        let began = Instant::now();
        while let Err(error) = std::fs::remove_dir_all(self.folder.path())
            && error.kind() != ErrorKind::NotFound
            && began.elapsed() < Duration::from_secs(5)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Browser {
    pub async fn start(kind: Kind) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed: scripts/test does it");
        let mut lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let port = timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await.expect("text") {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("chromedriver does not start");
        });
        let port = port.await.expect("chromedriver gets ready");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--no-proxy-server".to_owned(),
            "--lang=en".to_owned(),
            "--window-size=1200,1700".to_owned(),
            format!("--blink-settings=preferredColorScheme={}", u8::from(!kind.dark)),
        ];
        // Root has no sandbox to run it in.
        arguments.push("--no-sandbox".to_owned());
        let mut options = json!({ "args": arguments });
        if kind.phone {
            let metrics = json!({ "width": 360, "height": 740, "pixelRatio": 2.0, "touch": true });
            options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
        }
        if kind.without_scripts {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let capabilities = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        let mut builder = ClientBuilder::new(connector);
        builder.capabilities(capabilities);
        let address = format!("http://127.0.0.1:{port}");
        let client = timeout(PATIENCE, builder.connect(&address)).await;
        let client = client.expect("in time").expect("a browser");
        let process = client.capabilities().and_then(|known| known.get("goog:processID"));
        let process = process.and_then(Value::as_u64);
        assert!(process.is_some(), "the driver says which process it has started");
        Self { client, driver, process, folder }
    }

    pub fn process(&self) -> Option<u64> {
        self.process
    }

    pub async fn close(mut self) {
        let closed = timeout(PATIENCE, self.client.clone().close()).await;
        if closed.is_ok_and(|closed| closed.is_ok()) {
            self.process = None;
        }
        let _ = self.driver.kill().await;
    }

    pub async fn open(&self, url: &str) {
        timeout(PATIENCE, self.client.goto(url)).await.expect("in time").expect("the page loads");
    }

    /// The text of the element that a selector finds, once there is one.
    pub async fn text(&self, css: &str) -> String {
        let began = Instant::now();
        loop {
            // Between being found and being read it may be replaced.
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && let Ok(text) = element.text().await
            {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "no {css}: {}", self.source().await);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the text of an element is as it should be.
    pub async fn wait_text(&self, css: &str, is_right: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let text = self.text(css).await;
            if is_right(&text) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "{css} stays {text:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn find(&self, css: &str) -> Element {
        let wait = self.client.wait().at_most(PATIENCE);
        wait.for_element(Locator::Css(css)).await.unwrap_or_else(|error| panic!("{css}: {error}"))
    }

    pub async fn has(&self, css: &str) -> bool {
        !self.client.find_all(Locator::Css(css)).await.expect("an answer").is_empty()
    }

    pub async fn is_shown(&self, css: &str) -> bool {
        let element = self.find(css).await;
        element.is_displayed().await.expect("an answer")
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        element.clear().await.expect("it is cleared");
        element.send_keys(text).await.expect("it takes keys");
    }

    /// Types these keys as on a keyboard: they go to whatever has the focus.
    pub async fn press(&self, keys: &str) {
        let typed = keys.chars().fold(KeyActions::new("keyboard".into()), |typed, value| {
            typed.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.client.perform_actions(typed).await.expect("they are typed");
    }

    pub async fn choose(&self, css: &str, value: &str) {
        let element = self.find(css).await;
        element.select_by_value(value).await.expect("it has this choice");
    }

    pub async fn click(&self, css: &str) {
        let element = self.find(css).await;
        element.click().await.expect("it can be clicked");
    }

    /// Clicks what leads to another page, and waits until the page before it is gone: reading at once
    /// may still find that.
    pub async fn follow(&self, css: &str) {
        let before = self.client.find(Locator::Css("html")).await.expect("a page");
        self.click(css).await;
        let began = Instant::now();
        while before.tag_name().await.is_ok() {
            assert!(began.elapsed() < PATIENCE, "{css} leads nowhere");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    pub async fn source(&self) -> String {
        self.client.source().await.unwrap_or_default()
    }

    /// Puts a picture into the docs, if that is asked for: other runs leave the tree as it is.
    pub async fn picture(&self, name: &str, size: Option<(u32, u32)>) {
        if !makes_pictures() {
            return;
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
        std::fs::create_dir_all(&folder).expect("the folder");
        if let Some((width, height)) = size {
            self.client.set_window_size(width, height).await.expect("another size");
        }
        let picture = self.client.screenshot().await.expect("a picture");
        std::fs::write(folder.join(name), picture).expect("the file");
    }
}

/// Whether the run is to make the pictures of the docs.
pub fn makes_pictures() -> bool {
    std::env::var_os("ADMIN_SCREENSHOTS").is_some_and(|value| !value.is_empty())
}

/// Serves a router on a port of its own, and answers the URL. It ends with the test.
pub async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}
