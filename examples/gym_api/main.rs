//! A gym's back end: users, their figures, opening hours, on `SQLite`, behind the cache.
//!
//! `cargo run --example gym_api` uses the memory store. With `REDIS_URL` and `DATABASE` set, any
//! number of these processes serve the same gyms and see each other's writes at once. `GET /metrics`
//! is for Prometheus, and has the cache's figures with `--features metrics`.
//!
//! | variable | meaning | unset |
//! |---|---|---|
//! | `LISTEN` | address and port; port 0 takes a free one | `127.0.0.1:3000` |
//! | `REDIS_URL` | where the entries live | in this process |
//! | `DATABASE` | the `SQLite` file | in this process's memory |
//! | `FENCE_MS` | changes of users are fenced, for so many milliseconds at most | no fence |
//! | `ADMIN_TOKEN` | opens the cache's admin pages under `/admin` (with the feature `admin`) | no such pages |
//! | `LOOKUP_TIMEOUT_MS` | how long a request waits for Redis | 50 |
//! | `DEMO_DELAYS` | `1` obeys the header `x-demo-delay-ms` | ignored |
//! | `RUST_LOG` | filter of the log on stderr | `info` |

#[cfg(feature = "admin")]
mod admin;
mod cache;
mod db;
mod debug;
mod error;
mod gym;
mod metrics;
mod period;
mod routes;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use self::db::Database;
use self::debug::Runs;

/// What every handler can reach.
#[derive(Clone)]
struct Shared {
    database: Arc<Database>,
    runs: Arc<Runs>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    // Before the cache is built, which is when it asks for what it will count with.
    let recorder = metrics::install()?;
    let fence = setting("FENCE_MS").map(|text| text.parse()).transpose()?;
    let fence = fence.map(Duration::from_millis);
    let patience = setting("LOOKUP_TIMEOUT_MS").map(|text| text.parse()).transpose()?;
    let patience = Duration::from_millis(patience.unwrap_or(50));
    let cache = cache::build(setting("REDIS_URL").as_deref(), fence, patience).await?;
    let shared = Shared {
        database: Arc::new(Database::open(setting("DATABASE").as_deref())?),
        runs: Arc::default(),
    };
    let delays = setting("DEMO_DELAYS").as_deref() == Some("1");
    let app = debug::with_delays(routes::cached(), delays)
        .layer(cache.layer())
        .merge(routes::uncached())
        .merge(metrics::routes(recorder))
        .with_state(shared);
    #[cfg(feature = "admin")]
    let app = admin::mount(app, &cache, setting("ADMIN_TOKEN"));

    let listen = setting("LISTEN").unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(listen).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
        })
        .await?;
    // Invalidations that Redis has not confirmed yet are tried to the last.
    cache.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// An environment variable; an empty one counts as unset.
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
