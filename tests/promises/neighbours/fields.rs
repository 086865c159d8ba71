//! Layers that add fields, or change the path: CORS, Set-Header, request ids, tracing, `NormalizePath`.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::OriginalUri;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::routing::get;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{AllowMethods, AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;
use tower_response_cache::Route;

use super::{Runs, app, asking, built, cache, page};
use crate::support::app::{App, gym_cache, gym_routes, request};

const ORIGINS: [&str; 2] = ["https://a.example", "https://b.example"];

/// Each origin is answered with its own name.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AllowOrigin::mirror_request())
        .allow_methods(AllowMethods::list([Method::GET]))
}

/// Numbers the requests of one app.
#[derive(Clone, Default)]
struct Numbers(std::sync::Arc<AtomicU64>);

impl MakeRequestId for Numbers {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Some(RequestId::new(HeaderValue::from(number)))
    }
}

async fn preflight(app: &App) {
    let ask = [("origin", ORIGINS[0]), ("access-control-request-method", "GET")];
    let answer = app.send(asking(Method::OPTIONS, &ask)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.field("access-control-allow-methods"), "GET");
    assert_eq!(
        (answer.field("access-control-allow-origin"), answer.cache_status()),
        (ORIGINS[0], "")
    );
}

/// Which origin each origin is told, and how often the handler runs for two rounds of them.
async fn origins(app: &App, runs: &Runs) -> usize {
    for _ in 0..2 {
        for origin in ORIGINS {
            let answer = app.send(asking(Method::GET, &[("origin", origin)])).await;
            assert_eq!(answer.field("access-control-allow-origin"), origin);
            assert!(answer.vary().contains(&"origin".to_owned()), "{answer:?}");
            app.cache.settled().await;
        }
    }
    runs.so_far()
}

/// What a layer of request ids makes of three requests.
async fn ids(app: &App, router: &Router) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..3 {
        let asked = App { router: router.clone(), ..app.clone() };
        ids.push(asked.get("4", "/").await.field("x-request-id").to_owned());
        app.cache.settled().await;
    }
    ids
}

