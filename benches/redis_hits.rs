//! Hits in Redis, by the layer and by hand, many at once on one thread: what they cost this
//! process, its connection's task included.

use std::time::Duration;

use bb8_redis::redis::{AsyncCommands as _, Client};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service as _, ServiceExt as _, service_fn};
use tower_response_cache::{NearCache, RedisStore, RedisStoreBuilder};

use crate::counted;
use crate::subjects::{cache, handler, request};

#[path = "../tests/support/redis_server.rs"]
mod redis_server;

/// The steps of this file.
pub(crate) const ALL: [&str; 8] = [
    "redis-get-1KiB",
    "redis-get-32KiB",
    "redis-hit-1KiB",
    "redis-hit-32KiB",
    "near-hit-1KiB",
    "near-hit-32KiB",
    "strict-hit-1KiB",
    "strict-hit-32KiB",
];

/// How many are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// Runs one of them so many times.
pub(crate) fn run(name: &str, times: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let server = redis_server::RedisServer::start();
    let size = if name.ends_with("32KiB") { 32 * 1024 } else { 1024 };
    let store = RedisStore::builder(&server.url());
    match name.split_once("-hit") {
        None => by_hand(&runtime, &server.url(), size, times),
        Some(("near", _)) => {
            by_layer(&runtime, store.near_cache(NearCache::coherent()), size, times);
        }
        Some(("strict", _)) => {
            by_layer(&runtime, store.near_cache(NearCache::strict()), size, times);
        }
        Some(_) => by_layer(&runtime, store, size, times),
    }
}

fn by_hand(runtime: &tokio::runtime::Runtime, url: &str, size: usize, times: usize) {
    let connection = runtime.block_on(async {
        let client = Client::open(url).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let body = vec![b'x'; size];
        connection.set::<_, _, ()>("items:4:1", body).await.expect("it is stored");
        connection
    });
    let round = || {
        let hits = (0..AT_ONCE).map(|n| {
            let mut connection = connection.clone();
            async move {
                // As a handler would make it from the request.
                let key = format!("items:{}:{}", 4, 1 + n / AT_ONCE);
                let stored: Option<Vec<u8>> = connection.get(&key).await.expect("an answer");
                Bytes::from(stored.expect("it is stored"))
            }
        });
        runtime.block_on(join_all(hits));
    };
    (0..10).for_each(|_| round());
    counted(|| (0..times).for_each(|_| round()));
}

/// What is asked for at once, each another.
fn items() -> impl Iterator<Item = String> {
    (1..=AT_ONCE).map(|n| format!("/items/{n}"))
}

fn by_layer(
    runtime: &tokio::runtime::Runtime,
    store: RedisStoreBuilder,
    size: usize,
    times: usize,
) {
    let store = runtime.block_on(store.connect()).expect("a connection");
    let cache = cache(store);
    let layer = cache.layer();
    let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| handler(size)));
    runtime.block_on(async {
        for item in items() {
            let response = service.clone().oneshot(request(&item)).await.expect("an answer");
            response.into_body().collect().await.expect("a body");
        }
        cache.settled().await;
    });
    let rounds = |count| -> Vec<Vec<Request<Full<Bytes>>>> {
        (0..count).map(|_| items().map(|item| request(&item)).collect()).collect()
    };
    let run = |rounds: Vec<Vec<_>>| {
        for round in rounds {
            let hits = round.into_iter().map(|request| {
                let answer = service.clone().call(request);
                async { answer.await.expect("an answer").into_body().collect().await.is_ok() }
            });
            runtime.block_on(join_all(hits));
        }
    };
    run(rounds(10));
    // A feed is believed once it has been heard, which takes a moment.
    runtime.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
    run(rounds(10));
    let asked = rounds(times);
    counted(|| run(asked));
}
