//! One server for all modes, so that they differ in nothing else.

use std::error::Error;
use std::future::Future;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::ListenerExt as _;

use crate::items::Items;
use crate::settings::Settings;

/// The header that names the tenant of a request.
#[allow(dead_code, reason = "not every server has tenants")]
pub(crate) const TENANT: &str = "x-tenant";

/// Runs the server that `router` builds, until the process ends.
///
/// # Errors
///
/// If the settings make no sense, the port is taken, or the router can't be built.
pub(crate) fn run<F>(router: impl FnOnce(Settings, Items) -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<Router, Box<dyn Error>>>,
{
    let settings = Settings::from_env()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let items = Items::new(settings.size, settings.miss);
        let port = settings.port;
        let app = router(settings, items.clone()).await?;
        // Beside what is measured: how often items were made so far.
        let app = app.route("/runs", get(move || async move { items.runs().to_string() }));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
        println!("listening on http://{}", listener.local_addr()?);
        let listener = listener.tap_io(|stream| {
            // Without it a delayed acknowledgement may be measured instead of the server.
            let _ = stream.set_nodelay(true);
        });
        // A task, so that it runs on a worker and not on the thread that waits here.
        tokio::spawn(async move { axum::serve(listener, app).await }).await??;
        Ok(())
    })
}

/// The handler of `GET /items/{n}` for a cache outside it.
#[allow(dead_code, reason = "a cache within the handler needs another one")]
pub(crate) async fn item(n: u64, items: &Items) -> impl IntoResponse + use<> {
    json(items.make(n).await)
}

/// A body as what it is.
pub(crate) fn json(body: axum::body::Bytes) -> impl IntoResponse + use<> {
    ([(CONTENT_TYPE, "application/json")], body)
}

/// What `PUT /items/{n}` answers: items are made anew each time, so there is nothing to change.
pub(crate) async fn changed() -> StatusCode {
    StatusCode::NO_CONTENT
}
