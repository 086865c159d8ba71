//! A proxy before the server that disturbs the feed's connection alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// What becomes of what the server sends on a connection that tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disturbance {
    None,
    /// Nothing comes any more, and nothing ends.
    Frozen,
    /// All of it comes so much later.
    Late(Duration),
    /// Such connections end, and new ones too.
    Cut,
}

pub struct FeedProxy {
    address: SocketAddr,
    disturbance: watch::Sender<Disturbance>,
    feeds: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl FeedProxy {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let disturbance = watch::Sender::new(Disturbance::None);
        let feeds = Arc::new(AtomicUsize::new(0));
        let (now, count) = (disturbance.subscribe(), Arc::clone(&feeds));
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
                    continue;
                };
                tokio::spawn(join(client, server, now.clone(), Arc::clone(&count)));
            }
        })
        .abort_handle();
        Self { address, disturbance, feeds, task }
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    pub fn set(&self, disturbance: Disturbance) {
        self.disturbance.send_replace(disturbance);
    }

    /// How many connections have begun to track.
    pub fn feeds(&self) -> usize {
        self.feeds.load(Ordering::SeqCst)
    }
}

impl Drop for FeedProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn join(
    client: TcpStream,
    server: TcpStream,
    mut now: watch::Receiver<Disturbance>,
    feeds: Arc<AtomicUsize>,
) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (tracks, mut tracking) = watch::channel(false);
    let upwards = async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if buffer[..read].windows(8).any(|window| window == b"TRACKING") {
                feeds.fetch_add(1, Ordering::SeqCst);
                tracks.send_replace(true);
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    let downwards = {
        let (tracking, now) = (tracking.clone(), now.clone());
        async move {
            // Read at once and sent when due, so that what is late is late by a constant time.
            let (queue, mut due) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
            let reading = async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    let _ = queue.send((Instant::now(), buffer[..read].to_vec()));
                }
            };
            let sending = async move {
                while let Some((came, bytes)) = due.recv().await {
                    loop {
                        let disturbance = *now.borrow();
                        match disturbance {
                            Disturbance::Late(span) if *tracking.borrow() => {
                                tokio::time::sleep_until(came + span).await;
                            }
                            Disturbance::Frozen if *tracking.borrow() => {
                                tokio::time::sleep(Duration::from_millis(5)).await;
                                continue;
                            }
                            _ => {}
                        }
                        break;
                    }
                    if to_client.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            };
            tokio::join!(reading, sending);
        }
    };
    let cut = async move {
        loop {
            let is_cut = *now.borrow_and_update() == Disturbance::Cut;
            if is_cut && *tracking.borrow_and_update() {
                return;
            }
            tokio::select! {
                _ = now.changed() => {}
                _ = tracking.changed() => {}
            }
        }
    };
    tokio::select! {
        () = upwards => {}
        () = downwards => {}
        () = cut => {}
    }
}
