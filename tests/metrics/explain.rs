//! `Cache::explain` and `Cache::explain_request`, sentence by sentence.

use std::time::Duration;

use axum::Router;
use axum::http::{Method, Request, header};
use axum::routing::get;
use tower_response_cache::explain::{Hint, NotCached, Treatment};
use tower_response_cache::{Bypass, Cache, CacheBuilder, Identity, MemoryStore, On, Route, Tenant};

use crate::support::app::App;

const MINUTE: Duration = Duration::from_secs(60);

fn builder() -> CacheBuilder {
    Cache::builder(MemoryStore::new())
        .namespace("gym")
        .tenant(Tenant::header("x-gym-id"))
        .removed_fields(["via"])
        .route(Route::get("/users").ttl(5 * MINUTE).query(["role", "status"]).same_for_all_users())
        .route(Route::get("/users/{id}").ignore_query().stale_while_revalidate(MINUTE))
        .route(Route::get("/users/me").uncached())
        .route(
            Route::get("/mine")
                .per_user(Identity::header("x-user-id"))
                .header("accept-language")
                .stale_if_error(2 * MINUTE),
        )
        .route(Route::get("/hours").tenantless().ttl_with(|_| MINUTE).tag("hours").ignore_cookies())
        .route(Route::post("/search").key("search:{kind}").only_rules_invalidate())
        .route(Route::get("/week/{day}").no_vary_search().ttl(Duration::from_millis(1500)))
        .invalidate(On::put("/users/{id}").subtree("/users/{id}").path("/users"))
        .invalidate(On::post("/admin/reset").tenant().fence(Duration::from_secs(2)))
        .invalidate(On::put("/hours").tenantless().tag("hours").in_background())
        .invalidate(On::delete("/users/{id}").path("/users").soft())
}

#[test]
fn a_configuration_is_said_line_by_line() {
    let cache = builder().build().unwrap();
    let explanation = cache.explain();
    let said = explanation.to_string();
    let lines: Vec<_> = said.lines().collect();
    let expected = [
        r#"Cache "gym" in the memory of this process."#,
        "A request's tenant is read from the header x-gym-id.",
        "GET /users: the key is the path and the query parameters role and status; fresh for 5 min; \
         served to everyone of the tenant; invalidated by PUT /users/{id}, POST /admin/reset, \
         DELETE /users/{id} and any write to its own path.",
        "GET /users/{id}: the key is the path, and nothing of the query; fresh for 5 min, then 1 min \
         stale while it is refreshed; served to everyone of the tenant whose request has no \
         Authorization or Cookie; invalidated by PUT /users/{id}, POST /admin/reset and any write \
         to its own path.",
        "GET /users/me is declared not to be cached.",
        "GET /mine: the key is the path and the whole query, with the header accept-language; fresh \
         for 5 min, 2 min if the handler fails; served to the user alone, by the header x-user-id; \
         invalidated by POST /admin/reset and any write to its own path.",
        "GET /hours: the key is the path and the whole query; fresh for as long as its request or \
         response says; served to everyone of all tenants whose request has no Authorization; \
         invalidated by PUT /hours and any write to its own path.",
        "POST /search: the key is the text search:{kind}, with the request's content, with the \
         headers content-encoding and content-type; fresh for 5 min; served to everyone of the tenant whose request has no Authorization or Cookie; \
         invalidated by POST /admin/reset.",
        "GET /week/{day}: the key is the path and what of the query its responses say in \
         No-Vary-Search; fresh for 1.5 s; served to everyone of the tenant whose request has no \
         Authorization or Cookie; invalidated by POST /admin/reset and any write to its own path.",
        r#"PUT /users/{id} invalidates subtree("/users/{id}") and path("/users"): GET /users and GET /users/{id}."#,
        "POST /admin/reset invalidates the whole tenant, behind a fence of at most 2 s: GET /users, \
         GET /users/{id}, GET /mine, POST /search and GET /week/{day}.",
        r#"PUT /hours invalidates tag("hours"), in the background: GET /hours."#,
        r#"DELETE /users/{id} invalidates path("/users"), softly: GET /users."#,
    ];
    assert_eq!(lines, expected, "{said}");
    assert_eq!(explanation.hints, [], "nothing has happened yet");
    assert!(!explanation.rfc9111);
}

