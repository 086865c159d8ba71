use http::HeaderValue;
use proptest::prelude::*;

use super::*;
use crate::flow::{Admission, admit, match_route};
use crate::replay::Replayers;
use crate::{Cache, CacheBuilder, Identity, MemoryStore, Route, Tenant};

fn cache(build: impl Fn(CacheBuilder) -> CacheBuilder) -> Cache {
    build(Cache::builder(MemoryStore::new()).tenant(Tenant::header("x-gym-id"))).build().unwrap()
}

/// All that tells one read from another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    method: &'static str,
    tenant: String,
    user: String,
    accept: Option<Vec<u8>>,
    content_type: Option<Vec<u8>>,
    encoding: Option<Vec<u8>>,
    body: Vec<u8>,
}

impl Asked {
    /// The name of its entry.
    fn entry(&self, cache: &Cache) -> String {
        let mut request = Request::builder()
            .method(self.method)
            .uri("/search")
            .header("x-gym-id", &self.tenant)
            .header("x-user", &self.user);
        let fields = [("accept", &self.accept), ("content-type", &self.content_type)];
        for (name, value) in fields.into_iter().chain([("content-encoding", &self.encoding)]) {
            if let Some(value) = value {
                request = request.header(name, HeaderValue::from_bytes(value).unwrap());
            }
        }
        let shared = cache.shared();
        let body = axum::body::Body::from(self.body.clone());
        let request = request.body(body).unwrap();
        let matched = match_route(shared, &request, None).unwrap();
        let (parts, body) = request.into_parts();
        let Admission::Content(Contentless(mut read)) = admit(shared, &parts, false, None, matched)
        else {
            panic!("not to be read: {self:?}");
        };
        let limits = Limits { most: 1000, time: std::time::Duration::from_secs(5) };
        let replayer = Replayers::default().of::<axum::body::Body>().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (_, content) = runtime.block_on(replayer.read(body, limits));
        read.extend_variant(&content.unwrap().variant());
        read.names.entry().to_owned()
    }
}

/// Few and awkward, so that pairs often differ in one thing alone.
fn text() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(vec![
        &b""[..],
        b"a",
        b"b",
        b";@b=",
        b"a;b",
        b"=,",
        b"a,b",
        b"%2C",
        b"\xff",
        b"content-type",
        b";@b=af1349b9f5f9a1a6a0404dea36dcc949",
    ])
    .prop_map(<[u8]>::to_vec)
}

fn asked() -> impl Strategy<Value = Asked> {
    let name = || proptest::sample::select(vec!["1", "2", "1;@b=2"]).prop_map(str::to_owned);
    let field = || proptest::option::of(text());
    let method = proptest::sample::select(vec!["QUERY", "POST"]);
    (method, name(), name(), field(), field(), field(), text()).prop_map(
        |(method, tenant, user, accept, content_type, encoding, body)| Asked {
            method,
            tenant,
            user,
            accept,
            content_type,
            encoding,
            body,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn p2_reads_share_a_name_only_if_nothing_tells_them_apart(one in asked(), other in asked()) {
        let route = |route: Route| route.per_user(Identity::header("x-user")).header("accept");
        let cache = cache(|builder| {
            builder.route(route(Route::query_method("/search"))).route(route(Route::post("/search")))
        });
        prop_assert_eq!(one.entry(&cache) == other.entry(&cache), one == other);
    }
}

#[test]
fn the_name_of_an_entry_shows_what_it_is_for() {
    let cache = cache(|builder| {
        builder
            .same_for_all_users()
            .route(Route::query_method("/search"))
            .route(Route::get("/search"))
    });
    let asked = Asked {
        method: "QUERY",
        tenant: "4".to_owned(),
        user: String::new(),
        accept: None,
        content_type: Some(b"text/plain".to_vec()),
        encoding: None,
        body: Vec::new(),
    };
    assert_eq!(
        asked.entry(&cache),
        "cache:e:{4}:QUERY;content-encoding;content-type=text%2Fplain;\
         @b=af1349b9f5f9a1a6a0404dea36dcc949 /search"
    );
    // A digest takes the place of a long variant, and the content stays beside it.
    let long = Asked { content_type: Some(vec![b'x'; 1000]), ..asked.clone() };
    let longer = Asked { body: b"x".to_vec(), ..long.clone() };
    assert_ne!(long.entry(&cache), longer.entry(&cache));
    assert!(long.entry(&cache).len() < 200, "{}", long.entry(&cache));
}

#[test]
fn conditions_and_ranges_by_method() {
    let rows = [
        ("QUERY", "if-none-match", "\"1\"", "read"),
        ("QUERY", "range", "bytes=0-1", "read"),
        ("QUERY", "if-match", "\"1\"", "read"),
        ("POST", "if-none-match", "\"1\"", "precondition"),
        ("POST", "if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT", "precondition"),
        ("POST", "range", "bytes=0-1", "range"),
        ("POST", "content-length", "5", "read"),
    ];
    let cache = cache(|builder| {
        builder.same_for_all_users().route(Route::query_method("/x")).route(Route::post("/x"))
    });
    for (method, name, value, expected) in rows {
        let request = Request::builder().method(method).uri("/x").header("x-gym-id", "4");
        let request = request.header(name, value).body(()).unwrap();
        let shared = cache.shared();
        let matched = match_route(shared, &request, None).unwrap();
        let (parts, ()) = request.into_parts();
        let found = match admit(shared, &parts, false, None, matched) {
            Admission::Content(_) => "read",
            Admission::Bypass(passed) => passed.why().as_str(),
            _ => "another",
        };
        assert_eq!(found, expected, "{method} {name}");
    }
}