on_each_store! {
    async fn cors_outside_answers_each_origin_from_one_entry(backend: Backend) {
        let runs = Runs::default();
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let app = app(cache.clone(), page(&runs, None).layer(cache.layer()).layer(cors()));
        preflight(&app).await;
        assert_eq!(origins(&app, &runs).await, 1);
    }

    async fn cors_inside_has_an_entry_for_each_origin_by_its_vary(backend: Backend) {
        let runs = Runs::default();
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let app = app(cache.clone(), page(&runs, None).layer(cors()).layer(cache.layer()));
        preflight(&app).await;
        assert_eq!(origins(&app, &runs).await, 2);
        // Who has no origin is told none of another's.
        app.get("4", "/").await;
        let answer = app.get_settled("4", "/").await;
        answer.assert_hit();
        assert_eq!(runs.so_far(), 3);
    }

    async fn cors_inside_for_any_origin_is_one_entry_where_it_does_not_vary(backend: Backend) {
        let runs = Runs::default();
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let open = CorsLayer::new().allow_origin(tower_http::cors::Any).vary(Vec::<HeaderName>::new());
        let app = app(cache.clone(), page(&runs, None).layer(open).layer(cache.layer()));
        for origin in ORIGINS {
            let answer = app.send(asking(Method::GET, &[("origin", origin)])).await;
            assert_eq!(answer.field("access-control-allow-origin"), "*");
            app.cache.settled().await;
        }
        assert_eq!(runs.so_far(), 1);
    }

    async fn a_field_set_inside_is_stored_and_obeyed_and_one_set_outside_is_neither(backend: Backend) {
        let runs = Runs::default();
        let cache = built(cache(backend.store.clone()).route(Route::get("/")));
        let set = |name: &'static str, value: &'static str| {
            let name = HeaderName::from_static(name);
            SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
        };
        let outside = page(&runs, None)
            .layer(set("x-frame-options", "DENY"))
            .layer(cache.layer())
            .layer(set("cache-control", "no-store"));
        let outside = app(cache.clone(), outside);
        outside.warm("4", "/").await;
        let hit = outside.get("4", "/").await;
        assert_eq!((hit.field("x-frame-options"), hit.field("cache-control")), ("DENY", "no-store"));

        let inside = page(&runs, None).layer(set("cache-control", "no-store")).layer(cache.layer());
        let inside = app(cache, inside);
        for _ in 0..2 {
            let answer = inside.get("5", "/").await;
            assert!(answer.cache_status().contains("detail=no-store"), "{answer:?}");
            inside.cache.settled().await;
        }
    }

    async fn each_client_gets_the_id_of_its_own_request(backend: Backend) {
        for place in ["outside", "around", "inside"] {
            let numbers = Numbers::default();
            let builder = cache(backend.store.clone()).namespace(place).route(Route::get("/"));
            let cache = built(builder);
            let set = SetRequestIdLayer::x_request_id(numbers.clone());
            let propagate = PropagateRequestIdLayer::x_request_id();
            let page = page(&Runs::default(), None);
            let router = match place {
                "outside" => page.layer(cache.layer()).layer(propagate).layer(set),
                // As where the handler's side writes the id into its response, and the other side
                // leaves one that is there alone.
                "around" => page
                    .layer(propagate.clone())
                    .layer(cache.layer())
                    .layer(propagate)
                    .layer(set),
                _ => page.layer(propagate).layer(set).layer(cache.layer()),
            };
            let app = app(cache, router.clone());
            let seen = ids(&app, &router).await;
            if place == "inside" {
                // Made for the run: a hit has none, which is better than another request's.
                assert_eq!(seen, ["0", "", ""]);
            } else {
                assert_eq!(seen, ["0", "1", "2"], "{place}");
            }
            assert!(app.cache.stats().hits > 0);
        }
    }

    async fn what_belongs_to_one_request_is_not_replayed(backend: Backend) {
        let fields = ["x-request-id", "server-timing", "traceparent", "tracestate", "x-correlation-id"];
        let handler = move || async move {
            let fields = fields.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("mine")));
            (fields.into_iter().collect::<HeaderMap>(), "x")
        };
        let app = App::of(
            cache(backend.store.clone()).route(Route::get("/")),
            Router::new().route("/", get(handler)),
        );
        let first = app.get("4", "/").await;
        let hit = app.get_settled("4", "/").await;
        hit.assert_hit();
        for name in fields {
            assert_eq!((first.field(name), hit.field(name)), ("mine", ""), "{name}");
        }
    }

    async fn tracing_goes_on_either_side(backend: Backend) {
        let cache = built(gym_cache(backend.store.clone()));
        let router = gym_routes(crate::support::app::Source::default())
            .layer(TraceLayer::new_for_http())
            .layer(cache.layer())
            .layer(TraceLayer::new_for_http());
        let app = app(cache, router);
        app.warm("4", "/users/1").await;
        app.put("4", "/users/1", "new").await;
        app.get("4", "/users/1").await.assert_miss();
    }

    async fn normalize_path_outside_makes_one_path_of_two_spellings(backend: Backend) {
        let mut app = App::gym(backend.store.clone());
        let normal = NormalizePathLayer::trim_trailing_slash().layer(app.router.clone());
        // Not straight into a router, which would note the path as it was.
        let normal = service_fn(move |mut request: Request<Body>| {
            request.extensions_mut().remove::<OriginalUri>();
            normal.clone().oneshot(request)
        });
        app.router = Router::new().fallback_service(normal);
        two_spellings(&app).await;
    }

    /// A router outside of `NormalizePath` notes the path as it was, and that counts, unless the
    /// layer is told that nothing was stripped.
    async fn normalize_path_within_a_router_wants_a_prefix_of_nothing(backend: Backend) {
        let source = crate::support::app::Source::default();
        let cache = built(gym_cache(backend.store.clone()));
        let router = gym_routes(source.clone()).layer(cache.layer().prefix(""));
        let inner = NormalizePathLayer::trim_trailing_slash().layer(router);
        two_spellings(&app(cache, Router::new().fallback_service(inner))).await;
    }

    /// A write that reaches its handler by a spelling that no rule fits invalidates nothing.
    async fn warning_normalize_path_inside_lets_writes_pass_unseen(backend: Backend) {
        let source = crate::support::app::Source::default();
        let cache = built(gym_cache(backend.store.clone()));
        let inner = NormalizePathLayer::trim_trailing_slash().layer(gym_routes(source));
        let outer = cache.layer().layer(inner);
        let app = app(cache, Router::new().fallback_service(outer));
        app.warm("4", "/users/1").await;
        let written = app.put("4", "/users/1/", "new").await;
        assert_eq!((written.status, written.cache_status()), (StatusCode::NO_CONTENT, ""));
        app.get("4", "/users/1").await.assert_hit();
    }

    async fn requests_are_decompressed_on_either_side(backend: Backend) {
        // "compressed", by gzip.
        const GZIP: &[u8] = &[
            0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x4b, 0xce, 0xcf, 0x2d,
            0x28, 0x4a, 0x2d, 0x2e, 0x4e, 0x4d, 0x01, 0x00,
        ];
        for place in ["inside", "outside"] {
            let source = crate::support::app::Source::default();
            let cache = built(gym_cache(backend.store.clone()).namespace(place));
            let gym = gym_routes(source.clone());
            let router = if place == "inside" {
                gym.layer(RequestDecompressionLayer::new()).layer(cache.layer())
            } else {
                gym.layer(cache.layer()).layer(RequestDecompressionLayer::new())
            };
            let app = App { source, ..app(cache, router) };
            app.warm("4", "/users/1").await;
            let mut write = request(Method::PUT, "4", "/users/1");
            write.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            *write.body_mut() = Body::from(gzip_of_compressed(GZIP));
            assert_eq!(app.send(write).await.status, StatusCode::NO_CONTENT, "{place}");
            let fresh = app.get("4", "/users/1").await;
            fresh.assert_miss();
            assert_eq!(fresh.text(), "4/1=compressed", "{place}");
        }
    }
}

async fn two_spellings(app: &App) {
    app.warm("4", "/users/1").await;
    app.get("4", "/users/1/").await.assert_hit();
    app.put("4", "/users/1/", "new").await;
    app.get("4", "/users/1").await.assert_miss();
}

/// Adds the trailer: the checksum of "compressed", and its length.
fn gzip_of_compressed(stream: &[u8]) -> Vec<u8> {
    let crc = b"compressed".iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    [stream, &(!crc).to_le_bytes(), &10_u32.to_le_bytes()].concat()
}
