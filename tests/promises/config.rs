//! Every mistake in a configuration is found when the cache is built, and says what to do.

use std::time::Duration;

use http::{Method, StatusCode};
use tower_response_cache::{
    Cache, CacheBuilder, ConfigError, Identity, InvalidationSet, MemoryStore, On, Route, Scope,
    Tenant,
};

fn base() -> CacheBuilder {
    Cache::builder(MemoryStore::new())
        .tenant(Tenant::header("x-gym-id"))
        .route(Route::get("/users"))
        .route(Route::get("/users/{id}"))
        .route(Route::get("/hours").key("hours").tag("hours"))
        .route(Route::get("/news").tenantless())
}

/// The configuration is refused with an error of this kind, whose text names these words.
macro_rules! refused {
    ($builder:expr, $kind:pat, $($word:literal),+) => {{
        let error = $builder.build().unwrap_err();
        assert!(matches!(error, $kind), "{error:?}");
        let text = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        // What `main` prints of it.
        assert_eq!(format!("{error:?}"), text);
        $(assert!(text.contains($word), "{text:?} does not mention {:?}", $word);)+
    }};
}

#[test]
fn the_base_is_fine() {
    base().build().unwrap();
}

#[test]
fn names_and_sources() {
    for namespace in ["", "a:b", "a{b", "ä", &"x".repeat(65)] {
        refused!(base().namespace(namespace), ConfigError::Namespace(_), "namespace", "A-Z");
    }
    refused!(
        Cache::builder(MemoryStore::new()).route(Route::get("/users")),
        ConfigError::NoTenantSource(_),
        "/users",
        "tenantless"
    );
    refused!(base().tenant(Tenant::header("x gym")), ConfigError::Header(_), "x gym");
    refused!(base().route(Route::get("/x").header("a b")), ConfigError::Header(_), "a b");
    refused!(
        base().route(Route::get("/x").per_user(Identity::header("é"))),
        ConfigError::Header(_),
        "é"
    );
    refused!(
        base().tenant(Tenant::path("gym")),
        ConfigError::NoSuchParameter { .. },
        "/users",
        "{gym}"
    );
    refused!(
        base().route(Route::get("/x").per_user(Identity::path("id"))),
        ConfigError::NoSuchParameter { .. },
        "/x",
        "{id}"
    );
}

#[test]
fn times_and_numbers() {
    let year = Duration::from_secs(366 * 24 * 3600);
    for ttl in [Duration::ZERO, Duration::from_nanos(1), year] {
        refused!(
            base().route(Route::get("/x").ttl(ttl)),
            ConfigError::OutOfRange { .. },
            "/x",
            "1 ms"
        );
        refused!(base().default_ttl(ttl), ConfigError::OutOfRange { .. }, "default TTL");
        let negative = Route::get("/x").ttl_for_status(StatusCode::NOT_FOUND, ttl);
        refused!(base().route(negative), ConfigError::OutOfRange { .. }, "404");
    }
    refused!(
        base().route(Route::get("/x").jitter(51)),
        ConfigError::OutOfRange { .. },
        "jitter",
        "50"
    );
    refused!(
        base().route(Route::get("/x").stale_while_revalidate(year)),
        ConfigError::OutOfRange { .. },
        "stale window"
    );
    refused!(
        base().route(Route::get("/x").early_refresh(f64::NAN)),
        ConfigError::OutOfRange { .. },
        "eagerness"
    );
    refused!(
        base().lookup_timeout(Duration::ZERO),
        ConfigError::OutOfRange { .. },
        "lookup_timeout"
    );
    refused!(base().max_key(0), ConfigError::OutOfRange { .. }, "max_key");
    refused!(base().max_body(1 << 30), ConfigError::OutOfRange { .. }, "max_body");
    refused!(
        base().invalidate(On::post("/x").path("/users").fence(Duration::from_secs(7200))),
        ConfigError::OutOfRange { .. },
        "fence"
    );
}

#[test]
fn paths_and_keys() {
    for path in ["users", "/{", "/a{id}", "/{*rest}/x", "/:id", "/{id}/{id}"] {
        refused!(base().route(Route::get(path)), ConfigError::Template { .. }, "malformed");
    }
    refused!(base().route(Route::get("/users")), ConfigError::Conflict { .. }, "/users", "twice");
    refused!(base().route(Route::get("/users/{user}")), ConfigError::Conflict { .. }, "/users/{");
    refused!(
        base().route(Route::get("/x/{id}").key("x:{role}")),
        ConfigError::UnkeyedParameter { .. },
        "x:{role}",
        "{id}"
    );
    refused!(
        base().route(Route::get("/x").key("x").query(["a"])),
        ConfigError::QueryWithKey(_),
        "/x",
        ".query"
    );
    refused!(base().route(Route::get("/x").key("/x")), ConfigError::Template { .. }, "/x");
    refused!(base().route(Route::get("/x").key("{a}{b}")), ConfigError::Template { .. }, "/x");
    refused!(
        base().route(Route::get("/x").key("hou{a}")),
        ConfigError::AmbiguousKey { .. },
        "/hours",
        "/x"
    );
}

