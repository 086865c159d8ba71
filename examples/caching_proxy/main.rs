//! A reverse proxy: one origin, and the cache before it.
//!
//! ```text
//! cargo run --example caching_proxy -- --listen 127.0.0.1:3000 --upstream http://127.0.0.1:8080
//! ```
//!
//! `--help` names the other options. Without `--rfc9111` the proxy decides what is stored, and for
//! how long; with it the origin does, as RFC 9111 says.

mod args;
mod body;
mod cache;
mod front;
mod tunnel;
mod upstream;

use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};
use tower::ServiceBuilder;
use tracing_subscriber::EnvFilter;

use self::args::{Asked, HELP, Settings};
use self::front::Front;
use self::upstream::{RequestBody, Upstream};

/// How long requests under way may take once the process is to end.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let settings = match args::read(std::env::args_os().skip(1)) {
        Ok(Asked::Serve(settings)) => *settings,
        Ok(Asked::Help) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprintln!("caching_proxy: {mistake}\n`caching_proxy --help` names all options.");
            return ExitCode::from(2);
        }
    };
    match serve(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("caching_proxy: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve(settings: Settings) -> Result<(), Box<dyn Error>> {
    let cache = cache::build(&settings).await?;
    let service = ServiceBuilder::new()
        .layer_fn(Front::new)
        // Of QUERY and POST the cache reads the content, and hands on a body that it makes of it.
        .map_request(|request: Request<Incoming>| request.map(RequestBody::new))
        .layer(cache.layer().replay(RequestBody::new))
        .service(Upstream::new(settings.upstream, settings.timeout));

    let listener = TcpListener::bind(&settings.listen).await.map_err(|error| {
        format!("can't listen on {}: {error}; choose another --listen", settings.listen)
    })?;
    let mut ended = pin!(end(signal(SignalKind::terminate())?));
    let address: SocketAddr = listener.local_addr()?;
    println!("listening on http://{address}");

    let mut server = auto::Builder::new(TokioExecutor::new());
    // A client that never ends its head must not hold a connection for good.
    server.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30));
    server.http2().timer(TokioTimer::new());
    let open = GracefulShutdown::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: that passes, the proxy should not.
                    tracing::warn!(%error, "accept failed");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut ended => break,
        };
        // Small answers are not to wait for the client's acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(service.clone());
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = open.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "connection ended");
            }
        });
    }
    drop(listener);
    let _ = timeout(GRACE, open.shutdown()).await;
    // Invalidations that the store has not confirmed yet are tried to the last.
    cache.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// Ready once somebody asks the process to end.
async fn end(mut terminated: signal::unix::Signal) {
    tokio::select! {
        _ = signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}
