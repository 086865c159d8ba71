//! A network that misbehaves: a TCP proxy before a server on this machine, whose faults are switched
//! while connections run through it.

#![allow(dead_code, unreachable_pub, reason = "each test target uses a part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::redis_server::free_port;

/// What becomes of connections and of what goes through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All is well.
    Pass,
    /// What the server sends comes so much later.
    Delay(Duration),
    /// Connections are accepted, and whatever comes through them vanishes: also afterwards, on every
    /// connection that was there meanwhile.
    BlackHole,
    /// Nobody listens, and open connections end.
    Refuse,
    /// Connections are accepted and closed at once.
    Close,
    /// Connections are accepted and reset at once.
    Reset,
    /// So many bytes of the next reply come through, and then the connection is closed.
    Cut(usize),
    /// Replies come byte by byte.
    Trickle,
}

/// The proxy. Dropping it ends every connection.
pub struct FaultProxy {
    port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    server: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Whether somebody listens, which lags behind the mode.
    listens: watch::Sender<bool>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl FaultProxy {
    /// One before the server on this port, in which all is well. Must be called within a runtime.
    pub fn before(port: u16) -> Self {
        let state = Arc::new(State {
            server: (Ipv4Addr::LOCALHOST, port).into(),
            mode: watch::Sender::new(Mode::Pass),
            listens: watch::Sender::new(true),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            most_open: AtomicUsize::new(0),
        });
        let port = free_port();
        let listener = listen(port).expect("a free port");
        let task = tokio::spawn(run(Arc::clone(&state), listener));
        Self { port, state, task }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:{port}`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Switches, and waits until nobody listens any more or somebody does again.
    pub async fn set(&self, mode: Mode) {
        self.state.mode.send_replace(mode);
        let wanted = mode != Mode::Refuse;
        let mut listens = self.state.listens.subscribe();
        listens.wait_for(|listens| *listens == wanted).await.expect("the proxy runs");
    }

    /// How many connections it has accepted so far.
    pub fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// The most connections that were open at once.
    pub fn most_open(&self) -> usize {
        self.state.most_open.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.state.mode.send_replace(Mode::Close);
    }
}

/// Works on a port that has been listened on before, as long as nobody does now.
fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(1024)
}

async fn run(state: Arc<State>, listener: TcpListener) {
    let port = listener.local_addr().expect("its address").port();
    let mut listener = Some(listener);
    let mut mode = state.mode.subscribe();
    loop {
        if *mode.borrow_and_update() == Mode::Refuse {
            listener = None;
            state.listens.send_replace(false);
            if mode.changed().await.is_err() {
                return;
            }
            continue;
        }
        if listener.is_none() {
            let Ok(again) = listen(port) else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            listener = Some(again);
            state.listens.send_replace(true);
        }
        let Some(listening) = &listener else { continue };
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            accepted = listening.accept() => {
                let Ok((client, _)) = accepted else { continue };
                state.accepted.fetch_add(1, Ordering::SeqCst);
                let open = state.open.fetch_add(1, Ordering::SeqCst) + 1;
                state.most_open.fetch_max(open, Ordering::SeqCst);
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    connection(&state, client).await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        }
    }
}

/// One connection, to its end.
async fn connection(state: &State, mut client: TcpStream) {
    let _ = client.set_nodelay(true);
    let mut mode = state.mode.subscribe();
    let mut server: Option<TcpStream> = None;
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let now = *mode.borrow_and_update();
        match now {
            Mode::BlackHole => return swallow(client).await,
            Mode::Refuse | Mode::Close => return,
            Mode::Reset => {
                let _ = client.set_zero_linger();
                return;
            }
            Mode::Pass | Mode::Delay(_) | Mode::Cut(_) | Mode::Trickle => {}
        }
        let server = match &mut server {
            Some(server) => server,
            none => {
                let Ok(connected) = TcpStream::connect(state.server).await else { return };
                let _ = connected.set_nodelay(true);
                none.insert(connected)
            }
        };
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            read = client.read(&mut up) => match read {
                // It has come after the switch.
                Ok(1..) if *mode.borrow() == Mode::BlackHole => {}
                Ok(read @ 1..) => if server.write_all(&up[..read]).await.is_err() { return },
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(read @ 1..) => {
                    if !deliver(&mut client, &down[..read], &mut mode, now).await { return }
                }
                _ => return,
            },
        }
    }
}

/// Hands on what the server sent. Answers whether the connection goes on.
async fn deliver(
    client: &mut TcpStream,
    bytes: &[u8],
    mode: &mut watch::Receiver<Mode>,
    now: Mode,
) -> bool {
    match now {
        Mode::Delay(span) => {
            tokio::select! {
                () = tokio::time::sleep(span) => {}
                _ = mode.changed() => mode.mark_changed(),
            }
            *mode.borrow() == Mode::BlackHole || client.write_all(bytes).await.is_ok()
        }
        Mode::Cut(most) => {
            let _ = client.write_all(&bytes[..most.min(bytes.len())]).await;
            false
        }
        Mode::Trickle => {
            for byte in bytes {
                if client.write_all(std::slice::from_ref(byte)).await.is_err() {
                    return false;
                }
                tokio::task::yield_now().await;
            }
            true
        }
        _ => client.write_all(bytes).await.is_ok(),
    }
}

/// Reads until the client goes, and answers nothing.
async fn swallow(mut client: TcpStream) {
    let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
}
