//! What this crate is measured against: a handler that caches for itself, with one GET on a
//! connection that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use bb8_redis::redis::aio::MultiplexedConnection;
use bb8_redis::redis::{AsyncCommands as _, Client, IntoConnectionInfo as _, RedisError};
use parking_lot::RwLock;

use crate::items::Items;
use crate::serve::TENANT;

/// Items through a cache in Redis, without stamps, leases, tenants kept apart, or invalidation
/// that holds against a late fill.
#[derive(Clone)]
pub(crate) struct Handwritten {
    links: Arc<[Link]>,
    next: Arc<AtomicUsize>,
    items: Items,
    ttl: Duration,
}

struct Link {
    client: Client,
    connection: RwLock<MultiplexedConnection>,
    is_reconnecting: AtomicBool,
}

impl Handwritten {
    pub(crate) async fn connect(
        url: &str,
        connections: u32,
        items: Items,
        ttl: Duration,
    ) -> Result<Self, RedisError> {
        let info = url.into_connection_info()?;
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp))?;
        let mut links = Vec::new();
        for _ in 0..connections.max(1) {
            let connection = RwLock::new(client.get_multiplexed_async_connection().await?);
            let client = client.clone();
            links.push(Link { client, connection, is_reconnecting: AtomicBool::new(false) });
        }
        Ok(Self { links: links.into(), next: Arc::default(), items, ttl })
    }

    /// `GET /items/{n}`: what is stored, or a new item, stored for the next request.
    pub(crate) async fn get(&self, n: u64, headers: &HeaderMap) -> Result<Bytes, StatusCode> {
        let key = key(n, headers)?;
        let link = self.link();
        let mut connection = self.links[link].connection.read().clone();
        match connection.get::<_, Option<Vec<u8>>>(&key).await {
            Ok(Some(stored)) => return Ok(Bytes::from(stored)),
            Ok(None) => {}
            Err(error) => self.lost(link, &error),
        }
        let body = self.items.make(n).await;
        let ttl = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = connection.pset_ex::<_, _, ()>(&key, &body[..], ttl).await {
            self.lost(link, &error);
        }
        Ok(body)
    }

    /// `PUT /items/{n}`: removes what is stored.
    pub(crate) async fn put(&self, n: u64, headers: &HeaderMap) -> Result<StatusCode, StatusCode> {
        let key = key(n, headers)?;
        let link = self.link();
        let mut connection = self.links[link].connection.read().clone();
        match connection.del::<_, ()>(&key).await {
            Ok(()) => Ok(StatusCode::NO_CONTENT),
            Err(error) => {
                self.lost(link, &error);
                Err(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }

    fn link(&self) -> usize {
        if self.links.len() == 1 {
            return 0;
        }
        self.next.fetch_add(1, Ordering::Relaxed) % self.links.len()
    }

    /// Has a connection that broke replaced, once, however many requests have seen it break.
    fn lost(&self, link: usize, error: &RedisError) {
        let broken = &self.links[link];
        if !error.is_unrecoverable_error() || broken.is_reconnecting.swap(true, Ordering::Relaxed) {
            return;
        }
        let links = Arc::clone(&self.links);
        tokio::spawn(async move {
            let link = &links[link];
            loop {
                if let Ok(connection) = link.client.get_multiplexed_async_connection().await {
                    *link.connection.write() = connection;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            link.is_reconnecting.store(false, Ordering::Relaxed);
        });
    }
}

fn key(n: u64, headers: &HeaderMap) -> Result<String, StatusCode> {
    let tenant = headers.get(TENANT).and_then(|tenant| tenant.to_str().ok());
    Ok(format!("items:{}:{n}", tenant.ok_or(StatusCode::BAD_REQUEST)?))
}
