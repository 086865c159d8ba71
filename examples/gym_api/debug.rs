//! What makes the cache visible and its races reproducible; a real service has none of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Json, Router};

use crate::Shared;
use crate::error::ApiError;

const DELAY_HEADER: &str = "x-demo-delay-ms";
const LONGEST_DELAY: u64 = 60_000;

/// How often each cached handler has run, by route template.
pub(crate) struct Runs(Mutex<BTreeMap<&'static str, u64>>);

impl Runs {
    /// Counts a run of the handler of `template`.
    pub(crate) fn count(&self, template: &'static str) {
        *self.lock().entry(template).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Runs {
    fn default() -> Self {
        Self(Mutex::new(crate::routes::CACHED.iter().map(|template| (*template, 0)).collect()))
    }
}

/// `GET /debug/handler-runs`
pub(crate) async fn handler_runs(
    State(shared): State<Shared>,
) -> Json<BTreeMap<&'static str, u64>> {
    Json(shared.runs.lock().clone())
}

/// `router`, whose handlers wait as long as `x-demo-delay-ms` says after their work, if `enabled`.
///
/// The wait comes between the database's answer and the response: the gap in which a write makes
/// a read outdated. It stands inside of the cache, whose hits don't wait.
pub(crate) fn with_delays(router: Router<Shared>, enabled: bool) -> Router<Shared> {
    if enabled { router.layer(from_fn(delay)) } else { router }
}

async fn delay(request: Request, next: Next) -> Result<Response, ApiError> {
    let wait = match request.headers().get(DELAY_HEADER) {
        None => 0,
        Some(value) => value
            .to_str()
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
            .ok_or_else(|| ApiError::bad_request(format!("{DELAY_HEADER} is not a number")))?,
    };
    let response = next.run(request).await;
    tokio::time::sleep(Duration::from_millis(wait.min(LONGEST_DELAY))).await;
    Ok(response)
}
