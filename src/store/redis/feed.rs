//! The feed of a coherent near-cache: a connection on which the server tells what moves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{AsyncConnectionConfig, PushInfo, PushKind, Value, cmd, from_redis_value};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
use super::identity::{Hello, Info, hello, info};
use super::server::Server;
use crate::entry::RunId;
use crate::store::StoreErrorKind;
use crate::store::near::Near;

/// The pause before another attempt, and the longest one. Each is drawn anew, up to half as long
/// again, so that the instances of a fleet do not come together.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The feed of one store. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Feed {
    /// Of which namespaces it is to tell.
    namespaces: watch::Sender<Vec<Arc<str>>>,
    #[allow(dead_code, reason = "held for its drop")]
    task: AbortOnDropHandle<()>,
}

impl Feed {
    /// Begins to listen as soon as there is a namespace. Must be called within a Tokio runtime.
    pub(super) fn new(server: Arc<Server>, near: Arc<Near>) -> Self {
        let (namespaces, wanted) = watch::channel(Vec::new());
        let task = AbortOnDropHandle::new(tokio::spawn(keep(server, near, wanted)));
        Self { namespaces, task }
    }

    /// Tells of this namespace too.
    pub(super) fn add(&self, namespace: &str) {
        self.namespaces.send_if_modified(|known| {
            let is_new = known.iter().all(|known| **known != *namespace);
            if is_new {
                known.push(namespace.into());
            }
            is_new
        });
    }
}

/// Listens, and listens again whenever that ends.
async fn keep(server: Arc<Server>, near: Arc<Near>, mut wanted: watch::Receiver<Vec<Arc<str>>>) {
    let mut pause = PAUSE.0;
    let mut has_warned = false;
    while wanted.wait_for(|namespaces| !namespaces.is_empty()).await.is_ok() {
        let namespaces = wanted.borrow_and_update().clone();
        let began = Instant::now();
        let ended = tokio::select! {
            ended = listen(&server, &near, namespaces) => Some(ended),
            changed = wanted.changed() => if changed.is_ok() { None } else { return },
        };
        near.end();
        let Some(failure) = ended else { continue };
        if failure.kind == StoreErrorKind::Refused && !has_warned {
            has_warned = true;
            tracing::warn!(
                %failure,
                "the near-cache has no feed, so every hit asks Redis: permit `CLIENT TRACKING`"
            );
        } else {
            tracing::debug!(%failure, "the near-cache's feed has ended");
        }
        // One that had begun is worth another try at once.
        pause = if began.elapsed() > PAUSE.1 { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
        tokio::time::sleep(pause.mul_f64(1.0 + fastrand::f64() / 2.0)).await;
    }
}

/// Listens until something is wrong, and answers what.
async fn listen(server: &Server, near: &Arc<Near>, namespaces: Vec<Arc<str>>) -> Failure {
    let limit = server.connect_timeout;
    let mut line = match tokio::time::timeout(limit, Line::open(server, near, &namespaces)).await {
        Ok(Ok(line)) => line,
        Ok(Err(failure)) => return failure,
        Err(_) => return late(server),
    };
    // The feed has begun by now, so this answer is one to begin with.
    let mut asked = Instant::now();
    let mut begun = None;
    loop {
        let run = match tokio::time::timeout(near.liveness(), line.run()).await {
            Ok(Ok(run)) => run,
            Ok(Err(failure)) => return failure,
            Err(_) => return late(server),
        };
        match begun {
            None => near.begin(run, namespaces.clone(), asked),
            Some(first) if first == run => near.prove(asked),
            Some(_) => {
                return Failure::new(
                    StoreErrorKind::Unavailable,
                    format!("Redis at {} is another now", server.address),
                );
            }
        }
        begun = Some(run);
        tokio::time::sleep(near.liveness() / 4).await;
        asked = Instant::now();
    }
}

fn late(server: &Server) -> Failure {
    let text = format!("Redis at {} is silent on the feed's connection", server.address);
    Failure::new(StoreErrorKind::Timeout, text)
}

/// A connection that is told what moves.
struct Line {
    inner: MultiplexedConnection,
    #[allow(dead_code, reason = "held for its drop")]
    driver: Option<AbortOnDropHandle<()>>,
    address: Arc<str>,
    trusts_restarts: bool,
}

impl Line {
    async fn open(
        server: &Server,
        near: &Arc<Near>,
        namespaces: &[Arc<str>],
    ) -> Result<Self, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(server.connect_timeout))
            .set_response_timeout(Some(near.liveness()))
            .set_push_sender({
                let near = Arc::downgrade(near);
                move |push: PushInfo| {
                    if let Some(near) = near.upgrade() {
                        hear(&near, &push);
                    }
                    Ok::<(), ()>(())
                }
            });
        let (inner, driver) = server.way.open(config).await?;
        let address = Arc::clone(&server.address);
        let trusts_restarts = server.trust_restarts;
        let mut line = Self { inner, driver, address, trusts_restarts };
        let mut tracking = cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON").arg("BCAST");
        for namespace in namespaces {
            // The generations and the epochs of each tenant, and the generation of all tenants.
            tracking.arg("PREFIX").arg(format!("{namespace}:g:"));
            tracking.arg("PREFIX").arg(format!("{namespace}:a:"));
        }
        line.send(&tracking).await?;
        Ok(line)
    }

    /// Which run of the server this is, by its own word: an answer that comes after all that was
    /// told before.
    async fn run(&mut self) -> Result<RunId, Failure> {
        let question = if self.trusts_restarts { hello() } else { info() };
        let answer = self.send(&question).await?;
        let (replica, run) = if self.trusts_restarts {
            (Hello::read(&answer).map(|hello| hello.replica), Some(RunId([0; 8])))
        } else {
            let info = from_redis_value::<String>(answer).ok().and_then(|info| Info::read(&info));
            (info.as_ref().map(|info| info.replica), info.map(|info| info.run))
        };
        match (replica, run) {
            (Some(false), Some(run)) => Ok(run),
            (Some(true), _) => Err(Failure::replica(&self.address)),
            _ => Err(Failure::nonsense(&self.address, "INFO server")),
        }
    }

    async fn send(&mut self, command: &bb8_redis::redis::Cmd) -> Result<Value, Failure> {
        let reply = self.inner.send_packed_command(command).await.and_then(Value::extract_error);
        reply.map_err(|error| Failure::of(&self.address, &error))
    }
}

/// Takes what the server tells. It comes in its order among the answers.
fn hear(near: &Near, push: &PushInfo) {
    match push.kind {
        PushKind::Invalidate => {
            let names = match push.data.as_slice() {
                [Value::Array(names)] => names.as_slice(),
                // All of them at once: a flush.
                _ => return near.told_all(),
            };
            for name in names {
                match name {
                    Value::BulkString(name) => near.told(name),
                    Value::SimpleString(name) => near.told(name.as_bytes()),
                    _ => near.told_all(),
                }
            }
        }
        PushKind::Disconnection => near.end(),
        _ => {}
    }
}