#[test]
fn a_cache_before_a_proxy_says_that_the_responses_have_the_word() {
    let cache = Cache::builder(MemoryStore::new())
        .rfc9111()
        .route(Route::get("/{*rest}").tenantless())
        .build()
        .unwrap();
    let said = cache.explain().to_string();
    for sentence in [
        "There are no tenants.",
        "What is stored, and for how long, is said by the responses (RFC 9111).",
        "fresh for as long as its request or response says",
    ] {
        assert!(said.contains(sentence), "{sentence} is not in:\n{said}");
    }
}

/// A request by its method, its target, and its header fields.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// What is asked, sentences that are said, and words that are not.
type Row<'a> = (Asked<'a>, &'a [&'a str], &'a [&'a str]);

fn explain(cache: &Cache, (method, target, fields): Asked<'_>) -> (Treatment, String) {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let explanation = cache.explain_request(&parts);
    let said = explanation.to_string();
    (explanation.treatment, said)
}

#[test]
#[allow(clippy::too_many_lines, reason = "it is a table")]
fn a_request_is_said_sentence_by_sentence() {
    let cache = builder().build().unwrap();
    let gym = ("x-gym-id", "4");
    let rows: &[Row<'_>] = &[
        (
            ("GET", "/users?utm=x&role=member&status=", &[gym, ("user-agent", "a")]),
            &[
                "GET /users is on GET /users and is looked up.",
                "Its tenant is 4.",
                "Its key is /users?role=member&status=.",
                "In the key of its query: role=member and status=.",
                "Not in the key of its query: utm=x.",
                "Not in the key, though handlers commonly read them: user-agent.",
                "A response is fresh for 5 min, unless it says less.",
                "What is stored is served to everyone of the tenant.",
                "It is invalidated by PUT /users/{id}, by path(\"/users\"); POST /admin/reset, by \
                 the whole tenant; DELETE /users/{id}, by path(\"/users\"); any write to its own \
                 path.",
            ],
            &["If nothing is stored", "At this moment", "identity"],
        ),
        (
            ("HEAD", "/users/%34%32?x=1", &[gym, ("range", "bytes=0-1")]),
            &[
                "HEAD /users/%34%32 is on GET /users/{id} and is looked up.",
                "Its key is /users/42.",
                "Not in the key of its query: x=1.",
                "It is invalidated by PUT /users/{id}, by subtree(\"/users/{id}\") where id is 42; \
                 POST /admin/reset, by the whole tenant; any write to its own path.",
                "If nothing is stored, the handler answers it alone: it asks for a range.",
            ],
            &["In the key of its query", "commonly read"],
        ),
        (
            (
                "GET",
                "/mine",
                &[
                    gym,
                    ("x-user-id", "7"),
                    ("accept-language", "de"),
                    ("host", "h"),
                    ("x-forwarded-proto", "http"),
                    ("x-forwarded-for", "1.2.3.4"),
                    ("via", "1.1 a"),
                ],
            ),
            &[
                "Its key is /mine, with accept-language, x-forwarded-proto and host, with the user's \
                 identity by the header x-user-id.",
                "Not in the key, though handlers commonly read them: x-forwarded-for.",
                "The handler does not see: via.",
                "What is stored is served to the user alone, by the header x-user-id.",
            ],
            &[],
        ),
        (
            ("GET", "/hours", &[]),
            &[
                "It belongs to no tenant.",
                "A response is fresh for 1 min, unless it says less.",
                "It is invalidated by PUT /hours, by tag(\"hours\"); any write to its own path.",
            ],
            &[],
        ),
        (
            ("POST", "/search?kind=a&other=b", &[gym, ("content-length", "2")]),
            &[
                "POST /search is on POST /search and is looked up.",
                "Its key is search:a, with its content, with content-encoding and content-type.",
                "In the key of its query: kind=a.",
                "Not in the key of its query: other=b.",
            ],
            &["any write to its own path"],
        ),
        (
            ("GET", "/users", &[]),
            &[
                "GET /users is on GET /users and goes past the cache (no-tenant): the request has no \
               tenant.",
            ],
            &[],
        ),
        (
            ("GET", "/users/7", &[gym, ("cookie", "a=b")]),
            &[
                "goes past the cache (cookie): it carries Cookie, and the route does not say what of \
               it is in the key",
            ],
            &[],
        ),
        (
            ("GET", "/elsewhere", &[gym]),
            &["GET /elsewhere is not cached: no template of a route or rule fits its path."],
            &[],
        ),
        (
            ("GET", "/search", &[gym]),
            &["GET /search is not cached: the route that its path fits is of POST."],
            &[],
        ),
        (
            ("GET", "/users/me", &[gym]),
            &["GET /users/me is not cached: GET /users/me is declared not to be cached."],
            &[],
        ),
        (
            ("PUT", "/users/42", &[gym]),
            &[
                "PUT /users/42 may change what is cached.",
                "It fires PUT /users/{id}.",
                "It moves path:/users, path:/users/42 and subtree:/users/42.",
            ],
            &["move nothing"],
        ),
        (
            ("PATCH", "/users", &[gym]),
            &["No rule is for it; its own path is of a cached route.", "It moves path:/users."],
            &[],
        ),
        (
            ("PUT", "/users/42", &[]),
            &["It moves nothing.", "Some of its rules move nothing: the request has no tenant."],
            &[],
        ),
    ];
    for (asked, sentences, absent) in rows {
        let (_, said) = explain(&cache, *asked);
        for sentence in *sentences {
            assert!(said.contains(sentence), "{asked:?}: {sentence}\nis not in\n{said}");
        }
        for sentence in *absent {
            assert!(!said.contains(sentence), "{asked:?}: {sentence}\nis in\n{said}");
        }
    }
    assert_eq!(cache.stats().bypasses, 0, "nothing is counted");
    assert!(cache.explain().rules.iter().all(|rule| rule.fired == 0));
}

