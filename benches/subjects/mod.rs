//! What the micro-benchmarks and the count of instructions both run: the steps of a hit, one by
//! one and all together, without a server around them.

use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};
use tower_response_cache::entry::{Content, Entry, Head, Id, RunId};
use tower_response_cache::key::{
    EPOCHS, Keep, Names, QueryLimits, ScopeTemplate, Space, normalize_path, normalize_query,
};
use tower_response_cache::{Cache, MemoryStore, On, Route, Tenant};

/// The header that names the tenant.
pub(crate) const TENANT: &str = "x-tenant";

/// One step: prepared outside what is measured, and then run once.
pub(crate) type Prepare = Box<dyn Fn() -> Box<dyn FnOnce()>>;

/// All steps, by name.
pub(crate) fn all() -> Vec<(&'static str, Prepare)> {
    vec![
        ("nothing", repeat(|| ())),
        ("key", key()),
        ("scopes", scopes()),
        ("encode-1KiB", repeat(entry_of(1024, |entry| black_box(entry.encode())))),
        ("decode-1KiB", decode(1024)),
        ("decode-32KiB", decode(32 * 1024)),
        ("bare", bare()),
        ("bypass", calls("/elsewhere", 0, None)),
        ("memory-hit-1KiB", calls("/items/1", 1024, None)),
        ("memory-hit-32KiB", calls("/items/1", 32 * 1024, None)),
        ("memory-not-modified", calls("/items/1", 1024, Some("\"1\""))),
    ]
}

/// The same each time, with nothing to prepare.
fn repeat<T>(step: impl Fn() -> T + 'static) -> Prepare {
    let step = Arc::new(step);
    Box::new(move || {
        let step = Arc::clone(&step);
        Box::new(move || {
            black_box(step());
        })
    })
}

/// From path and query to the names of entry and epoch.
fn key() -> Prepare {
    let space = Space::new(&"bench".into(), "4");
    let kept = ["period".to_owned(), "role".to_owned()];
    repeat(move || {
        let path = black_box("/gyms/4/users/1042/stats");
        let query = black_box("period=month&utm_source=mail&role=member");
        let mut text = String::with_capacity(path.len() + query.len());
        let keep = Keep::Named(&kept);
        let limits = QueryLimits::default();
        normalize_path(path, &mut text).expect("a good path");
        text.push('?');
        normalize_query(query, keep, limits, &mut text).expect("a good query");
        Names::new(&space, "GET", &text)
    })
}

/// From a parameter to the names of two scopes and their digest.
fn scopes() -> Prepare {
    let space = Space::new(&"bench".into(), "4");
    let path = ScopeTemplate::path("/items/{n}").expect("a good template");
    let subtree = ScopeTemplate::subtree("/items").expect("a good template");
    let names = Names::new(&space, "GET", "/items/1042");
    Box::new(move || {
        let (mut names, path, subtree) = (names.clone(), path.clone(), subtree.clone());
        Box::new(move || {
            let mut text = String::with_capacity(64);
            path.bind(|_| Some(black_box("1042")), &mut text).expect("a good value");
            names.push_scope(&text);
            text.clear();
            subtree.bind(|_| None, &mut text).expect("no parameters");
            names.push_scope(&text);
            black_box((names.scopes_digest(), names.entry_digest()));
        })
    })
}