#[test]
fn rules_and_sets() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        refused!(
            base().invalidate(On::method(method, "/x").path("/users")),
            ConfigError::SafeMethod(_),
            "/x",
            "9.2.1"
        );
    }
    refused!(base().invalidate(On::post("/x")), ConfigError::NoTargets(_), "POST /x", ".path");
    for target in ["/user", "/users/1/2", "/Users"] {
        let rule = On::post("/x").path(target);
        refused!(base().invalidate(rule), ConfigError::MatchesNothing { .. }, "POST /x");
        let set = InvalidationSet::named("s").path(target);
        refused!(base().set(set), ConfigError::MatchesNothing { .. }, "\"s\"");
        refused!(base().scope(Scope::path(target)), ConfigError::MatchesNothing { .. }, "a scope");
    }
    refused!(
        base().scope(Scope::path("/users/{id}").with("id", "42")),
        ConfigError::Contradiction { .. },
        "/users/{id}",
        ".with"
    );
    for glob in ["user:*", "/user", "hours:*"] {
        let rule = On::post("/x").pattern(glob);
        refused!(base().invalidate(rule), ConfigError::MatchesNothing { .. }, "POST /x");
    }
    refused!(
        base().invalidate(On::post("/x").tag("hour")),
        ConfigError::MatchesNothing { .. },
        "hour"
    );
    refused!(
        base().invalidate(On::post("/x").subtree("/users/{id}")),
        ConfigError::UnknownParameter { .. },
        "POST /x",
        "/users/{id}",
        "{id}"
    );
    refused!(
        base().route(Route::get("/x").tag("user:{id}")),
        ConfigError::UnknownParameter { .. },
        "{id}"
    );
    refused!(
        base().invalidate(On::put("/users/{id}").pattern("/users/{id}*")),
        ConfigError::Template { .. },
        "PUT /users/{id}",
        "/users/{id}*",
        "subtree"
    );
    refused!(
        base().invalidate(On::put("/users/{id}").pattern("*:{id}")),
        ConfigError::Template { .. },
        "PUT /users/{id}"
    );
    refused!(
        base().invalidate(On::put("/users/{id}").pattern("[a")),
        ConfigError::Template { .. },
        "PUT /users/{id}"
    );
    // What belongs to a tenant and what belongs to none don't reach each other.
    refused!(
        base().invalidate(On::post("/x").path("/news")),
        ConfigError::MatchesNothing { .. },
        "tenancy"
    );
    refused!(
        base().invalidate(On::post("/x").tenantless().path("/users")),
        ConfigError::MatchesNothing { .. },
        "tenancy"
    );
    let set = || InvalidationSet::named("user").path("/users");
    refused!(base().set(set()).set(set()), ConfigError::DuplicateSet(_), "user");
    refused!(
        base().invalidate(On::post("/x").path("/users").soft().hold(Duration::from_secs(1))),
        ConfigError::Contradiction { .. },
        "POST /x"
    );
    refused!(
        base().invalidate(On::post("/x").path("/users").in_background().must_confirm()),
        ConfigError::Contradiction { .. },
        "background"
    );
}

#[test]
fn a_catch_all_is_no_parameter_of_a_path() {
    let files = || {
        Cache::builder(MemoryStore::new())
            .tenant(Tenant::header("x-gym-id"))
            .route(Route::get("/files/{*path}").tag("file:{path}"))
            .route(Route::get("/thumbs/{*path}").key("thumbs:{path}"))
    };
    let upload = || On::post("/upload/{*path}");
    for rule in [
        upload().path("/files/{path}"),
        upload().subtree("/files/{path}"),
        upload().pattern("/files/{path}"),
    ] {
        refused!(
            files().invalidate(rule),
            ConfigError::Contradiction { .. },
            "/upload/{*path}",
            "subtree"
        );
    }
    // A value in a tag or in a key's text has no segments.
    for rule in
        [upload().tag("file:{path}"), upload().pattern("thumbs:{path}"), upload().subtree("/files")]
    {
        files().invalidate(rule).build().unwrap();
    }
}
