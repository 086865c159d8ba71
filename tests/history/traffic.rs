//! How the clients of one run behave.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use fastrand::Rng;
use http_body_util::{BodyExt, Collected};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::fleet::Fleet;
use crate::readers::reader;
use crate::writers::writer;

/// How many clients, and what they do.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    pub readers: usize,
    pub writers: usize,
    /// What the writers do.
    pub writes: Writes,
    /// Whether handlers fail and clients leave.
    pub trouble: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    Every,
    /// `delete_pattern` alone.
    Patterns,
    /// Hard invalidations from code alone, by path.
    Paths,
    /// The same by tag, and the fenced route, which moves the same.
    Tags,
}

impl Traffic {
    pub fn full() -> Self {
        Self { readers: 24, writers: 6, writes: Writes::Every, trouble: true }
    }

    /// Nothing that fails or leaves, and one kind of write.
    pub fn plain(writes: Writes) -> Self {
        Self { readers: 12, writers: 2, writes, trouble: false }
    }

    /// Sets the clients to work.
    pub fn start(self, fleet: &Fleet, rng: &mut Rng) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for _ in 0..self.readers {
            clients.spawn(reader(fleet.clone(), self, rng.fork()));
        }
        for _ in 0..self.writers {
            clients.spawn(writer(fleet.clone(), self, rng.fork()));
        }
        clients
    }
}

/// Sends a request and reads the answer to its end.
pub async fn ask(
    router: Router,
    request: Request<Body>,
) -> (StatusCode, HeaderMap, Result<Bytes, axum::Error>) {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(Collected::to_bytes);
    (parts.status, parts.headers, body)
}
