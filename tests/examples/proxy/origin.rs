//! An origin that answers with the bytes it is told to, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::client::{Message, read_message};

/// A scripted server on a port of its own. Dropping it closes everything.
pub(crate) struct Origin {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    work: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, Replies>,
    seen: Vec<Message>,
}

enum Replies {
    /// One after the other; the last again and again.
    InTurn(VecDeque<Reply>),
    By(Arc<dyn Fn(&Message) -> Reply + Send + Sync>),
}

/// What is sent, byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// In the place of all of these.
    raw: Option<Vec<u8>>,
    before: Duration,
    then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    KeepOpen,
    Close(Duration),
    Echo,
}

impl Reply {
    pub(crate) fn ok(body: &str) -> Self {
        Self::status("200 OK", body)
    }

    /// Any status line, as in `599 Odd`.
    pub(crate) fn status(status: &str, body: &str) -> Self {
        Self {
            status: status.to_owned(),
            fields: Vec::new(),
            body: body.as_bytes().to_vec(),
            raw: None,
            before: Duration::ZERO,
            then: Then::KeepOpen,
        }
    }

    /// These bytes and nothing else, and then the end of the connection.
    pub(crate) fn raw(bytes: &str) -> Self {
        Self { raw: Some(bytes.as_bytes().to_vec()), ..Self::ok("") }.close_after(0)
    }

    /// 200 that is fresh for so many seconds.
    pub(crate) fn fresh(body: &str, seconds: u32) -> Self {
        Self::ok(body).with("Cache-Control", &format!("max-age={seconds}"))
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body that need not be text.
    pub(crate) fn with_body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// Waits so many milliseconds before the first byte.
    pub(crate) fn after(mut self, millis: u64) -> Self {
        self.before = Duration::from_millis(millis);
        self
    }

    /// Closes the connection so many milliseconds after the last byte.
    pub(crate) fn close_after(mut self, millis: u64) -> Self {
        self.then = Then::Close(Duration::from_millis(millis));
        self
    }

    /// Sends back whatever comes after the reply.
    pub(crate) fn then_echo(mut self) -> Self {
        self.then = Then::Echo;
        self
    }

    fn bytes(&self, request: &Message) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let bodiless = ["1", "204", "304"].iter().any(|start| self.status.starts_with(start));
        let mut bytes = format!("HTTP/1.1 {}\r\n", self.status).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let has = |name: &str| self.fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !bodiless && !has("content-length") && !has("transfer-encoding") {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if !bodiless && request.method() != "HEAD" {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let script = Arc::<Mutex<Script>>::default();
        let mut work = JoinSet::new();
        work.spawn(accept(listener, Arc::clone(&script)));
        Self { address, script, work: Mutex::new(work) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Answers requests for `target` with these, one after the other, and with the last of them from
    /// then on; whatever it was told before.
    pub(crate) fn on(&self, target: &str, replies: impl IntoIterator<Item = Reply>) {
        let replies = Replies::InTurn(replies.into_iter().collect());
        self.script.lock().replies.insert(target.to_owned(), replies);
    }

    /// Answers requests for `target` by what they say.
    pub(crate) fn by(
        &self,
        target: &str,
        reply: impl Fn(&Message) -> Reply + Send + Sync + 'static,
    ) {
        self.script.lock().replies.insert(target.to_owned(), Replies::By(Arc::new(reply)));
    }

    /// The requests for `target` so far.
    pub(crate) fn seen(&self, target: &str) -> Vec<Message> {
        let script = self.script.lock();
        script.seen.iter().filter(|request| request.target() == target).cloned().collect()
    }

    pub(crate) fn last(&self, target: &str) -> Message {
        self.seen(target).pop().unwrap_or_else(|| panic!("{target} was not asked for"))
    }

    pub(crate) fn count(&self, target: &str) -> usize {
        self.seen(target).len()
    }

    /// Closes all connections, and refuses new ones from now on.
    pub(crate) async fn stop(&self) {
        let mut work = std::mem::take(&mut *self.work.lock());
        work.shutdown().await;
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    // Dropped with this future, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&script)));
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_message(&mut stream, &mut buffer, None).await {
        let reply = script.lock().reply(&request);
        sleep(reply.before).await;
        if stream.write_all(&reply.bytes(&request)).await.is_err() {
            return;
        }
        match reply.then {
            Then::KeepOpen => {}
            Then::Close(after) => {
                sleep(after).await;
                let _ = stream.shutdown().await;
                return;
            }
            Then::Echo => {
                let mut bytes = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut bytes).await {
                    if stream.write_all(&bytes[..length]).await.is_err() {
                        return;
                    }
                }
                return;
            }
        }
    }
}

impl Script {
    fn reply(&mut self, request: &Message) -> Reply {
        self.seen.push(request.clone());
        match self.replies.get_mut(request.target()) {
            None => Reply::status("404 Not Found", "not in the script")
                .with("Cache-Control", "no-store"),
            Some(Replies::By(reply)) => reply(request),
            Some(Replies::InTurn(replies)) if replies.len() > 1 => {
                replies.pop_front().expect("more than one")
            }
            Some(Replies::InTurn(replies)) => replies.front().expect("one at least").clone(),
        }
    }
}
