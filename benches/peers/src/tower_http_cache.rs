//! tower-http-cache 0.6.1: Redis through a connection manager, or moka.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ::tower_http_cache::prelude::{CacheBackend, CacheLayer, InMemoryBackend, KeyExtractor};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::error_handling::HandleErrorLayer;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::MethodRouter;
use http_body::{Frame, SizeHint};
use redis::IntoConnectionInfo as _;
use redis::aio::ConnectionManagerConfig;
use sync_wrapper::SyncWrapper;
use tower::ServiceBuilder;

use crate::settings::Settings;

/// With TCP_NODELAY, which its connection has not by itself, and the time-outs of its README.
pub(crate) async fn redis(
    settings: &Settings,
    route: MethodRouter,
) -> Result<Router, Box<dyn Error>> {
    let info = settings.redis_url.as_str().into_connection_info()?;
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    let client = redis::Client::open(info.set_tcp_settings(tcp))?;
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(Duration::from_secs(10)))
        .set_connection_timeout(Some(Duration::from_secs(5)));
    let manager = client.get_connection_manager_with_config(config).await?;
    let backend = ::tower_http_cache::backend::redis::RedisBackend::new(manager);
    Ok(layered(settings, backend, route))
}

pub(crate) fn memory(settings: &Settings, route: MethodRouter) -> Router {
    layered(settings, InMemoryBackend::new(10_000), route)
}

fn layered<B: CacheBackend>(settings: &Settings, backend: B, route: MethodRouter) -> Router {
    let layer = CacheLayer::builder(backend)
        .ttl(settings.ttl)
        // The path alone: no query is parsed, and nothing is refreshed before its time.
        .key_extractor(KeyExtractor::path())
        .max_body_size(Some(1 << 20))
        .build();
    // Its error is a box, and axum's is none.
    let errors = HandleErrorLayer::new(async |_| StatusCode::INTERNAL_SERVER_ERROR);
    let layers = ServiceBuilder::new()
        .layer(errors)
        .layer(layer)
        .map_response(|response: Response| response.map(SyncBody::new));
    Router::new().route("/items/{n}", route).layer(layers)
}

/// axum's body as one that is `Sync`, which the layer asks for. Hits have nothing to do with it.
struct SyncBody {
    hint: SizeHint,
    inner: SyncWrapper<Body>,
}

impl SyncBody {
    fn new(body: Body) -> Self {
        Self { hint: body.size_hint(), inner: SyncWrapper::new(body) }
    }
}

impl HttpBody for SyncBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(self.inner.get_mut()).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        self.hint.clone()
    }
}