#[test]
fn what_is_said_is_there_as_fields_too() {
    let cache = builder().build().unwrap();
    let (treatment, _) = explain(&cache, ("GET", "/users?b=1&role=x", &[("x-gym-id", "4")]));
    let Treatment::Lookup(lookup) = treatment else { panic!("{treatment:?}") };
    assert_eq!((lookup.tenant.as_deref(), &*lookup.key), (Some("4"), "/users?role=x"));
    assert_eq!((lookup.kept, lookup.dropped), (vec!["role=x".to_owned()], vec!["b=1".to_owned()]));
    let (treatment, _) = explain(&cache, ("GET", "/users", &[]));
    assert_eq!(treatment, Treatment::Bypass(Bypass::NoTenant));
}

#[test]
fn every_reason_for_a_bypass_is_a_sentence() {
    let reasons = [
        Bypass::NoTenant,
        Bypass::BadTenant,
        Bypass::Authorization,
        Bypass::Cookie,
        Bypass::NoIdentity,
        Bypass::BadIdentity,
        Bypass::Range,
        Bypass::Precondition,
        Bypass::RequestNoStore,
        Bypass::Content,
        Bypass::RequestTooLarge,
        Bypass::RequestTooSlow,
        Bypass::RequestBroken,
        Bypass::BodyType,
        Bypass::Ambiguous,
        Bypass::MethodOverride,
        Bypass::Upgrade,
        Bypass::DotSegment,
        Bypass::MalformedEscape,
        Bypass::TooManyParameters,
        Bypass::KeyTooLong,
        Bypass::NoTtl,
        Bypass::Dirty,
        Bypass::Fenced,
        Bypass::Store,
    ];
    let mut all: Vec<_> = reasons.iter().map(ToString::to_string).collect();
    assert!(all.iter().all(|said| said.split(' ').count() > 3 && !said.ends_with('.')));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), reasons.len(), "each has its own");
}

