//! `GET /metrics`, for Prometheus.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// The upper bounds by which times are sorted, in seconds: from a hit in memory to a handler that
/// makes its client wait.
const BUCKETS: [f64; 14] =
    [1e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// Makes the recorder that everything in this process reports to.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    let upkeep = recorder.clone();
    // Times wait in lists until somebody scrapes, or this comes.
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(recorder)
}

/// The page. A real service has it on a port that is not for clients.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(recorder: PrometheusHandle) -> Router<S> {
    let page = async move || {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
    };
    Router::new().route("/metrics", get(page))
}