/// A response as it is stored: five fields, two stamps.
fn entry_of<T>(size: usize, with: impl Fn(&Entry) -> T + 'static) -> impl Fn() -> T {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("date", "Tue, 24 Nov 2026 12:00:00 GMT"),
        ("etag", "\"0123456789abcdef\""),
        ("cache-control", "max-age=60"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let head = Head {
        run: RunId([7; 8]),
        scopes: [1; 8],
        stamps: [Id::mint(1, [1; 8]), Id::mint(2, [2; 8])].into(),
        fresh_until: 2_000_000_000_000,
    };
    let content = Content::Response { status: StatusCode::OK, headers };
    let mut entry = Entry::new(head, EPOCHS, content, Bytes::from(vec![b'x'; size]));
    entry.stored_at = 1_900_000_000_000;
    entry.stale_until = 2_000_000_000_000;
    entry.error_until = 2_000_000_000_000;
    entry.cost = 5000;
    move || with(&entry)
}

fn decode(size: usize) -> Prepare {
    let frame = entry_of(size, Entry::encode)();
    repeat(move || Entry::decode(black_box(frame.clone())).expect("it was encoded"))
}

type Inner = Request<Full<Bytes>>;

/// A cache of items, as in `examples/load_target`.
pub(crate) fn cache(store: impl tower_response_cache::Store + 'static) -> Cache {
    Cache::builder(store)
        .namespace("bench")
        .tenant(Tenant::header(TENANT))
        .same_for_all_users()
        .route(Route::get("/items/{n}").ttl(Duration::from_secs(86_400)).ignore_query())
        .invalidate(On::put("/items/{n}").path("/items/{n}"))
        .invalidate(On::put("/items").subtree("/items"))
        // Callgrind is slow, and a look-up that is given up is none.
        .lookup_timeout(Duration::from_secs(10))
        .build()
        .expect("a good configuration")
}

/// A handler that answers at once with JSON of this size; with nothing at all if that is 0.
#[allow(clippy::unused_async, reason = "it stands for one that waits")]
pub(crate) async fn handler(size: usize) -> Result<Response<Full<Bytes>>, Infallible> {
    if size == 0 {
        return Ok(Response::new(Full::default()));
    }
    let mut response = Response::new(Full::new(Bytes::from(vec![b'x'; size])));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("etag", HeaderValue::from_static("\"1\""));
    Ok(response)
}

/// A request as a browser's, short of the fields that nobody looks at.
pub(crate) fn request(target: &str) -> Inner {
    Request::get(target)
        .header(TENANT, "4")
        .header("host", "127.0.0.1:3000")
        .header("user-agent", "bench")
        .header("accept", "*/*")
        .body(Full::default())
        .expect("a good request")
}

/// Whole calls of the service on the memory store: a hit, once the first call has filled it.
fn calls(target: &'static str, size: usize, unless: Option<&'static str>) -> Prepare {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let cache = cache(MemoryStore::new());
    let service = cache.layer().layer(service_fn(move |_: Inner| handler(size)));
    runtime.block_on(async {
        let response = service.clone().oneshot(request(target)).await.expect("an answer");
        response.into_body().collect().await.expect("a body");
        cache.settled().await;
    });
    Box::new(move || {
        let mut service = service.clone();
        let mut request = request(target);
        if let Some(tag) = unless {
            request.headers_mut().insert(IF_NONE_MATCH, HeaderValue::from_static(tag));
        }
        let handle = runtime.handle().clone();
        Box::new(move || {
            let _entered = handle.enter();
            let answer = now(service.call(request)).expect("an answer");
            black_box(drain(answer));
        })
    })
}

/// A call of the inner service by itself, without a body: what a bypass, and much of a hit, costs anyway.
/// A request is dropped with its fields, and a response with its own.
fn bare() -> Prepare {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let service = service_fn(move |_: Inner| handler(0));
    Box::new(move || {
        let (mut service, request) = (service, request("/elsewhere"));
        let handle = runtime.handle().clone();
        Box::new(move || {
            let _entered = handle.enter();
            let answer = now(service.call(request)).expect("an answer");
            black_box(drain(answer));
        })
    })
}

/// The output of a future that has no reason to wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a hit in memory waits for nothing"),
    }
}

/// Takes a body that is there.
fn drain(answer: Response<impl Body<Data = Bytes, Error = Infallible>>) -> usize {
    let mut body = pin!(answer.into_body());
    let mut context = Context::from_waker(Waker::noop());
    let mut length = 0;
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(&mut context) {
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    length
}