/// An app with something wrong at each of its routes.
fn troubled() -> App {
    let cache = Cache::builder(MemoryStore::new())
        .tenant(Tenant::header("x-gym-id"))
        .route(Route::get("/good"))
        .route(Route::get("/unasked"))
        .route(Route::get("/passed"))
        .route(Route::get("/private"))
        .route(Route::get("/once"))
        .route(Route::get("/varies"))
        .route(Route::get("/things/{id}"))
        .route(Route::get("/bare").uncached())
        .invalidate(On::put("/good").path("/good"))
        .invalidate(On::put("/unasked").path("/good"));
    let handlers = Router::new()
        .route("/good", get(|| async {}).put(|| async {}))
        .route("/passed", get(|| async {}))
        .route("/private", get(|| async { ([(header::CACHE_CONTROL, "private")], "") }))
        .route("/once", get(|| async {}))
        .route("/varies", get(|| async { ([(header::VARY, "accept-language")], "") }))
        // The app has more of them than the cache was told of.
        .route("/things/all", get(|| async {}));
    // Within the router, so that the layer sees what the router has matched.
    App::of(cache, handlers)
}

#[tokio::test]
async fn hints_tell_what_has_come_to_nothing() {
    let app = troubled();
    assert_eq!(app.cache.explain().hints, [], "nothing has happened yet");
    for index in 0..2 {
        app.get("4", "/good").await;
        let cookie = Request::get("/passed").header("x-gym-id", "4").header("cookie", "a=b");
        app.send(cookie.body(axum::body::Body::empty()).unwrap()).await.assert_bypass("cookie");
        app.get("4", "/private").await;
        app.get("4", &format!("/once?now={index}")).await;
        app.get("4", "/varies").await;
        app.get("4", "/things/all").await;
        app.cache.settled().await;
    }
    app.send(crate::support::app::request(Method::PUT, "4", "/good")).await;
    let explanation = app.cache.explain();
    let said = explanation.to_string();
    let hints: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("Hint: ")).collect();
    let expected = [
        "no request has come on GET /unasked so far: does the app mount it under this path?",
        "GET /passed has had 2 requests and no hit: all of them went past the cache; Cache-Status \
         says why.",
        "GET /private has had 2 requests and no hit: its responses may not be stored; Cache-Status \
         says why.",
        "GET /once has had 2 requests and no hit: its responses are stored, and not asked for again \
         in time: perhaps something is in the key that is another one in each request, or something \
         invalidates it each time.",
        "the responses of GET /varies vary by accept-language, which makes a variant for each of \
         its values: if clients may choose it, declare it with `.header(\"accept-language\")`, or \
         have it normalised.",
        "none of 2 requests whose path fits GET /things/{id} was routed to it: another route of the \
         app takes them.",
        "no request has come on PUT /unasked so far: does the app mount it with this method, under \
         this path?",
    ];
    assert_eq!(hints, expected, "{said}");
    let varies = explanation.hints.iter().any(|hint| {
        matches!(hint, Hint::UnkeyedHeaderVaries { header, .. } if header == "accept-language")
    });
    assert!(varies);
    let (_, said) = explain(&app.cache, ("GET", "/varies", &[("x-gym-id", "4")]));
    assert!(said.contains("Its key is /varies, with accept-language."), "{said}");
}

#[test]
fn a_rule_that_reaches_nothing_is_told_at_once() {
    let cache = Cache::builder(MemoryStore::new())
        .tenant(Tenant::header("x-gym-id"))
        .route(Route::get("/news").tenantless())
        .invalidate(On::put("/users/{id}").tenant())
        .build()
        .unwrap();
    let hint = Hint::RuleReachesNothing { rule: "PUT /users/{id}".to_owned() };
    assert_eq!(cache.explain().hints, std::slice::from_ref(&hint));
    assert_eq!(hint.to_string(), "PUT /users/{id} reaches no route that is cached.");
    let no_template = NotCached::NoTemplate;
    assert!(no_template.to_string().contains("no template"));
}
