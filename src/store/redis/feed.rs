//! The feed of a coherent near-cache: a connection on which the server tells what moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{
    AsyncConnectionConfig, Pipeline, PushInfo, PushKind, Value, cmd, from_redis_value,
};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;
use super::identity::{Hello, Info, hello, info};
use super::server::Server;
use super::view::{cluster_info, is_whole};
use crate::entry::RunId;
use crate::store::StoreErrorKind;
use crate::store::near::{By, Near, Told};

/// The pause before another attempt, and the longest one. Each is drawn anew, up to half as long
/// again, so that the instances of a fleet do not come together.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// The feed of one server. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Feed {
    #[allow(dead_code, reason = "held for its drop")]
    task: AbortOnDropHandle<()>,
}

impl Feed {
    /// Begins to listen as soon as there is a namespace. Must be called within a Tokio runtime.
    pub(super) fn new(
        server: Arc<Server>,
        near: Arc<Near>,
        wanted: watch::Receiver<Vec<Arc<str>>>,
    ) -> Self {
        Self { task: AbortOnDropHandle::new(tokio::spawn(keep(server, near, wanted))) }
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

/// What a server tells. Dropped, whatever the reason, it is over.
struct Telling<'a>(&'a Near, Arc<Told>);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.end(&self.1);
    }
}

/// Listens until something is wrong, and answers what.
async fn listen(server: &Server, near: &Arc<Near>, namespaces: Vec<Arc<str>>) -> Failure {
    let limit = server.connect_timeout;
    let ended = Arc::new(AtomicBool::new(false));
    let opening = Line::open(server, near, &namespaces, &ended);
    let mut line = match tokio::time::timeout(limit, opening).await {
        Ok(Ok(line)) => line,
        Ok(Err(failure)) => return failure,
        Err(_) => return late(server),
    };
    // The feed has begun by now, so this answer is one to begin with.
    let mut asked = Instant::now();
    let mut begun: Option<(RunId, Telling<'_>)> = None;
    loop {
        let run = match tokio::time::timeout(near.liveness(), line.run()).await {
            Ok(Ok(run)) => run,
            Ok(Err(failure)) => return failure,
            Err(_) => return late(server),
        };
        match &begun {
            None => {
                let by = By { address: Arc::clone(&server.address), run };
                let told = near.begin(by, namespaces.clone(), Arc::clone(&ended), asked);
                begun = Some((run, Telling(near, told)));
            }
            Some((first, telling)) if *first == run => near.prove(&telling.1, asked),
            Some(_) => {
                return Failure::new(
                    StoreErrorKind::Unavailable,
                    format!("Redis at {} is another now", server.address),
                );
            }
        }
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
    clustered: bool,
}

impl Line {
    async fn open(
        server: &Server,
        near: &Arc<Near>,
        namespaces: &[Arc<str>],
        ended: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(server.connect_timeout))
            .set_response_timeout(Some(near.liveness()))
            .set_push_sender({
                let (near, ended) = (Arc::downgrade(near), Arc::clone(ended));
                move |push: PushInfo| {
                    if let Some(near) = near.upgrade() {
                        hear(&near, &ended, &push);
                    }
                    Ok::<(), ()>(())
                }
            });
        let (inner, driver) = server.way.open(config).await?;
        let address = Arc::clone(&server.address);
        let (trusts_restarts, clustered) = (server.trust_restarts, server.clustered);
        let mut line = Self { inner, driver, address, trusts_restarts, clustered };
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
        let answer = if self.clustered {
            // A primary that is cut off from the others tells of none of the moves on the one that
            // takes its place, but after its time-out it knows that it is cut off.
            let mut both = Pipeline::with_capacity(2);
            both.add_command(cluster_info()).add_command(question);
            let replies = self.inner.send_packed_commands(&both, 0, 2).await;
            let replies = replies.map_err(|error| Failure::of(&self.address, &error))?;
            let [state, answer] = <[Value; 2]>::try_from(replies)
                .map_err(|_| Failure::nonsense(&self.address, "CLUSTER INFO"))?;
            is_whole(&self.address, self.refusal(state)?)?;
            self.refusal(answer)?
        } else {
            self.send(&question).await?
        };
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
        let reply = self.inner.send_packed_command(command).await;
        self.refusal(reply.map_err(|error| Failure::of(&self.address, &error))?)
    }

    fn refusal(&self, reply: Value) -> Result<Value, Failure> {
        reply.extract_error().map_err(|error| Failure::of(&self.address, &error))
    }
}

/// Takes what the server tells. It comes in its order among the answers.
fn hear(near: &Near, ended: &AtomicBool, push: &PushInfo) {
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
        PushKind::Disconnection => ended.store(true, Ordering::Release),
        _ => {}
    }
}
